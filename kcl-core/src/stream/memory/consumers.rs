//! Who is registered with the stream, and who is subscribed to what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Moment, ShardId, Timestamp};
use crate::stream::{
    Consumer, ConsumerArn, ConsumerStatus, Error, ErrorKind, StartAt, WhichConsumer,
};

/// A fault of a later subscription, for a test: how it fails to deliver events for its full five
/// minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionFault {
    /// It ends without an error after this many events.
    EndAfter(u32),
    /// It fails with an error of this kind after this many events. With 0, it fails as soon as it
    /// is open.
    BreakAfter(u32, ErrorKind),
    /// It stays open but delivers nothing more after this many events.
    SilentAfter(u32),
}

/// A subscription that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribed {
    /// The shard.
    pub shard: ShardId,
    /// When it was opened, on the stream's clock.
    pub at: Moment,
    /// Where it started in the shard.
    pub start: StartAt,
    /// When the subscriber noticed its end, by asking for another event. `None` while it is open,
    /// or if it was dropped before.
    pub over: Option<Moment>,
}

/// The registered consumers of a stream and their subscriptions.
#[derive(Debug)]
pub(super) struct Consumers {
    /// The ARN of the stream, with which the ARNs of its consumers begin.
    stream: Arc<str>,
    /// All that were ever registered, by name. One that is gone stays until the name is used again.
    by_name: BTreeMap<Arc<str>, Registered>,
    /// The latest subscription of each consumer to each shard, as an index into `made`.
    last: BTreeMap<(ConsumerArn, ShardId), usize>,
    /// All subscriptions ever opened, oldest first: what a test asks for afterwards.
    made: Vec<Subscribed>,
    /// What the next subscriptions to a shard will suffer, in the order in which a test has asked
    /// for it.
    faults: BTreeMap<ShardId, VecDeque<SubscriptionFault>>,
    /// How long it takes to create a consumer, and to delete one.
    pub(super) delay: Duration,
    /// How long a subscription lasts.
    pub(super) session: Duration,
    /// How many consumers can be registered at most.
    pub(super) most: usize,
    /// How long a record is retained at least.
    pub(super) retention: Duration,
}

/// A consumer over its life: created, active, deleted. Its status follows from the clock alone, so
/// nothing has to happen at the moment when it changes.
#[derive(Debug)]
struct Registered {
    /// Contains the time of the registration, so it is never used again.
    arn: ConsumerArn,
    /// By the wall clock, as the service describes it.
    created_at: Timestamp,
    /// Until then it is being created.
    active_from: Moment,
    /// From then on it does not exist. Until then, once this is set, it is being deleted.
    gone_from: Option<Moment>,
}

/// The service's rule: a consumer can subscribe to a shard again five seconds after its last
/// subscription began. A reader that is refused so is told `Busy`: nothing is wrong, and it asks
/// again soon.
const BETWEEN_SUBSCRIPTIONS: Duration = Duration::from_secs(5);

impl Consumers {
    /// No consumer yet, and the service's limits: 20 consumers, 5 minutes a subscription.
    pub(super) fn new(stream: Arc<str>) -> Self {
        Self {
            stream,
            by_name: BTreeMap::new(),
            last: BTreeMap::new(),
            made: Vec::new(),
            faults: BTreeMap::new(),
            delay: Duration::ZERO,
            session: Duration::from_mins(5),
            most: 20,
            retention: Duration::ZERO,
        }
    }

    /// The consumers that exist at this moment, ordered by name.
    pub(super) fn all(&self, now: Moment) -> Vec<Consumer> {
        self.by_name
            .iter()
            .filter_map(|(name, registered)| registered.describe(name, now))
            .collect()
    }

    /// The consumer of this name or ARN.
    ///
    /// # Errors
    /// `Gone` if there is none, also if it was deleted.
    pub(super) fn describe(
        &self,
        operation: &'static str,
        which: &WhichConsumer,
        now: Moment,
    ) -> Result<Consumer, Error> {
        let found = match which {
            WhichConsumer::Name(name) => self
                .by_name
                .get(name)
                .and_then(|registered| registered.describe(name, now)),
            WhichConsumer::Arn(arn) => self
                .all(now)
                .into_iter()
                .find(|consumer| consumer.arn == *arn),
        };
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::Gone,
                operation,
                format!("the stream has no consumer {}", which.text()),
            )
        })
    }

    /// Registers a consumer under a name that is free. The ARN contains the time, so one that is
    /// registered again has another ARN, as in the service.
    pub(super) fn register(
        &mut self,
        operation: &'static str,
        name: &str,
        now: Moment,
        wall: Timestamp,
    ) -> Result<Consumer, Error> {
        // Also one that is being deleted has its name, and counts among the 20, until it is gone.
        let there = self.all(now);
        if there.iter().any(|consumer| &*consumer.name == name) {
            return Err(Error::new(
                ErrorKind::Busy,
                operation,
                format!("a consumer {name} exists already"),
            ));
        }
        if there.len() >= self.most {
            return Err(Error::new(
                ErrorKind::Throttled,
                operation,
                format!(
                    "the stream has {} consumers, as many as it may",
                    there.len()
                ),
            ));
        }
        let arn = ConsumerArn::new(format!(
            "{}/consumer/{name}:{}",
            self.stream,
            wall.as_millis() / 1000
        ));
        let registered = Registered {
            arn,
            created_at: wall,
            active_from: now + self.delay,
            gone_from: None,
        };
        let name: Arc<str> = name.into();
        let described = registered.describe(&name, now);
        self.by_name.insert(name, registered);
        described.ok_or_else(|| {
            Error::new(
                ErrorKind::Transient,
                operation,
                "the consumer was removed at once",
            )
        })
    }

    /// Starts to delete a consumer. A second call does not make it take longer.
    pub(super) fn deregister(&mut self, arn: &ConsumerArn, now: Moment) {
        let gone_from = now + self.delay;
        for registered in self
            .by_name
            .values_mut()
            .filter(|registered| registered.arn == *arn)
        {
            registered.gone_from.get_or_insert(gone_from);
        }
    }

    /// Opens a subscription, which takes over from the previous one; returns its number and its
    /// fault, if it was given one.
    pub(super) fn subscribe(
        &mut self,
        operation: &'static str,
        arn: &ConsumerArn,
        shard: &ShardId,
        start: &StartAt,
        now: Moment,
    ) -> Result<(usize, Option<SubscriptionFault>), Error> {
        let busy = |why: String| Err(Error::new(ErrorKind::Busy, operation, why));
        let consumer = self.describe(operation, &WhichConsumer::Arn(arn.clone()), now)?;
        if consumer.status != ConsumerStatus::Active {
            return busy(format!(
                "the consumer {} is {:?}",
                consumer.name, consumer.status
            ));
        }
        let key = (arn.clone(), shard.clone());
        if self
            .last
            .get(&key)
            .is_some_and(|last| now < self.made[*last].at + BETWEEN_SUBSCRIPTIONS)
        {
            return busy(format!(
                "{} subscribed to {shard} less than five seconds ago",
                consumer.name
            ));
        }
        // Also where the one before is still open: the newest wins, and the other learns it when it
        // next looks. So a worker that has died does not keep a shard from its successor for five
        // minutes.
        let number = self.made.len();
        self.made.push(Subscribed {
            shard: shard.clone(),
            at: now,
            start: start.clone(),
            over: None,
        });
        // The entry of the earlier one is overwritten, and that is how it is told that it was
        // replaced.
        self.last.insert(key, number);
        let fault = self.faults.get_mut(shard).and_then(VecDeque::pop_front);
        Ok((number, fault))
    }

    /// Checks that no other subscription has taken over, and that the consumer exists.
    pub(super) fn still_holds(
        &self,
        number: usize,
        arn: &ConsumerArn,
        shard: &ShardId,
        now: Moment,
    ) -> Result<(), Error> {
        let operation = "SubscribeToShard";
        let consumer = self.describe(operation, &WhichConsumer::Arn(arn.clone()), now)?;
        if consumer.status == ConsumerStatus::Deleting {
            return Err(Error::new(
                ErrorKind::Gone,
                operation,
                format!("the consumer {} was removed", consumer.name),
            ));
        }
        let last = self.last.get(&(arn.clone(), shard.clone()));
        if last != Some(&number) {
            return Err(Error::new(
                ErrorKind::Busy,
                operation,
                "another subscription has taken over",
            ));
        }
        Ok(())
    }

    /// Notes when the subscriber noticed the end of its subscription.
    pub(super) fn over(&mut self, number: usize, now: Moment) {
        if let Some(made) = self.made.get_mut(number) {
            made.over = Some(now);
        }
    }

    /// Every subscription that was ever opened, oldest first.
    pub(super) fn made(&self) -> &[Subscribed] {
        &self.made
    }

    /// Orders a fault for the next subscription to a shard. Several are used up one after another.
    pub(super) fn next_subscription(&mut self, shard: &ShardId, fault: SubscriptionFault) {
        self.faults
            .entry(shard.clone())
            .or_default()
            .push_back(fault);
    }
}

impl Registered {
    /// The consumer as the service would describe it now, or `None` if it is gone.
    fn describe(&self, name: &Arc<str>, now: Moment) -> Option<Consumer> {
        let status = match self.gone_from {
            Some(gone) if now >= gone => return None,
            Some(_) => ConsumerStatus::Deleting,
            None if now >= self.active_from => ConsumerStatus::Active,
            None => ConsumerStatus::Creating,
        };
        Some(Consumer::new(
            self.arn.clone(),
            Arc::clone(name),
            status,
            self.created_at,
        ))
    }
}
