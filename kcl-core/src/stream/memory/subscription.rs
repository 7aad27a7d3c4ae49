//! One subscription: events as soon as there are records, and empty ones in between.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Moment, ShardId};
use crate::stream::{ConsumerArn, Error, Pushed, Subscription};

use super::MemoryStream;
use super::consumers::SubscriptionFault;
use super::place::LogPosition;
use super::read::millis_behind;

/// A subscription: delivers a shard's records as they are put.
#[derive(Debug)]
pub(super) struct MemorySubscription {
    stream: MemoryStream,
    /// Which of all subscriptions this one is. A later one of the same consumer to the same shard
    /// takes over, and this one then fails.
    number: usize,
    consumer: ConsumerArn,
    /// What it reads.
    shard: ShardId,
    /// Behind the last record that was delivered.
    place: LogPosition,
    /// When the last event was delivered.
    last: Moment,
    /// When it ends, five minutes after it began.
    until: Moment,
    /// How a test has ordered it to fail.
    fault: Option<SubscriptionFault>,
    /// How many events were delivered: a fault counts them.
    events: u32,
    /// Nothing more is delivered: the end was told, or an error was.
    over: bool,
}

/// How often the service sends an empty event while a shard is idle.
const EMPTY_EVENT: Duration = Duration::from_secs(5);
/// How many records one event holds at most.
const MAX_EVENT_RECORDS: usize = 10_000;
/// How many bytes of records one event holds at most.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What a subscription has to deliver at a given moment.
enum Due {
    /// An event, which may be empty.
    Event(Pushed),
    /// The end, without an error.
    Over,
    /// Nothing until this moment, unless a record is put.
    Nothing(Moment),
    /// Nothing, ever again.
    Silence,
}

impl MemorySubscription {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of its own, given once"
    )]
    pub(super) const fn new(
        stream: MemoryStream,
        number: usize,
        consumer: ConsumerArn,
        shard: ShardId,
        place: LogPosition,
        now: Moment,
        until: Moment,
        fault: Option<SubscriptionFault>,
    ) -> Self {
        Self {
            stream,
            number,
            consumer,
            shard,
            place,
            last: now,
            until,
            fault,
            events: 0,
            over: false,
        }
    }

    /// Ends it, and notes when the subscriber learned of that.
    fn over(&mut self) {
        self.over = true;
        let now = self.stream.now();
        self.stream.state().consumers.over(self.number, now);
    }

    /// What there is to deliver now. A fault that a test has ordered comes before everything else,
    /// then the end of the consumer or of the subscription, and only then records:
    ///
    /// ```text
    ///   fault of a test --> consumer gone, taken over --> five minutes over --> records
    ///        |                        |                          |                 |
    ///   Over, Err, Silence           Err                        Over        Event, Nothing
    /// ```
    fn look(&mut self) -> Result<Due, Error> {
        let now = self.stream.now();
        let state = self.stream.state();
        match self.fault {
            Some(SubscriptionFault::EndAfter(events)) if self.events >= events => {
                return Ok(Due::Over);
            }
            Some(SubscriptionFault::BreakAfter(events, kind)) if self.events >= events => {
                return Err(Error::new(
                    kind,
                    "SubscribeToShard",
                    "a failure that the test ordered",
                ));
            }
            Some(SubscriptionFault::SilentAfter(events)) if self.events >= events => {
                return Ok(Due::Silence);
            }
            _ => {}
        }
        state
            .consumers
            .still_holds(self.number, &self.consumer, &self.shard, now)?;
        if now >= self.until {
            return Ok(Due::Over);
        }
        let log = state.log.shard("SubscribeToShard", &self.shard)?;
        let found = log.read(&self.place, MAX_EVENT_RECORDS, MAX_EVENT_BYTES);
        let is_last = log.shard.closed && !found.more;
        let next = self.last + EMPTY_EVENT;
        if found.records.is_empty() && !is_last && now < next {
            return Ok(Due::Nothing(next.min(self.until)));
        }
        let behind = millis_behind(&found, self.stream.wall());
        let event = Pushed::new(found.records).behind(behind);
        let event = if is_last {
            event.last(log.children.clone())
        } else {
            event.continued_at(found.next.sequence().clone())
        };
        (self.place, self.last, self.over) = (found.next, now, is_last);
        self.events += 1;
        Ok(Due::Event(event))
    }
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        while !self.over {
            // Created before the check: otherwise a record that is put between the two would not
            // wake this task.
            let changed = self.stream.next_change();
            match self.look() {
                Ok(Due::Event(event)) => return Ok(Some(event)),
                Ok(Due::Over) => self.over(),
                Ok(Due::Nothing(until)) => {
                    let clock = self.stream.clock();
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = clock.sleep_until(until) => {}
                    }
                }
                Ok(Due::Silence) => std::future::pending().await,
                Err(error) => {
                    self.over();
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}
