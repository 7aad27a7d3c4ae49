//! Where and how the reading of a shard begins, and whether the shard still exists.
//!
//! ```text
//!   row: checkpoint, facts --> resolve_start --> Resume --+
//!   mode, Registration ------> consumer_of ---------------+--> PollingFetch or FanOutFetch --> Prefetcher
//!   ByteBudget --------------> a share of it -------------+
//! ```
//!
//! A shard is opened for the first time after `initialize`, and again whenever there is a doubt
//! about where reading stands. No record is delivered twice by that, as the decoder drops what is
//! done.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::consumer::Step;
use crate::decide::first_time::{self, Missing};
use crate::decide::registration::{LONGEST, LONGEST_BEFORE_POLLING};
use crate::fetch::fan_out::{FanOutFetch, FanOutSettings, NoConsumer, Registration, SILENCE};
use crate::fetch::{
    Fetch, FetchError, PageDecoder, PollingFetch, PollingSettings, Prefetcher, Resume,
};
use crate::lease::with_causes;
use crate::meters::SubscriptionMeters;
use crate::model::{Checkpoint, Facts, Moment};
use crate::stream::{self, ConsumerArn, ErrorKind, Stream};
use crate::tenancy::held::OrderError;
use crate::worker::coordination::ShardFate;
use crate::worker::error::RunError;
use crate::worker::event::Event;

use super::{GiveUp, ShardConsumer};

/// The minimum time for a few polls if the [idle ceiling](crate::worker::Settings::idle_ceiling) is
/// very low, because calls may be slow. Five times the ceiling is a few polls otherwise.
const A_FEW_POLLS: Duration = Duration::from_secs(2);

impl ShardConsumer {
    /// Resolves the start of a row that begins at a time but does not contain it: the time is taken
    /// from the service's clock and stored in the row, so that a restart before the next checkpoint
    /// begins at the same place. `LATEST` must be a time and not the word: a shard that is opened
    /// with the word again after a failure would skip what arrived in between. The clock is the
    /// service's, because records are stamped by it.
    async fn resolve_start(&mut self) -> Result<(), Step> {
        let at = match first_time::missing(
            &self.row.checkpoint,
            &self.row.facts,
            self.stream.initial_position,
        ) {
            None => return Ok(()),
            Some(Missing::Configured(at)) => at,
            Some(Missing::Present) => {
                let turns = self.turns();
                let time = tokio::select! {
                    biased;
                    () = self.signalled() => return Err(self.signal_or_wait()),
                    time = turns.while_waiting(self.coordination.start_time(Arc::clone(&self.stream))) => time,
                };
                time.map_err(|unanswered| {
                    self.unanswered("to learn the service's time", &unanswered)
                })?
            }
        };
        let facts = Facts {
            start_at: Some(at),
            ..self.row.facts.clone()
        };
        match self.held.store_facts(facts.clone()).await {
            Ok(()) => {
                self.row.facts = facts;
                Ok(())
            }
            Err(OrderError::Throttled(error)) => {
                Err(self.step_failed("to keep where a shard begins", &with_causes(&*error)))
            }
            Err(_) => Err(self.lose()),
        }
    }

    /// Begins to read the shard, at the position after the records that are done.
    ///
    /// It begins anew after each reason to doubt where reading stands (a changed mode, a consumer
    /// that is gone, an end that was not confirmed), and therefore derives everything from what is
    /// stored or done, never from the feed before it.
    pub(super) async fn open_feed(&mut self) -> Result<Prefetcher, Step> {
        self.resolve_start().await?;
        // A feed that is opened again continues after the records that are done.
        let begin = self
            .done
            .clone()
            .map_or_else(|| self.begin.clone(), Checkpoint::At);
        let resume = Resume::new(&begin, &self.row.facts)
            .map_err(|error| self.stop_worker(RunError::Internal(error.to_string())))?;
        // A denied call is an error here only when it has been denied for the limit: see
        // `ServiceAccess`.
        let source = match self.stream.reader(&self.inner).await {
            Ok(source) => source,
            Err(error) => return Err(self.refused(error)),
        };
        // Before the share of the budget is taken: the search may take a minute, and the share
        // would be missing elsewhere.
        let consumer = self.consumer_of(&source).await?;
        let parts = &self.inner.parts;
        let (shard, seat) = (
            self.shard.shard.clone(),
            parts
                .budget
                .seat()
                .telling(self.background.memory().clone()),
        );
        let turns = self.turns();
        let clock = Arc::clone(&self.clock);
        let intake = PageDecoder::new(
            Arc::clone(&clock),
            self.meters.clone(),
            resume,
            self.row.hash_range,
            parts.settings.out_of_range,
        )
        .until(self.inner.bound());
        let call_limit = parts.settings.call_limit;
        self.subscribed = consumer.is_some();
        self.meters
            .lag
            .is_to_be_read(clock.now(), self.usual_silence());
        let fetch: Box<dyn Fetch> = match consumer {
            Some((registration, consumer)) => {
                let (polled, listed) = (Arc::clone(&source), self.stream.listed.clone());
                let settings = FanOutSettings {
                    call_limit,
                    memory_while_reading: source.memory_while_reading(),
                };
                let meters = SubscriptionMeters::new(&self.labels);
                Box::new(FanOutFetch::new(
                    registration,
                    consumer,
                    shard,
                    clock,
                    settings,
                    seat,
                    turns,
                    meters,
                    intake,
                    polled,
                    listed,
                ))
            }
            None => {
                // The limit of a single read may be set for a slow service, but never beyond that
                // of all calls.
                let read_limit = parts.settings.read_limit.min(call_limit);
                let (pace, max_records) = (parts.settings.pace(), parts.settings.max_records);
                let settings = PollingSettings {
                    pace,
                    max_records,
                    call_limit,
                    read_limit,
                };
                Box::new(PollingFetch::new(
                    source, shard, clock, settings, seat, turns, intake,
                ))
            }
        };
        // It reads ahead from now on, also while the handler is called.
        Ok(Prefetcher::start(fetch))
    }

    /// How long the stream may be silent about this shard while all is well: a few polls, or the
    /// usual silence of a subscription.
    pub(super) fn usual_silence(&self) -> Duration {
        let settings = &self.inner.parts.settings;
        if self.subscribed {
            SILENCE
        } else {
            A_FEW_POLLS.max(settings.idle_ceiling * 5)
        }
    }

    /// The fan-out consumer by which the shard is read; `None` if it is polled. If it is not
    /// available, what follows depends on the mode: polling, another attempt, or giving up the
    /// shard or the worker. The wait counts as progress; a registration may take up to a minute.
    async fn consumer_of(
        &mut self,
        source: &Arc<dyn Stream>,
    ) -> Result<Option<(Arc<Registration>, ConsumerArn)>, Step> {
        let stream = Arc::clone(&self.stream);
        let Some(wanted) = stream
            .consumer
            .as_ref()
            .filter(|_| !stream.is_polled_instead())
        else {
            return Ok(None);
        };
        let Some(fan_out) = source.fan_out() else {
            let why = NoConsumer::unsupported(stream.name.clone(), &wanted.which);
            return self
                .no_consumer(why, self.clock.now())
                .map_or(Ok(None), Err);
        };
        // Made by whichever shard is first, and shared: there is one consumer for the whole stream.
        let registration = stream.registration(|| {
            let (clock, call_limit) = (
                Arc::clone(&self.clock),
                self.inner.parts.settings.call_limit,
            );
            let longest = if wanted.may_poll {
                LONGEST_BEFORE_POLLING
            } else {
                LONGEST
            };
            Registration::new(
                stream.name.clone(),
                wanted.which.clone(),
                fan_out,
                clock,
                call_limit,
                longest,
            )
        });
        let (turns, since) = (self.turns(), self.clock.now());
        let consumer = tokio::select! {
            biased;
            () = self.signalled() => return Err(self.signal_or_wait()),
            consumer = turns.while_waiting(registration.consumer(Moment::default())) => consumer,
        };
        match consumer {
            Ok(consumer) => Ok(Some((Arc::clone(registration), consumer))),
            Err(why) => self.no_consumer(why, since).map_or(Ok(None), Err),
        }
    }

    /// Handles a missing consumer: the shard is polled if that is allowed (`None`), or else not
    /// read. `since` is when the consumer was first requested.
    fn no_consumer(&mut self, why: NoConsumer, since: Moment) -> Option<Step> {
        if self.poll_instead(&why) {
            return None;
        }
        // Tried again after a pause. If it lasts, the failover logic leaves the shard to a worker
        // that finds the consumer.
        if why.is_passing() {
            self.feed = None;
            let error: Arc<str> = with_causes(&why).into();
            let kind = why
                .source
                .as_ref()
                .map_or(ErrorKind::Transient, |source| source.kind);
            self.turns().failed_from(since, kind, Arc::clone(&error));
            return Some(self.step_failed_with(
                "to find the consumer for fan-out",
                Some(self.stream.name.clone()),
                &error,
            ));
        }
        // If one of several streams cannot be read, the others are still read.
        Some(if self.stream.is_one_of_several() {
            self.unreadable(&why)
        } else {
            self.stop_worker(RunError::NoConsumer(why))
        })
    }

    /// Gives up the shard for now; it is tried again after a pause.
    ///
    /// Another worker may be able to read it, for example one with other credentials, so the lease
    /// is released and this worker leaves it alone for a while.
    fn unreadable(&mut self, why: &(dyn std::error::Error + 'static)) -> Step {
        let error: Arc<str> = with_causes(why).into();
        self.say_unreadable(&error);
        self.stop_with(GiveUp::Unreadable(error))
    }

    /// Reports it in the status, as the last error of the shard, and as an event. The entry in the
    /// status stays after the lease is released, until this worker reads the shard again.
    pub(super) fn say_unreadable(&self, error: &Arc<str>) {
        self.inner
            .board
            .cannot_read(&self.row.key, Arc::clone(error), self.clock.wall());
        self.failed("to read the shard", error);
        self.inner.outlet.say(Event::ShardUnreadable {
            shard: self.shard.clone(),
            error: Arc::clone(error),
        });
    }

    /// Switches the stream to polling, if that is allowed: its shards open their feeds again. The
    /// first shard that finds out decides for the whole stream and reports it, so that an operator
    /// sees one event and not one for each shard. Returns whether polling is allowed.
    fn poll_instead(&mut self, why: &(dyn std::error::Error + 'static)) -> bool {
        let may_poll = self
            .stream
            .consumer
            .as_ref()
            .is_some_and(|wanted| wanted.may_poll);
        if may_poll {
            (self.feed, self.subscribed) = (None, false);
            if self.stream.poll_instead() {
                let reason: Arc<str> = with_causes(why).into();
                self.inner.outlet.say(Event::PolledInstead {
                    stream: self.stream.name.clone(),
                    reason,
                });
            }
        }
        may_poll
    }

    /// The step that follows if the shard cannot be read any further. `None` if the shard is opened
    /// again in another way.
    pub(super) fn cannot_read(&mut self, error: FetchError) -> Option<Step> {
        match error {
            // Polling needs other permissions.
            FetchError::Denied(error) | FetchError::Fatal(error)
                if self.subscribed && self.poll_instead(&error) =>
            {
                None
            }
            FetchError::Denied(error) => Some(self.unreadable(&error)),
            FetchError::Fatal(error) => Some(self.refused(error)),
            FetchError::NoConsumer(why) => self.no_consumer(why, self.clock.now()),
        }
    }

    /// Handles a stream of which this worker cannot read any shard. If it is one of several, the
    /// others are still read. A worker of a single stream ends with the error: there is nothing
    /// else that it could do, and a fatal cause must reach the caller of `run`.
    fn refused(&mut self, error: stream::Error) -> Step {
        if self.stream.is_one_of_several() {
            self.unreadable(&error)
        } else {
            self.stop_worker(RunError::Stream(error))
        }
    }

    /// The position up to which records were delivered. Records in progress are not lost: they are
    /// in this process.
    ///
    /// It is the lower edge of a gap that is reported, so it must not claim more than was
    /// delivered.
    pub(super) fn read_up_to(&self) -> Checkpoint {
        let read = if self.background.has_begun() {
            self.done.clone()
        } else {
            self.held.finished()
        };
        read.map_or_else(|| self.held.stored(), Checkpoint::At)
    }

    /// Finds out whether a shard that the service does not know was removed from the stream, or
    /// whether that answer was transient. If it was removed with records unread, these are reported
    /// as a gap, and reading goes on with its children: they are read from `TRIM_HORIZON`, as after
    /// a regular end. `None` if the shard still exists; it is then read on.
    pub(super) async fn look_for_gone(&mut self) -> Option<Step> {
        let turns = self.turns();
        let read = self.read_up_to();
        let found = tokio::select! {
            biased;
            () = self.signalled() => return Some(self.signal_or_wait()),
            found = turns.while_waiting(self.coordination.whereabouts(Arc::clone(&self.stream), self.row.key.clone(), read)) => found,
        };
        match found {
            ShardFate::Listed | ShardFate::Unknown => None,
            ShardFate::Left { gap, children } => {
                self.feed = None;
                self.children = children;
                Some(self.report_gap(gap).unwrap_or(Step::EndReached))
            }
            // If one of several streams cannot be listed, the others are still read.
            ShardFate::Failed(RunError::Stream(error)) => Some(self.refused(error)),
            ShardFate::Failed(cause) => Some(self.stop_worker(cause)),
        }
    }
}
