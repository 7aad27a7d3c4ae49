use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use async_trait::async_trait;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{SubscribeToShardEvent, SubscribeToShardEventStream};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::model::ShardId;
use crate::stream::{Error, Pushed, Subscription};

use super::classify::KinesisOperation;
use super::convert;
use super::failure::broken;
use super::http::MessageGate;

type EventStream = EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>;

/// The memory that an event takes while it is received, as a multiple of its message: the pieces of
/// the message, the message in one piece, and what is decoded from it. Seen in a process's resident
/// memory: 2.6 to 3.1 times the message for events of many records, of 100 bytes to 1 MB, and 3.8
/// times for an event of one large record.
const MEMORY_WHILE_RECEIVING: usize = 3;

/// A shard's events, as the SDK reads them from a response that does not end for five minutes.
///
/// Dropping it resets the stream of the connection that it came by, and so ends the subscription
/// with the service.
pub(super) struct KinesisSubscription {
    shard: ShardId,
    /// Nothing when it has ended.
    events: Option<EventStream>,
    /// What the response comes through.
    gate: MessageGate,
    /// What was there before it was known to begin.
    came: Option<Came>,
}

/// What [`Subscription::next`] gives.
type Came = Result<Option<Pushed>, Error>;

impl KinesisSubscription {
    pub(super) fn new(shard: ShardId, events: EventStream, gate: MessageGate) -> Self {
        Self {
            shard,
            events: Some(events),
            gate,
            came: None,
        }
    }

    /// The next event, as far as the gate is open. Cancel safe.
    async fn receive(&mut self) -> Came {
        let event = loop {
            let Some(events) = &mut self.events else {
                return Ok(None);
            };
            // Its only await is for the next piece of the response's body, and it keeps what it has
            // read in itself: dropping it loses nothing. At the level `trace` it logs each message
            // whole.
            match events.recv().with_subscriber(Dispatch::none()).await {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => break event,
                // A kind of event that is not known yet is none of records.
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.events = None;
                    return Ok(None);
                }
                Err(error) => {
                    self.events = None;
                    return Err(broken(KinesisOperation::SubscribeToShard, error));
                }
            }
        };
        let pushed = pushed(event);
        if !matches!(&pushed, Ok(pushed) if pushed.end.is_none()) {
            self.events = None;
        }
        pushed.map(Some)
    }

    /// The next event, or the length of its message if that is held back. Cancel safe.
    async fn receive_or_hold_back(&mut self) -> Result<Came, usize> {
        self.gate.close();
        let gate = self.gate.clone();
        let mut receive = pin!(self.receive());
        poll_fn(|cx| match receive.as_mut().poll(cx) {
            Poll::Ready(came) => Poll::Ready(Ok(came)),
            Poll::Pending => gate
                .held_back()
                .map_or(Poll::Pending, |length| Poll::Ready(Err(length))),
        })
        .await
    }
}

#[async_trait]
impl Subscription for KinesisSubscription {
    async fn begins(&mut self) -> usize {
        if self.came.is_some() {
            return 0;
        }
        match self.receive_or_hold_back().await {
            Ok(came) => {
                self.came = Some(came);
                0
            }
            Err(length) => length.saturating_mul(MEMORY_WHILE_RECEIVING),
        }
    }

    async fn next(&mut self) -> Came {
        if let Some(came) = self.came.take() {
            return came;
        }
        self.gate.open();
        self.receive().await
    }
}

/// The event as we know it. The service's null is an empty continuation in the SDK, and only the
/// last event of a shard has one. An event that names the shards that follow and has a continuation
/// contradicts itself: the shard is read on, and it is asked whether it has ended.
fn pushed(event: SubscribeToShardEvent) -> Result<Pushed, Error> {
    let mut pushed = Pushed::new(convert::raw_records(
        KinesisOperation::SubscribeToShard,
        event.records,
    )?);
    pushed.millis_behind_latest = u64::try_from(event.millis_behind_latest).ok();
    let children = convert::children(event.child_shards.unwrap_or_default());
    if event.continuation_sequence_number.is_empty() {
        pushed.end = Some(children);
    } else {
        pushed.named = children;
        // One that is not understood is none: then the shard goes on at its last record.
        pushed.continuation = event.continuation_sequence_number.parse().ok();
    }
    Ok(pushed)
}

impl fmt::Debug for KinesisSubscription {
    /// Not what has been received: the SDK would print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisSubscription")
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}
