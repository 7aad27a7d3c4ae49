//! `SubscribeToShard`.
//!
//! ```text
//!   initial-response ─▶ event ─▶ event ─▶ ... ─▶ end of session
//!                                          └───▶ end of shard: continuation null, child shards
//! ```
//!
//! An event is sent as soon as there are records, and an empty one after a second without any. A
//! session ends by itself after five minutes, as in the service, and when the server stops. It ends
//! with an error when its consumer subscribes to the shard again, when the consumer is
//! deregistered, and when the stream is deleted. Dropping the connection ends it immediately,
//! because it is a stream that the connection polls and not a task.
//!
//! Between two events it waits for anything that may lead to an event: a put, a change of a stream,
//! or its own end. Only while the stream is not ACTIVE does it poll, because the emulator does not
//! notify when it has finished a change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use ferrokinesis::types::{Stream, StreamStatus};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use super::consumers::active_consumer;
use super::request::{check_name, invalid, millis, parse};
use super::start::Start;
use crate::runtime::{now_ms, sleep};
use crate::stream::records::{Origin, Page, Position, StoredRecord, StreamLog};
use crate::stream::service::{Service, horizon_ms, is_closed};
use crate::stream::shards::children;
use crate::stream::subscriptions::{Refused, SubscriptionEnd};
use crate::stream::wire::{
    Format, PageEnd, Refusal, exception, initial_response, reply, server_failure, subscribe_body,
    subscribe_event,
};

/// How many records one event has at most.
const EVENT_RECORDS: usize = 10_000;
/// How many bytes of payloads and partition keys one event has at most: what a consumer can get
/// from a shard per second.
const EVENT_BYTES: usize = 2 * 1024 * 1024;
/// After this long without records, an empty event is sent.
///
/// The service sends one every few seconds. A shorter time makes tests of idle shards faster.
const HEARTBEAT_MS: u64 = 1_000;
/// How often a waiting session checks whether its shard was closed, while its stream is not ACTIVE.
const LOOK_MS: u64 = 50;

/// The request.
#[derive(Deserialize)]
struct SubscribeRequest {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    #[serde(rename = "ShardId")]
    shard_id: String,
    #[serde(rename = "StartingPosition")]
    starting_position: StartingPosition,
}

/// Where the subscription starts, as a client sends it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartingPosition {
    r#type: String,
    sequence_number: Option<String>,
    timestamp: Option<f64>,
}

/// Opens a session.
///
/// # Errors
///
/// If the consumer, its stream or the shard does not exist or is not active, the consumer has just
/// subscribed to this shard, or the start is invalid; see [`Start::resolve`].
///
/// The consumer is checked once more after the subscription has begun: one that is deregistered in
/// between ends the subscription instead of missing it.
pub(in crate::stream) async fn subscribe_to_shard(
    service: &Arc<Service>,
    format: Format,
    data: Value,
) -> Result<Response, Refusal> {
    let request: SubscribeRequest = parse(data)?;
    check_name("ShardId", &request.shard_id)?;
    let not_an_arn = || invalid("ConsumerARN is not the ARN of a consumer");
    let (stream_arn, _) = request
        .consumer_arn
        .split_once("/consumer/")
        .ok_or_else(not_an_arn)?;
    let (_, name) = stream_arn.split_once(":stream/").ok_or_else(not_an_arn)?;
    active_consumer(service, &request.consumer_arn).await?;
    let stream = service.stream(name).await?;
    let (_, origin) = service.shard(&stream, &request.shard_id)?;
    let opened_ms = now_ms();
    let log = service.logs.of(name);
    let position = &request.starting_position;
    let start = Start {
        kind: &position.r#type,
        sequence: position.sequence_number.as_deref(),
        timestamp_ms: position
            .timestamp
            .map(|at| millis("StartingPosition.Timestamp", at))
            .transpose()?,
    };
    let position = start.resolve(&stream, &log, origin, opened_ms)?;
    let begun = service
        .subscriptions
        .begin(&request.consumer_arn, &request.shard_id, opened_ms);
    let ended = begun.map_err(|refused| match refused {
        Refused::InUse => in_use(service, name, &request.shard_id),
        Refused::TooOften => {
            let message = format!(
                "Rate exceeded for consumer {} and shard {}.",
                request.consumer_arn, request.shard_id
            );
            Refusal::client_error("LimitExceededException", Some(&message))
        }
    })?;
    // It may have been deregistered since it was checked; from here on, that ends the subscription.
    active_consumer(service, &request.consumer_arn).await?;
    let session = Session {
        service: Arc::clone(service),
        stream_name: name.to_owned(),
        shard_id: request.shard_id,
        origin,
        format,
        next: position.index,
        last: None,
        opened_ms,
        sent_ms: 0,
        paid_ms: 0,
        settled: true,
        follow: log.follow(origin.shard),
        changes: service.streams.follow(),
        ended,
        stopping: service.stopping.clone(),
        log,
        phase: Phase::Opening,
    };
    let frames = futures_util::stream::unfold(session, |mut session| async move {
        let frame = session.next_frame().await?;
        Some((Ok::<Bytes, Infallible>(frame.into()), session))
    });
    Ok(reply(
        "application/vnd.amazon.eventstream",
        Body::from_stream(frames),
    ))
}

/// The service's error for a consumer that is subscribed to the shard already.
fn in_use(service: &Service, stream: &str, shard: &str) -> Refusal {
    let account = &service.store.aws_account_id;
    let message =
        format!("Another active subscription exists for this consumer: {account}:{stream}:{shard}");
    Refusal::client_error("ResourceInUseException", Some(&message))
}

/// How far a session has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first frame, which has no records, is still to be sent.
    Opening,
    /// Events are being sent.
    Reading,
    /// The last frame was sent.
    Ended,
}

/// One subscription.
///
/// It is polled by the connection that it is sent on and has no task of its own: when the
/// connection is gone, so is the session.
struct Session {
    /// Streams, records and limits.
    service: Arc<Service>,
    stream_name: String,
    shard_id: String,
    /// The shard that was opened. A stream that was deleted and created again has another one.
    origin: Origin,
    /// That of the request.
    format: Format,
    /// The index to read next.
    next: u64,
    /// The last record sent.
    last: Option<Arc<StoredRecord>>,
    /// When it began; it lasts five minutes.
    opened_ms: u64,
    /// When the last event was sent.
    sent_ms: u64,
    /// When the bytes pushed so far are paid off at the shard's rate. Nothing more is pushed before
    /// then.
    paid_ms: u64,
    /// Whether the stream was ACTIVE when it was last checked.
    settled: bool,
    /// The records of the stream.
    log: Arc<StreamLog>,
    /// Tells of puts to the shard.
    follow: watch::Receiver<u64>,
    /// Tells of changes of streams, such as the closing of the shard.
    changes: watch::Receiver<()>,
    /// Tells that another subscription has taken over, or that the consumer is gone.
    ended: watch::Receiver<Option<SubscriptionEnd>>,
    /// Tells that the server stops.
    stopping: watch::Receiver<bool>,
    /// How far it has got.
    phase: Phase,
}

impl Session {
    /// The next frame; `None` at the end of the session.
    async fn next_frame(&mut self) -> Option<Vec<u8>> {
        match self.phase {
            Phase::Opening => {
                self.phase = Phase::Reading;
                Some(initial_response(self.format))
            }
            Phase::Reading => loop {
                let now_ms = now_ms();
                let age_ms = now_ms.saturating_sub(self.opened_ms);
                if *self.stopping.borrow() || u128::from(age_ms) >= self.service.session.as_millis()
                {
                    return None;
                }
                if now_ms < self.paid_ms {
                    self.hold_back(self.paid_ms - now_ms).await;
                    continue;
                }
                match self.look(now_ms).await {
                    Ok(Some(frame)) => return Some(frame),
                    Ok(None) => self.wait(now_ms).await,
                    Err(refusal) => {
                        self.phase = Phase::Ended;
                        let message = refusal.body.message.as_deref().unwrap_or_default();
                        return Some(exception(self.format, &refusal.body.error_type, message));
                    }
                }
            },
            Phase::Ended => None,
        }
    }

    /// Reads the shard, and returns a frame, or `None` if there is nothing to send.
    ///
    /// # Errors
    /// Why the session has to end with an error: it becomes the last frame.
    async fn look(&mut self, now_ms: u64) -> Result<Option<Vec<u8>>, Refusal> {
        let ended = *self.ended.borrow();
        match ended {
            Some(SubscriptionEnd::TakenOver) => {
                return Err(in_use(&self.service, &self.stream_name, &self.shard_id));
            }
            Some(SubscriptionEnd::Deregistered) => {
                let message = "The consumer of this subscription was deregistered.";
                return Err(Refusal::client_error(
                    "ResourceNotFoundException",
                    Some(message),
                ));
            }
            None => {}
        }
        self.changes.borrow_and_update();
        let stream = self.service.stream(&self.stream_name).await?;
        self.settled = stream.stream_status == StreamStatus::Active;
        let (shard, origin) = self.service.shard(&stream, &self.shard_id)?;
        if origin != self.origin || !self.service.logs.is_current(&self.stream_name, &self.log) {
            return Err(Refusal::stream_not_found(
                &self.stream_name,
                &self.service.store.aws_account_id,
            ));
        }
        let closed = is_closed(shard);
        if closed {
            // A put that found the shard open may still be in progress.
            drop(self.log.gate().await);
        }
        let horizon_ms = horizon_ms(&stream, now_ms);
        self.service
            .logs
            .trim(&self.stream_name, origin.shard, horizon_ms)
            .map_err(|error| server_failure(&error))?;
        self.follow.borrow_and_update();
        let page = self
            .log
            .page(origin.shard, self.next, EVENT_RECORDS, EVENT_BYTES);
        let ended = closed && page.at_tip && page.records.is_empty();
        let due = now_ms.saturating_sub(self.sent_ms) >= HEARTBEAT_MS;
        if page.records.is_empty() && !ended && !due {
            return Ok(None);
        }
        Ok(Some(self.event(&stream, &page, ended, now_ms)))
    }

    /// A frame with these records, after which the session stands behind them.
    fn event(&mut self, stream: &Stream, page: &Page, ended: bool, now_ms: u64) -> Vec<u8> {
        self.next = page.next;
        self.last = page.records.last().cloned().or_else(|| self.last.take());
        self.sent_ms = now_ms;
        if let Some(bytes) = self.service.pushed_a_second {
            let weight = u64::try_from(page.weight()).unwrap_or(u64::MAX);
            self.paid_ms = now_ms.saturating_add(weight.saturating_mul(1_000) / bytes);
        }
        if ended {
            self.phase = Phase::Ended;
        }
        let end = PageEnd {
            next: (!ended).then(|| self.continuation()),
            millis_behind: page.millis_behind(now_ms),
            children: ended.then(|| children(&stream.shards, &self.shard_id)),
        };
        let records = page
            .records
            .iter()
            .map(Arc::as_ref as fn(&Arc<StoredRecord>) -> &StoredRecord);
        subscribe_event(self.format, &subscribe_body(self.format, records, &end))
    }

    /// The sequence number AFTER which a reader continues: that of the last record, or of the
    /// position before the first one.
    ///
    /// At the beginning, before any record, it names the place before the start, so that a
    /// subscription that continues there misses nothing.
    fn continuation(&self) -> String {
        match &self.last {
            Some(last) => last.sequence.to_string(),
            None => Position {
                origin: self.origin,
                index: self.next.saturating_sub(1),
            }
            .to_token(),
        }
    }

    /// Waits until the pushed bytes are paid off, or the session ends.
    async fn hold_back(&mut self, wait_ms: u64) {
        let session_ms = u64::try_from(self.service.session.as_millis()).unwrap_or(u64::MAX);
        tokio::select! {
            biased;
            _ = self.stopping.changed() => {}
            _ = self.ended.changed() => self.paid_ms = 0,
            () = sleep(Duration::from_millis(wait_ms.min(session_ms))) => {}
        }
    }

    /// Waits until there may be something to send.
    ///
    /// Whatever it is woken by, the shard is looked at again: a signal that was missed costs a
    /// second at most.
    async fn wait(&mut self, now_ms: u64) {
        let session_ms = u64::try_from(self.service.session.as_millis()).unwrap_or(u64::MAX);
        let look_ms = if self.settled { HEARTBEAT_MS } else { LOOK_MS };
        let due_ms = self
            .sent_ms
            .saturating_add(HEARTBEAT_MS)
            .min(self.opened_ms.saturating_add(session_ms));
        let wait_ms = due_ms.saturating_sub(now_ms).clamp(1, look_ms);
        tokio::select! {
            biased;
            _ = self.stopping.changed() => {}
            _ = self.ended.changed() => {}
            _ = self.changes.changed() => {}
            _ = self.follow.changed() => {}
            () = sleep(Duration::from_millis(wait_ms)) => {}
        }
    }
}
