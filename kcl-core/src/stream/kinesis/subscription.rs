use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use async_trait::async_trait;

use crate::model::ShardId;
use crate::stream::{Error, Pushed, Subscription};

use super::classify::{CallFailure, KinesisOperation};
use super::event_reader::{EventReader, NoMessage};
use super::failure::{broken, failed, malformed};
use super::http::MessageGate;
use super::page_pool::PagePool;
use super::wire::{EventMessage, NextMember, Unreadable, page_of, refusal_of};

/// The memory that an event takes while it is received, as a multiple of its message: the payloads,
/// which have three quarters of it, for records of 100 bytes the two lists of records, as much again
/// as the message, and the message itself, where it is one record or is not read as it comes.
const MEMORY_WHILE_RECEIVING: usize = 3;

const OPERATION: KinesisOperation = KinesisOperation::SubscribeToShard;

/// A shard's events, read from a response that does not end for five minutes.
///
/// Dropping it resets the stream of the connection that it came by, and so ends the subscription
/// with the service.
pub(super) struct KinesisSubscription {
    /// For `Debug`.
    shard: ShardId,
    /// Nothing when it has ended.
    events: Option<EventReader>,
    /// Where the buffers of events come from.
    pages: PagePool,
    /// What the response comes through.
    gate: MessageGate,
    /// The first message, where it is an event.
    first: Option<EventMessage>,
    /// What was there before it was known to begin.
    came: Option<Came>,
}

/// What [`Subscription::next`] gives.
type Came = Result<Option<Pushed>, Error>;

impl KinesisSubscription {
    /// The subscription that has been granted, when its first message is there: the service's word
    /// that it has begun, or an event where an endpoint sends no such word.
    pub(super) async fn begun(
        shard: ShardId,
        mut events: EventReader,
        pages: PagePool,
        gate: MessageGate,
    ) -> Result<Self, Error> {
        let first = events.next().await.map_err(not_begun)?;
        let first = first.filter(|message| message.name != "initial-response");
        Ok(Self {
            shard,
            events: Some(events),
            pages,
            gate,
            first,
            came: None,
        })
    }

    /// The next event, as far as the gate is open. Cancel safe.
    async fn receive(&mut self) -> Came {
        loop {
            let Some(events) = &mut self.events else {
                return Ok(None);
            };
            let message = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => events.next().await,
            };
            let pushed = match message {
                Ok(Some(message)) => {
                    // A worker that reads by fan-out alone makes no calls that would free them.
                    self.pages.free_idle();
                    event(message, &self.pages)
                }
                Ok(None) => {
                    self.events = None;
                    return Ok(None);
                }
                Err(error) => Err(lost(error)),
            };
            match pushed {
                // A kind of event that is not known yet is none of records.
                Ok(None) => {}
                Ok(Some(pushed)) => {
                    if pushed.end.is_some() {
                        self.events = None;
                    }
                    return Ok(Some(pushed));
                }
                Err(error) => {
                    self.events = None;
                    return Err(error);
                }
            }
        }
    }

    /// The next event, or the length of its message if that is held back. Cancel safe.
    async fn receive_or_hold_back(&mut self) -> Result<Came, usize> {
        // Long messages wait from here on, so that their length can be told before they take
        // memory.
        self.gate.close();
        let gate = self.gate.clone();
        // Dropping it loses nothing: a message that has come in part stays in the reader.
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

/// The event as we know it; nothing for one of another kind.
///
/// Only the last event of a shard has no continuation. An event that names the shards that follow
/// and has a continuation contradicts itself: the shard is read on, and it is asked whether it has
/// ended.
fn event(message: EventMessage, pages: &PagePool) -> Came {
    let is_page = message.is_page();
    let EventMessage {
        kind,
        name,
        error,
        content_type,
        payload,
        page,
    } = message;
    let content_type = content_type.as_deref();
    match &*kind {
        "event" if is_page => {}
        "event" => return Ok(None),
        "exception" | "error" => {
            let said = refusal_of(Some(name.as_str()), content_type, &payload);
            let message = said.message.or(error);
            let code = said
                .code
                .as_deref()
                .unwrap_or("an exception without a name");
            return Err(broken::refused(OPERATION, code, message.as_deref()));
        }
        _ => return Err(broken::unreadable(OPERATION, Unreadable::MessageKind)),
    }
    let page = page.unwrap_or_else(|| {
        let next = NextMember::ContinuationSequenceNumber;
        page_of(content_type, &payload, next, pages).map(|(page, _)| page)
    });
    let page = match page {
        Ok(page) => page,
        Err(Unreadable::Sequence(error)) => {
            let what = "the answer holds an invalid sequence number";
            return Err(malformed(OPERATION, what).caused_by(error));
        }
        Err(error) => return Err(broken::unreadable(OPERATION, error)),
    };
    let mut pushed = Pushed::new(page.records);
    pushed.millis_behind_latest = page.millis_behind_latest;
    match page.next.filter(|continuation| !continuation.is_empty()) {
        None => pushed.end = Some(page.children),
        Some(continuation) => {
            pushed.named = page.children;
            // One that is not understood is none: then the shard goes on at its last record.
            pushed.continuation = continuation.parse().ok();
        }
    }
    Ok(Some(pushed))
}

/// What was answered is no subscription: a failure of the call.
fn not_begun(error: NoMessage) -> Error {
    match error {
        NoMessage::Lost(error) => {
            let said = error.to_string();
            failed(OPERATION, &CallFailure::NoConnection, &said, None, None).caused_by(error)
        }
        NoMessage::Unreadable(error) => {
            let said = error.to_string();
            failed(OPERATION, &CallFailure::Unreadable, &said, None, None).caused_by(error)
        }
    }
}

/// The end of a subscription that had begun. Unlike a failed call it has delivered, so it is judged
/// as an interruption.
fn lost(error: NoMessage) -> Error {
    match error {
        NoMessage::Lost(error) => broken::lost(OPERATION, error),
        NoMessage::Unreadable(error) => broken::unreadable(OPERATION, error),
    }
}

impl fmt::Debug for KinesisSubscription {
    /// Not what has been received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisSubscription")
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}
