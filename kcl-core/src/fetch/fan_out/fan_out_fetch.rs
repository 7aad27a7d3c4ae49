//! Reads a shard by one subscription after another.
//!
//! ```text
//!  make_room --> subscribe --> wait: begins, room for it, next --> take_in --> Fetched
//!      ^            | pace        | silent, ended, failed
//!      +------------+-------------+
//! ```
//!
//! Everything that can go wrong with a subscription ends in the same way: it is dropped, and
//! another one is made where delivery stands.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::decide::subscription::{Asks, Happened, SubscriptionPace, trusted_for};
use crate::fetch::budget::{BudgetShare, Permit};
use crate::fetch::fetched::{Fetch, FetchError, Fetched, OpenAgain};
use crate::fetch::page_decoder::{PageDecoder, bounded, occupied};
use crate::meters::SubscriptionMeters;
use crate::model::{ChildShard, Moment, ShardId};
use crate::runtime::{Clock, jitter, pause, within};
use crate::stream::{ConsumerArn, Cursor, Error, ErrorKind, Pushed, Stream, Subscription};
use crate::tenancy::held::ProgressReporter;

use super::{ListedClosed, MAX_RECORDS, Registration};

/// How long a subscription may give no event while it is waited for, before it is replaced: 30 s,
/// six of the empty events that the service sends every five seconds or so. (The KCL waits for 60
/// s.)
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// What a shard is subscribed to with.
#[derive(Clone, Debug)]
pub(crate) struct FanOutSettings {
    /// How long the call may take that makes a subscription.
    pub(crate) call_limit: Duration,
    /// The memory that an event takes while it is received, as a multiple of what it takes
    /// afterwards.
    pub(crate) memory_while_reading: f64,
}

/// An event that was waited for this long at the least has been sent after the wait began: one that
/// lay in a buffer comes at once.
const WAITED: Duration = Duration::from_millis(100);

/// Reads a shard with `SubscribeToShard`.
#[derive(Debug)]
pub(crate) struct FanOutFetch {
    /// Knows the consumer, and when each shard was last called for.
    registration: Arc<Registration>,
    /// The shard that is read.
    pub(super) shard: ShardId,
    /// Where time comes from.
    pub(super) clock: Arc<dyn Clock>,
    /// As the worker was told, and as the stream says of itself.
    pub(super) settings: FanOutSettings,
    /// The shard's share of the byte budget: an event is not received before there is room for it.
    seat: BudgetShare,
    /// Tells the lease's writer that the loop turns.
    turns: ProgressReporter,
    /// Counts events, subscriptions and why they ended.
    pub(super) meters: SubscriptionMeters,
    /// Takes events apart, and knows where the next subscription begins.
    pub(super) intake: PageDecoder,
    /// It is another one after the consumer was removed and registered again.
    consumer: ConsumerArn,
    /// When the call was sent that was answered with "not there": it may be the consumer.
    doubted: Option<Moment>,
    /// The shard was not found, and that has still to be said.
    gone: bool,
    /// `None` between two subscriptions, which is as usual as within one.
    pub(super) subscription: Option<Box<dyn Subscription>>,
    /// When the call was sent that has made it: all that it gives was told after that.
    opened: Moment,
    /// When the next subscription may be made: at most one call a second, later after failures.
    pace: SubscriptionPace,
    /// How the shard is polled when it is doubtful whether it has ended.
    pub(super) source: Arc<dyn Stream>,
    /// Which shards are listed closed.
    pub(super) listed: ListedClosed,
    /// The shards that follow, as an event named them that was not the last.
    pub(super) named: Vec<ChildShard>,
    /// When it is worth a call to find out by polling whether the shard has ended.
    pub(super) asks: Asks,
    /// Where the last question went on.
    pub(super) asking: Option<Cursor>,
    /// It was opened at the last record, and has shown nothing yet.
    pub(super) asks_at_last: bool,
    /// The next thing is to ask.
    ask_now: bool,
    /// Since when there has been no record.
    pub(super) quiet_since: Moment,
    /// Memory that was waited for and is not used yet.
    pub(super) permit: Option<Permit>,
}

/// What waiting for an event came to.
enum Waited {
    /// An event, complete.
    Event(Pushed),
    /// The subscription is over.
    Over(Happened, Option<Error>),
}

impl FanOutFetch {
    /// A reader that has no subscription yet. It continues the pace of earlier tenancies of this
    /// worker: a lease that goes back and forth must not subscribe faster than one that stays.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of its own, given once"
    )]
    pub(crate) fn new(
        registration: Arc<Registration>,
        consumer: ConsumerArn,
        shard: ShardId,
        clock: Arc<dyn Clock>,
        settings: FanOutSettings,
        seat: BudgetShare,
        turns: ProgressReporter,
        meters: SubscriptionMeters,
        intake: PageDecoder,
        source: Arc<dyn Stream>,
        listed: ListedClosed,
    ) -> Self {
        let quiet_since = clock.now();
        let mut pace = SubscriptionPace::default();
        if let Some(last) = registration.calls().last(&shard) {
            pace.called(last);
        }
        Self {
            registration,
            shard,
            clock,
            settings,
            seat,
            turns,
            meters,
            intake,
            consumer,
            doubted: None,
            gone: false,
            subscription: None,
            opened: Moment::default(),
            pace,
            source,
            listed,
            named: Vec::new(),
            asks: Asks::default(),
            asking: None,
            asks_at_last: false,
            ask_now: false,
            quiet_since,
            permit: None,
        }
    }

    /// Memory for an event of the usual size. No more of it is kept than what is set aside for the
    /// shard.
    ///
    /// An event is counted as one "record" of the size estimate: what comes in one piece.
    pub(super) async fn make_room(&mut self) -> Permit {
        let mut permit = match self.permit.take() {
            Some(permit) => permit,
            None => {
                let factor = self
                    .settings
                    .memory_while_reading
                    .max(self.intake.size.growth());
                // An event is to the sizes what a record is in polling: what comes in one piece.
                let want = self.intake.size.request(1, factor);
                self.turns.while_waiting(self.seat.acquire(want)).await
            }
        };
        permit.correct(permit.bytes().min(self.seat.set_aside()));
        permit
    }

    /// Makes a subscription, if there is none.
    ///
    /// A shard that was not found may also mean that the consumer is gone. Then the consumer is
    /// looked for first; if it is still the same one, it is the shard.
    ///
    /// # Errors
    /// What only the worker can decide: access denied, no consumer, or a fault that concerns every
    /// shard. Everything else is a reason to try again.
    async fn subscribe(&mut self) -> Result<(), FetchError> {
        if self.subscription.is_some() {
            return Ok(());
        }
        if let Some(since) = self.doubted {
            let there = self
                .turns
                .while_waiting(self.registration.consumer(since))
                .await
                .map_err(FetchError::NoConsumer)?;
            self.doubted = None;
            if there == self.consumer {
                // Then it is the shard that was not found.
                self.gone = true;
                return Ok(());
            }
            self.consumer = there;
        }
        self.turns
            .while_waiting(self.clock.sleep_until(self.pace.earliest(self.clock.now())))
            .await;
        let sent = self.clock.now();
        self.called(sent);
        let start = self.intake.resume.go_on(sent);
        let call = self
            .registration
            .fan_out()
            .subscribe(&self.consumer, &self.shard, &start);
        let answer = bounded(
            &*self.clock,
            self.settings.call_limit,
            "SubscribeToShard",
            call,
        )
        .await;
        let answered = self.clock.now();
        // On its way the call may have been held up: that it has come is known now.
        self.called(answered);
        self.meters.answered_in(answered.since(sent));
        match answer {
            Ok(subscription) => {
                self.meters.opened.increment(1);
                tracing::debug!(?start, "subscribed");
                (self.subscription, self.opened) = (Some(subscription), sent);
                Ok(())
            }
            Err(error) => {
                self.meters.refused(cause(Happened::Failed(error.kind)));
                self.recover(error, sent)
            }
        }
    }

    /// The calls of a shard are counted with the registration too: they go on counting when the
    /// shard is opened anew.
    fn called(&mut self, at: Moment) {
        self.pace.called(at);
        self.registration.calls().called(&self.shard, at);
    }

    /// Waits for the next event, and in its midst for the memory that it takes: silence is only
    /// what is waited for the service.
    ///
    /// Only the two waits for the service are limited by [`SILENCE`]. The wait for memory in
    /// between is not: a handler that stands is not a fault of the subscription.
    async fn wait(&mut self, permit: &mut Permit) -> Waited {
        let Some(subscription) = &mut self.subscription else {
            return Waited::Over(Happened::Ended, None);
        };
        let began = self.clock.now();
        self.intake.asks();
        let begins = within(&*self.clock, SILENCE, subscription.begins());
        let Some(bytes) = self.turns.while_waiting(begins).await else {
            self.meters.waited_for(self.clock.now().since(began));
            return Waited::Over(Happened::Silent, None);
        };
        let for_it_to_begin = self.clock.now().since(began);
        if bytes > permit.bytes() {
            self.turns
                .while_waiting(self.seat.enlarge(permit, bytes, &*self.clock))
                .await;
        }
        let goes_on = self.clock.now();
        let next = within(&*self.clock, SILENCE, subscription.next());
        let waited = match self.turns.while_waiting(next).await {
            Some(Ok(Some(event))) => Waited::Event(event),
            Some(Ok(None)) => Waited::Over(Happened::Ended, None),
            Some(Err(error)) => Waited::Over(Happened::Failed(error.kind), Some(error)),
            None => Waited::Over(Happened::Silent, None),
        };
        let waited_for = for_it_to_begin + self.clock.now().since(goes_on);
        if waited_for < WAITED {
            // It may have lain in the buffers of the connection.
            self.intake.knows_not_when();
        }
        self.meters.waited_for(waited_for);
        waited
    }

    /// An event in the form in which it is handed on; nothing if it says nothing.
    ///
    /// Its continuation is a place further on than its last record. It is used for the next
    /// subscription only as long as nothing behind it can have expired.
    fn take_in(&mut self, event: Pushed, permit: Permit) -> Option<Fetched> {
        let told = event.continuation.clone().zip(event.millis_behind_latest);
        let fetched = self.take_in_records(event, permit);
        if let Some((place, millis)) = told {
            let trusted = trusted_for(
                self.registration.fan_out().retention(),
                millis,
                self.settings.call_limit,
            );
            // An event may have waited long before it is taken in.
            self.intake.resume.told(place, self.opened + trusted);
        }
        fetched
    }

    /// The same without the continuation. An empty event gives its permit back to the reader, so an
    /// idle shard takes no memory from the others.
    fn take_in_records(&mut self, event: Pushed, mut permit: Permit) -> Option<Fetched> {
        self.pace.after(Happened::Delivered, self.clock.now(), 0.0);
        self.turns.read();
        self.meters.events.increment(1);
        if !event.named.is_empty() {
            self.named.clone_from(&event.named);
        }
        if event.end.is_some() {
            self.subscription = None;
            self.meters.ended("shard_end");
        }
        if event.records.is_empty()
            && event.end.is_none()
            && !self.intake.is_read(event.millis_behind_latest)
        {
            self.meters.empty.increment(1);
            self.permit = Some(permit);
            return self.intake.take_in_empty(event.millis_behind_latest);
        }
        let bytes = occupied(&event.records);
        if !event.records.is_empty() {
            (self.quiet_since, self.asking) = (self.clock.now(), None);
            self.intake.size.observe(1, bytes);
            self.meters.bytes.increment(
                event
                    .records
                    .iter()
                    .map(|record| record.data.len() as u64)
                    .sum(),
            );
        }
        permit.correct(bytes);
        let is_full = event.records.len() >= MAX_RECORDS as usize;
        self.intake.take_in(
            event.records,
            is_full,
            event.millis_behind_latest,
            event.end,
            permit,
        )
    }

    /// The subscription is over: another one is made when the pace allows it.
    fn over(&mut self, happened: Happened, error: Option<Error>) -> Result<(), FetchError> {
        self.subscription = None;
        self.meters.ended(cause(happened));
        match error {
            Some(error) => self.recover(error, self.clock.now()),
            None => {
                tracing::debug!(?happened, "a subscription has ended");
                if happened == Happened::Silent {
                    // The service sends an event each few seconds: what does not come has been lost
                    // on the way.
                    let error =
                        format!("SubscribeToShard: the subscription sent no event for {SILENCE:?}");
                    self.turns.failed_with(ErrorKind::Unreachable, error.into());
                }
                self.pace.after(happened, self.clock.now(), jitter());
                Ok(())
            }
        }
    }

    /// What an error asks for. The pause is waited for before the next call.
    fn recover(&mut self, error: Error, sent: Moment) -> Result<(), FetchError> {
        tracing::debug!(error = %error, kind = ?error.kind, "a subscription failed");
        self.turns.failed(&error);
        match error.kind {
            ErrorKind::Denied => return Err(FetchError::Denied(error)),
            ErrorKind::Fatal => return Err(FetchError::Fatal(error)),
            ErrorKind::Gone => self.doubted = Some(sent),
            ErrorKind::Expired
            | ErrorKind::Throttled
            | ErrorKind::Busy
            | ErrorKind::Transient
            | ErrorKind::Unreachable => {}
        }
        self.pace
            .after(Happened::Failed(error.kind), self.clock.now(), jitter());
        Ok(())
    }

    /// One step on the way to the next thing that says something.
    ///
    /// It returns after each thing that happened, so that the loop tells the lease's writer that it
    /// turns.
    async fn step(&mut self) -> Result<Option<Fetched>, FetchError> {
        if (std::mem::take(&mut self.ask_now) || self.is_to_ask())
            && let Some(fetched) = self.ask().await
        {
            return Ok(Some(fetched));
        }
        let mut permit = self.make_room().await;
        self.subscribe().await?;
        if self.subscription.is_some() {
            match self.wait(&mut permit).await {
                Waited::Event(event) => return Ok(self.take_in(event, permit)),
                Waited::Over(happened, error) => self.over(happened, error)?,
            }
        }
        // Not what was for an event that did not come.
        permit.correct(permit.bytes().min(self.seat.set_aside()));
        self.permit = Some(permit);
        // Whether the shard has left the stream is for others to find out.
        Ok(std::mem::take(&mut self.gone).then(|| self.intake.gone()))
    }
}

impl Drop for FanOutFetch {
    fn drop(&mut self) {
        if self.subscription.is_some() {
            self.meters.ended("dropped");
        }
    }
}

/// What an end or a refusal is counted as.
const fn cause(happened: Happened) -> &'static str {
    match happened {
        Happened::Delivered | Happened::Ended => "ended",
        Happened::Silent => "silent",
        Happened::Failed(ErrorKind::Busy) => "busy",
        Happened::Failed(ErrorKind::Throttled) => "throttled",
        Happened::Failed(ErrorKind::Gone) => "gone",
        Happened::Failed(ErrorKind::Denied) => "denied",
        Happened::Failed(ErrorKind::Fatal) => "refused",
        Happened::Failed(ErrorKind::Transient | ErrorKind::Unreachable | ErrorKind::Expired) => {
            "reset"
        }
    }
}

#[async_trait]
impl Fetch for FanOutFetch {
    async fn next(&mut self) -> Result<Fetched, FetchError> {
        loop {
            self.turns.turned();
            if self.intake.has_ended() {
                // Nothing follows an end; whoever asks again waits for ever.
                std::future::pending::<()>().await;
            }
            if let Some(fetched) = self.step().await? {
                self.turns.turned();
                return Ok(fetched);
            }
        }
    }

    async fn open_again(&mut self, how: OpenAgain) {
        self.turns
            .while_waiting(pause(&*self.clock, how.after))
            .await;
        self.ask_now = how.is_closed;
        self.intake.goes_on();
    }
}

#[cfg(test)]
#[path = "fan_out_fetch_test.rs"]
mod tests;
