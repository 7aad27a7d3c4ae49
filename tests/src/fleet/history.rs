use std::collections::BTreeMap;

use kcl_core::model::{SequenceNumber, ShardId, Timestamp};

use super::trace_line::{TraceLine, TracedCall};

/// What all workers together were given: of each shard, who had it when, and which records came
/// then.
#[derive(Clone, Debug, Default)]
pub struct DeliveryHistory {
    shards: BTreeMap<ShardId, Vec<DeliveredTenancy>>,
    /// Which tenancy of a process and shard goes on.
    open: BTreeMap<(usize, ShardId), usize>,
    given: u64,
}

/// The time from one `initialize` of a shard until its processor was told that it is over, or its
/// process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredTenancy {
    /// The process, by its place among all that were started.
    pub member: usize,
    /// When it began.
    pub begun: Timestamp,
    /// The records, in the order in which they came.
    pub given: Vec<(Timestamp, SequenceNumber)>,
    /// When the worker began to give it up gracefully.
    pub asked: Option<Timestamp>,
    /// When it was over. Nothing while it goes on, and for ever if its process was killed.
    pub over: Option<Timestamp>,
    /// Whether it ended with its shard.
    pub ended: bool,
}

impl DeliveryHistory {
    /// Takes a line of the trace of a process in. The lines of one process come in their order.
    pub fn take_in(&mut self, member: usize, line: TraceLine) {
        let TraceLine { at, shard, call } = line;
        let key = (member, shard);
        if call == TracedCall::Initialize {
            let tenancies = self.shards.entry(key.1.clone()).or_default();
            // Traces are read one process after the other.
            let place = tenancies.partition_point(|tenancy| tenancy.begun <= at);
            let fresh = DeliveredTenancy {
                member,
                begun: at,
                given: Vec::new(),
                asked: None,
                over: None,
                ended: false,
            };
            tenancies.insert(place, fresh);
            for ((_, shard), open) in &mut self.open {
                if *shard == key.1 && *open >= place {
                    *open += 1;
                }
            }
            self.open.insert(key, place);
            return;
        }
        let Some(place) = self.open.get(&key) else {
            return;
        };
        let Some(tenancy) = self
            .shards
            .get_mut(&key.1)
            .and_then(|tenancies| tenancies.get_mut(*place))
        else {
            return;
        };
        match call {
            TracedCall::Record(sequence) => {
                tenancy.given.push((at, sequence));
                self.given += 1;
            }
            TracedCall::ShutdownRequested => tenancy.asked = Some(at),
            TracedCall::LeaseLost | TracedCall::ShardEnded => {
                tenancy.over = Some(at);
                tenancy.ended = call == TracedCall::ShardEnded;
                self.open.remove(&key);
            }
            TracedCall::Initialize => {}
        }
    }

    /// The tenancies of each shard, in the order in which they began.
    #[must_use]
    pub const fn shards(&self) -> &BTreeMap<ShardId, Vec<DeliveredTenancy>> {
        &self.shards
    }

    /// How many records were handed out, each as often as it was.
    #[must_use]
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// How many records a process was given.
    #[must_use]
    pub fn given_to(&self, member: usize) -> usize {
        self.shards
            .values()
            .flatten()
            .filter(|tenancy| tenancy.member == member)
            .map(|tenancy| tenancy.given.len())
            .sum()
    }

    /// The tenancy of a shard that goes on in this process.
    #[must_use]
    pub fn open_in(&self, member: usize, shard: &ShardId) -> Option<&DeliveredTenancy> {
        self.shards
            .get(shard)?
            .get(*self.open.get(&(member, shard.clone()))?)
    }

    /// When the first record of a shard was handed out, at `since` or later, by another process
    /// than this one.
    #[must_use]
    pub fn first_elsewhere(
        &self,
        shard: &ShardId,
        member: usize,
        since: Timestamp,
    ) -> Option<Timestamp> {
        let others = self
            .shards
            .get(shard)?
            .iter()
            .filter(|tenancy| tenancy.member != member && tenancy.begun >= since);
        others
            .filter_map(|tenancy| tenancy.given.first())
            .map(|(at, _)| *at)
            .min()
    }

    /// When a process was given its first record.
    #[must_use]
    pub fn first_of(&self, member: usize) -> Option<Timestamp> {
        let own = self
            .shards
            .values()
            .flatten()
            .filter(|tenancy| tenancy.member == member);
        own.filter_map(|tenancy| tenancy.given.first())
            .map(|(at, _)| *at)
            .min()
    }
}
