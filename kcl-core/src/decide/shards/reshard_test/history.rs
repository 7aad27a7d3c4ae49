//! What a stream can go through: every order of splits and merges, up to six shards.

use std::collections::BTreeSet;

use crate::decide::shards::ShardGraph;
use crate::model::{HashKeyRange, InitialPosition, Shard, ShardId, Timestamp};
use crate::stream::ShardFilter;

/// Enough for a split after a merge and a merge after a split, and few enough to try every order of
/// events.
const MOST_SHARDS: usize = 6;

/// A shard of a history. Parents are indexes into [`History::nodes`].
#[derive(Clone, Debug)]
pub(super) struct ShardNode {
    pub(super) id: ShardId,
    pub(super) parents: Vec<usize>,
    pub(super) keys: HashKeyRange,
    /// The tick in which it was opened.
    pub(super) opened: u8,
    /// The tick from which it gets no more records. `None` if it stays open.
    pub(super) closed: Option<u8>,
}

/// A history of reshards.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// In the order in which they were opened.
    pub(super) nodes: Vec<ShardNode>,
    /// How many splits and merges there were, which is the last tick.
    pub(super) reshards: u8,
}

impl History {
    fn with_roots(roots: u128) -> Self {
        let mut history = Self::default();
        let width = u128::MAX / roots;
        for root in 0..roots {
            let end = if root + 1 == roots {
                u128::MAX
            } else {
                (root + 1) * width - 1
            };
            history.open(Vec::new(), HashKeyRange::new(root * width, end).unwrap());
        }
        history
    }

    fn open(&mut self, parents: Vec<usize>, keys: HashKeyRange) {
        let id = ShardId::from(self.nodes.len().to_string());
        self.nodes.push(ShardNode {
            id,
            parents,
            keys,
            opened: self.reshards,
            closed: None,
        });
    }

    fn close(&mut self, node: usize) {
        self.nodes[node].closed = Some(self.reshards);
    }

    /// Splits a shard in the middle of its keys.
    fn split(mut self, node: usize) -> Self {
        self.reshards += 1;
        self.close(node);
        let keys = self.nodes[node].keys;
        let middle = keys.start() + (keys.end() - keys.start()) / 2;
        self.open(vec![node], HashKeyRange::new(keys.start(), middle).unwrap());
        self.open(
            vec![node],
            HashKeyRange::new(middle + 1, keys.end()).unwrap(),
        );
        self
    }

    /// Merges two neighbours, the lower one first.
    fn merge(mut self, low: usize, high: usize) -> Self {
        self.reshards += 1;
        self.close(low);
        self.close(high);
        let keys =
            HashKeyRange::new(self.nodes[low].keys.start(), self.nodes[high].keys.end()).unwrap();
        self.open(vec![low, high], keys);
        self
    }

    /// This history and all that go on from it. Only neighbours can be merged, as in Kinesis.
    fn grow(self, all: &mut Vec<Self>) {
        let open: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].closed.is_none())
            .collect();
        for node in &open {
            if self.nodes.len() + 2 <= MOST_SHARDS {
                self.clone().split(*node).grow(all);
            }
            let next = self.nodes[*node].keys.end().checked_add(1);
            for neighbour in open
                .iter()
                .filter(|other| Some(self.nodes[**other].keys.start()) == next)
            {
                if self.nodes.len() < MOST_SHARDS {
                    self.clone().merge(*node, *neighbour).grow(all);
                }
            }
        }
        all.push(self);
    }

    /// All histories that begin with one shard or with two.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        Self::with_roots(1).grow(&mut all);
        Self::with_roots(2).grow(&mut all);
        all
    }

    /// What the service would list at this tick, if everything before `horizon` has expired.
    pub(super) fn list(&self, filter: &ShardFilter, now: u8, horizon: u8) -> ShardGraph {
        let open_at = |node: &ShardNode, at: u8| {
            node.opened <= at && node.closed.is_none_or(|closed| closed > at)
        };
        let wanted = |node: &&ShardNode| match filter {
            ShardFilter::All => {
                node.opened <= now && node.closed.is_none_or(|closed| closed > horizon)
            }
            ShardFilter::AtLatest => open_at(node, now),
            ShardFilter::AtTrimHorizon => open_at(node, horizon),
            ShardFilter::AtTimestamp(at) => {
                open_at(node, u8::try_from(at.as_millis()).unwrap().max(horizon))
            }
        };
        let shard = |node: &ShardNode| {
            let parents = node
                .parents
                .iter()
                .map(|parent| self.nodes[*parent].id.clone());
            let shard = Shard::new(node.id.clone(), node.keys).with_parents(parents);
            if node.closed.is_some_and(|closed| closed <= now) {
                shard.closed()
            } else {
                shard
            }
        };
        ShardGraph::new(self.nodes.iter().filter(wanted).map(shard)).unwrap()
    }
}

/// A tick as the service's time.
pub(super) fn time(tick: u8) -> Timestamp {
    Timestamp::from_millis(tick.into())
}

/// A set of ticks: those from `from` to before `to`.
pub(super) fn ticks(from: u8, to: u8) -> u8 {
    (from..to).fold(0, |set, tick| set | 1 << tick)
}

/// Where an application begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialStart {
    /// The tick in which its first worker starts.
    pub(super) at: u8,
    /// The oldest tick that is retained then.
    pub(super) horizon: u8,
    pub(super) initial: InitialPosition,
}

impl InitialStart {
    /// The first tick whose records the application wants and can get.
    pub(super) fn first_tick(self) -> u8 {
        match self.initial {
            InitialPosition::TrimHorizon => self.horizon,
            InitialPosition::Latest => self.at,
            InitialPosition::AtTimestamp(at) => {
                u8::try_from(at.as_millis()).unwrap().max(self.horizon)
            }
        }
    }

    /// With a fault the states are many: starts that lead to states of other starts are left out.
    /// An application that begins with the stream meets every backlog that a later one finds.
    pub(super) fn is_distinct(self) -> bool {
        self.horizon == 0
            && match self.initial {
                InitialPosition::TrimHorizon => self.at == 0,
                InitialPosition::Latest => self.at > 0,
                InitialPosition::AtTimestamp(at) => self.at > 1 && at == time(self.at - 1),
            }
    }

    pub(super) fn all(reshards: u8) -> Vec<Self> {
        let mut all = Vec::new();
        for at in 0..=reshards {
            for horizon in BTreeSet::from([0, at]) {
                let times = (1..=at).map(|at| InitialPosition::AtTimestamp(time(at)));
                for initial in [InitialPosition::TrimHorizon, InitialPosition::Latest]
                    .into_iter()
                    .chain(times)
                {
                    all.push(Self {
                        at,
                        horizon,
                        initial,
                    });
                }
            }
        }
        all
    }
}
