//! Which calls came, and which of the next ones will fail.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Moment, ShardId};
use crate::stream::{Error, ErrorKind};

/// An operation that a reader calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Stream::describe`](crate::stream::Stream::describe).
    Describe,
    /// [`Stream::list_shards`](crate::stream::Stream::list_shards).
    ListShards,
    /// [`Stream::open`](crate::stream::Stream::open).
    Open,
    /// [`Stream::read`](crate::stream::Stream::read).
    Read,
    /// [`FanOut::describe_consumer`](crate::stream::FanOut::describe_consumer).
    DescribeConsumer,
    /// [`FanOut::register_consumer`](crate::stream::FanOut::register_consumer).
    RegisterConsumer,
    /// [`FanOut::deregister_consumer`](crate::stream::FanOut::deregister_consumer).
    DeregisterConsumer,
    /// [`FanOut::subscribe`](crate::stream::FanOut::subscribe).
    Subscribe,
}

impl Operation {
    /// The service's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Describe => "DescribeStreamSummary",
            Self::ListShards => "ListShards",
            Self::Open => "GetShardIterator",
            Self::Read => "GetRecords",
            Self::DescribeConsumer => "DescribeStreamConsumer",
            Self::RegisterConsumer => "RegisterStreamConsumer",
            Self::DeregisterConsumer => "DeregisterStreamConsumer",
            Self::Subscribe => "SubscribeToShard",
        }
    }
}

/// A call that was made to the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The operation.
    pub operation: Operation,
    /// The shard that it concerned, if it concerned one.
    pub shard: Option<ShardId>,
    /// When it was made, on the stream's clock.
    pub at: Moment,
}

/// A failure of later calls, as a test has ordered it.
#[derive(Debug)]
struct PlannedFault {
    operation: Operation,
    /// `None` for any shard.
    shard: Option<ShardId>,
    /// How they fail, and so how the reader must react.
    kind: ErrorKind,
    /// How many calls it still applies to; never 0.
    left: u32,
}

/// How many calls are remembered one by one. A simulation of days makes more of them than memory
/// holds; the counts stay exact.
const REMEMBERED: usize = 1 << 16;

/// The calls that were made, and the failures of later ones.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The last calls, oldest first.
    calls: VecDeque<Call>,
    /// How many calls of each operation came for each shard, since the beginning.
    counts: BTreeMap<(Operation, Option<ShardId>), u64>,
    /// In the order in which they were ordered; the first one that applies to a call is used.
    faults: VecDeque<PlannedFault>,
}

impl Ledger {
    /// Records a call, and fails it if a test has ordered that.
    ///
    /// A call that fails is recorded too: a test of a pace counts the failed calls with the others.
    pub(super) fn enter(
        &mut self,
        operation: Operation,
        shard: Option<&ShardId>,
        at: Moment,
    ) -> Result<(), Error> {
        if self.calls.len() == REMEMBERED {
            self.calls.pop_front();
        }
        self.calls.push_back(Call {
            operation,
            shard: shard.cloned(),
            at,
        });
        *self.counts.entry((operation, shard.cloned())).or_default() += 1;

        let meets = |fault: &PlannedFault| {
            fault.operation == operation && (fault.shard.is_none() || fault.shard.as_ref() == shard)
        };
        let Some(index) = self.faults.iter().position(meets) else {
            return Ok(());
        };
        let fault = &mut self.faults[index];
        let kind = fault.kind;
        fault.left -= 1;
        if fault.left == 0 {
            self.faults.remove(index);
        }
        Err(Error::new(
            kind,
            operation.name(),
            "a failure that the test ordered",
        ))
    }

    /// Orders the next calls to fail. Orders for the same operation are used up in the order in
    /// which they were given.
    pub(super) fn fail_next(
        &mut self,
        operation: Operation,
        shard: Option<ShardId>,
        kind: ErrorKind,
        calls: u32,
    ) {
        if calls > 0 {
            self.faults.push_back(PlannedFault {
                operation,
                shard,
                kind,
                left: calls,
            });
        }
    }

    /// The last calls, oldest first.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    /// How many calls came in all, of one shard or of any.
    pub(super) fn count(&self, operation: Operation, shard: Option<&ShardId>) -> u64 {
        let counts = self
            .counts
            .iter()
            .filter(|((of, at), _)| *of == operation && (shard.is_none() || at.as_ref() == shard));
        counts.map(|(_, count)| count).sum()
    }
}
