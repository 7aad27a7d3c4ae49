//! Where an event goes: first it is counted, then logged, then sent to whoever listens.
//!
//! ```text
//!   consumers, coordination, root --> EventSender::say --> metrics   kcl_events_total
//!                                                      --> log       WorkerLog, with limits
//!                                                      --> Events    a ring of 1024, for programs
//! ```
//!
//! Counting comes first and has no limits, so an alarm on a metric sees what the log suppresses and
//! what a slow reader misses.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::meters::EventMeters;

use super::event::Event;
use super::log::WorkerLog;

/// How many events are kept for a slow reader before the oldest are dropped. A fleet that takes a
/// thousand leases in a second sends about as many.
const KEPT: usize = 1024;

/// Sends events to the log, the metrics and all readers. Never blocks.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    /// The sender never waits: a full ring overwrites its oldest event.
    listeners: broadcast::Sender<Event>,
    /// Decides which events become lines, and when.
    log: Arc<WorkerLog>,
    /// Counts every event, also those that are not logged.
    count: EventMeters,
}

impl EventSender {
    pub(super) fn new(log: WorkerLog, count: EventMeters) -> Self {
        Self {
            listeners: broadcast::Sender::new(KEPT),
            log: Arc::new(log),
            count,
        }
    }

    /// Reports that something has happened. It can be called from any task and any thread: nothing
    /// here waits, and no code of the application runs, except its log subscriber and its recorder
    /// of metrics.
    pub(crate) fn say(&self, event: Event) {
        let step = match &event {
            Event::StepFailed { what, stream, .. } => Some((*what, stream.as_ref())),
            _ => None,
        };
        self.count.happened(event.kind(), step);
        self.log.hear(&event);
        // It is no error if there is no reader.
        let _ = self.listeners.send(event);
    }

    /// Notes that what this event has reported still holds. Only the log says so, at growing
    /// intervals.
    pub(super) fn still_holds(&self, event: &Event) {
        self.log.still_holds(event);
    }

    /// Logs how many lines were suppressed recently; `is_last` if no more lines will follow.
    pub(super) fn sum_up(&self, is_last: bool) {
        self.log.sum_up(is_last);
    }

    /// Events that were sent before this call are not in it.
    pub(crate) fn listen(&self) -> Events {
        let events = unfold(self.listeners.subscribe(), |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(RecvError::Lagged(missed)) => Some((Event::Missed(missed), receiver)),
                Err(RecvError::Closed) => None,
            }
        });
        Events(Box::pin(events))
    }
}

/// The events of a worker, from the call to [`Worker::events`](super::Worker::events) on.
///
/// A slow reader loses the oldest events ([`Event::Missed`] says how many), but never slows the
/// worker down.
///
/// # Examples
/// They end with the worker, so a program can read what has happened afterwards:
///
/// ```
/// use std::time::Duration;
///
/// use kcl_core::worker::Event;
/// use kcl_core::{MemoryLeaseTable, MemoryStream, Worker};
/// # use kcl_core::{BoxError, Failure, RecordProcessor, processor::{ProcessRecordsInput, ShardRef}};
/// # struct Orders;
/// # impl RecordProcessor for Orders {
/// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> { Ok(()) }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let worker = Worker::builder()
///     .stream("orders")
///     .source(MemoryStream::new("orders", 2))
///     .application("billing")
///     .lease_table(MemoryLeaseTable::new())
///     .processor(|_: &ShardRef| Orders)
///     .build()?;
/// let (mut events, mut caught_up) = (worker.events(), worker.events());
/// let both = async {
///     for _ in 0..2 {
///         while !matches!(caught_up.next().await, Some(Event::CaughtUp { .. }) | None) {}
///     }
/// };
/// worker.run_until(both, Duration::from_secs(10)).await?;
/// drop(worker);
///
/// let mut acquired = 0;
/// while let Some(event) = events.next().await {
///     acquired += usize::from(matches!(event, Event::LeaseAcquired { .. }));
/// }
/// assert_eq!(acquired, 2);
/// # Ok(())
/// # }
/// ```
pub struct Events(Pin<Box<dyn Stream<Item = Event> + Send>>);

impl Events {
    /// The next event, or `None` once the worker no longer exists. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
