use std::collections::BTreeMap;
use std::sync::Arc;

use kcl_core::stream::{Consumer, ConsumerArn, ConsumerStatus, WhichConsumer};

use crate::sim::runtime::At;

use super::wall;

/// The registered consumers of all streams of a world, with their subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    made: Vec<Made>,
    /// The last subscription of each consumer to each shard.
    subscribed: BTreeMap<(Arc<str>, usize), Subscribed>,
    /// How many consumers, and how many subscriptions, there ever were.
    numbers: u64,
}

#[derive(Debug)]
struct Made {
    stream: usize,
    name: Arc<str>,
    arn: ConsumerArn,
    at: At,
    active: At,
}

#[derive(Clone, Copy, Debug)]
struct Subscribed {
    number: u64,
    at: At,
}

/// Why there is no subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no such consumer.
    Unknown,
    /// The consumer is being made.
    NotActive,
    /// The last subscription is too young.
    TooSoon,
}

/// The service demands so long between two subscriptions of a consumer to a shard.
const BETWEEN_MS: u64 = 5_000;

impl Consumers {
    pub(crate) fn describe(
        &self,
        stream: usize,
        which: &WhichConsumer,
        now: At,
    ) -> Option<Consumer> {
        let is_meant = |made: &&Made| match which {
            WhichConsumer::Name(name) => made.stream == stream && made.name == *name,
            WhichConsumer::Arn(arn) => made.arn == *arn,
            _ => false,
        };
        self.made.iter().find(is_meant).map(|made| made.shown(now))
    }

    /// The new consumer; nothing when there is one of this name.
    pub(crate) fn register(
        &mut self,
        stream: usize,
        name: &str,
        now: At,
        creating_ms: u64,
    ) -> Option<Consumer> {
        if self
            .describe(stream, &WhichConsumer::Name(name.into()), now)
            .is_some()
        {
            return None;
        }
        self.numbers += 1;
        let arn = format!(
            "arn:aws:kinesis:us-east-1:000000000000:stream/sim-{stream}/consumer/{name}:{}",
            self.numbers
        );
        let made = Made {
            stream,
            name: name.into(),
            arn: ConsumerArn::new(arn),
            at: now,
            active: now.plus(creating_ms),
        };
        let shown = made.shown(now);
        self.made.push(made);
        Some(shown)
    }

    pub(crate) fn deregister(&mut self, arn: &ConsumerArn) {
        self.made.retain(|made| made.arn != *arn);
        self.subscribed.retain(|(of, _), _| **of != *arn.as_str());
    }

    /// A stream was deleted, and its consumers with it.
    pub(crate) fn forget(&mut self, stream: usize) {
        for made in self.made.extract_if(.., |made| made.stream == stream) {
            self.subscribed
                .retain(|(of, _), _| **of != *made.arn.as_str());
        }
    }

    /// The ARN of the consumer that was made first, if there is one.
    pub(crate) fn first(&self) -> Option<ConsumerArn> {
        self.made.first().map(|made| made.arn.clone())
    }

    /// Begins a subscription, which ends the one before it, and gives its number.
    pub(crate) fn subscribe(
        &mut self,
        arn: &ConsumerArn,
        shard: usize,
        now: At,
    ) -> Result<u64, Refused> {
        let made = self
            .made
            .iter()
            .find(|made| made.arn == *arn)
            .ok_or(Refused::Unknown)?;
        if now < made.active {
            return Err(Refused::NotActive);
        }
        let key = (Arc::from(arn.as_str()), shard);
        if self
            .subscribed
            .get(&key)
            .is_some_and(|last| now.since(last.at) < BETWEEN_MS)
        {
            return Err(Refused::TooSoon);
        }
        self.numbers += 1;
        self.subscribed.insert(
            key,
            Subscribed {
                number: self.numbers,
                at: now,
            },
        );
        Ok(self.numbers)
    }

    /// Whether a subscription is the last one of its consumer to its shard.
    pub(crate) fn has(&self, arn: &ConsumerArn, shard: usize, number: u64) -> bool {
        self.subscribed
            .get(&(Arc::from(arn.as_str()), shard))
            .is_some_and(|last| last.number == number)
    }
}

impl Made {
    fn shown(&self, now: At) -> Consumer {
        let status = if now < self.active {
            ConsumerStatus::Creating
        } else {
            ConsumerStatus::Active
        };
        Consumer::new(
            self.arn.clone(),
            Arc::clone(&self.name),
            status,
            wall(self.at),
        )
    }
}
