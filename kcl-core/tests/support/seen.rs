use std::collections::BTreeMap;
use std::sync::Arc;

use kcl_core::model::{Position, ShardId};
use kcl_core::processor::ShardRef;
use kcl_core::stream::memory::MemoryStream;
use tokio::sync::watch;

use super::PATIENCE;

/// One thing that a processor was called for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    Initialize {
        attempt: u32,
        checkpoint: String,
        pending: Option<String>,
        fence: u64,
    },
    Process {
        attempt: u32,
        records: Vec<(Position, String)>,
    },
    ShardEnded {
        attempt: u32,
    },
    ShutdownRequested,
    LeaseLost {
        reason: String,
    },
}

/// Everything that the processors of a test were called for, in order.
#[derive(Clone, Debug)]
pub(crate) struct Seen(Arc<watch::Sender<Vec<(ShardId, Call)>>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Seen {
    pub(crate) fn add(&self, shard: &ShardRef, call: Call) {
        self.0
            .send_modify(|calls| calls.push((shard.shard.clone(), call)));
    }

    pub(crate) fn calls(&self) -> Vec<(ShardId, Call)> {
        self.0.borrow().clone()
    }

    /// The calls of one shard.
    pub(crate) fn calls_of(&self, shard: &ShardId) -> Vec<Call> {
        self.calls()
            .into_iter()
            .filter(|(of, _)| of == shard)
            .map(|(_, call)| call)
            .collect()
    }

    /// Waits until the calls are as wanted; fails after half a minute with what there is.
    pub(crate) async fn wait_for(&self, what: &str, wanted: impl Fn(&[(ShardId, Call)]) -> bool) {
        let mut calls = self.0.subscribe();
        let waited = tokio::time::timeout(PATIENCE, calls.wait_for(|calls| wanted(calls))).await;
        assert!(
            waited.is_ok(),
            "still waiting for {what}; seen: {:#?}",
            self.calls()
        );
    }

    pub(crate) async fn wait_for_records(&self, count: usize) {
        self.wait_for(&format!("{count} records"), |calls| {
            all_records(calls).len() >= count
        })
        .await;
    }

    pub(crate) async fn wait_for_initialized(&self, count: usize) {
        let initialized = |calls: &[(ShardId, Call)]| {
            calls
                .iter()
                .filter(|(_, call)| matches!(call, Call::Initialize { .. }))
                .count()
                >= count
        };
        self.wait_for(&format!("{count} calls of initialize"), initialized)
            .await;
    }

    /// How many records were handed out, every attempt counted.
    pub(crate) fn records(&self) -> usize {
        all_records(&self.calls()).len()
    }

    /// How many batches were handed out, every attempt counted.
    pub(crate) fn batches(&self) -> usize {
        self.calls()
            .iter()
            .filter(|(_, call)| matches!(call, Call::Process { .. }))
            .count()
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        all_records(&self.calls())
            .into_iter()
            .map(|(_, _, payload)| payload)
            .collect()
    }

    pub(crate) fn duplicates(&self) -> usize {
        let records = all_records(&self.calls());
        let distinct: std::collections::BTreeSet<_> =
            records.iter().map(|(shard, at, _)| (shard, at)).collect();
        records.len() - distinct.len()
    }

    /// The attempts of the batches of one shard with the payloads that each had.
    pub(crate) fn batches_of(&self, shard: &ShardId) -> Vec<(u32, Vec<String>)> {
        let batch = |call| match call {
            Call::Process { attempt, records } => Some((
                attempt,
                records.into_iter().map(|(_, payload)| payload).collect(),
            )),
            _ => None,
        };
        self.calls_of(shard).into_iter().filter_map(batch).collect()
    }

    /// How often a call came that is as wanted.
    pub(crate) fn count(&self, shard: &ShardId, wanted: impl Fn(&Call) -> bool) -> usize {
        self.calls_of(shard)
            .iter()
            .filter(|call| wanted(call))
            .count()
    }

    /// Waits for a call of one shard.
    pub(crate) async fn wait_for_call(
        &self,
        shard: &ShardId,
        what: &str,
        wanted: impl Fn(&Call) -> bool,
    ) {
        self.wait_for(&format!("{what} of {shard}"), |calls| {
            calls.iter().any(|(of, call)| of == shard && wanted(call))
        })
        .await;
    }

    pub(crate) fn last_of(&self, shard: &ShardId) -> Option<Position> {
        all_records(&self.calls())
            .into_iter()
            .filter(|(of, ..)| of == shard)
            .map(|(_, at, _)| at)
            .max()
    }

    pub(crate) fn assert_in_order(&self) {
        let mut last = BTreeMap::new();
        for (shard, at, _) in all_records(&self.calls()) {
            if let Some(before) = last.insert(shard.clone(), at.clone()) {
                assert!(before < at, "{shard}: {at} after {before}");
            }
        }
    }

    /// No record of a child before the last of its parents.
    pub(crate) fn assert_parents_first(&self, stream: &MemoryStream) {
        let records = all_records(&self.calls());
        for shard in stream.shards() {
            let first = records.iter().position(|(of, ..)| *of == shard.id);
            for parent in &shard.parents {
                let last = records.iter().rposition(|(of, ..)| of == parent);
                if let (Some(first), Some(last)) = (first, last) {
                    assert!(last < first, "{} began before {parent} was done", shard.id);
                }
            }
        }
    }
}

fn all_records(calls: &[(ShardId, Call)]) -> Vec<(ShardId, Position, String)> {
    let mut all = Vec::new();
    for (shard, call) in calls {
        if let Call::Process { records, .. } = call {
            all.extend(
                records
                    .iter()
                    .map(|(at, payload)| (shard.clone(), at.clone(), payload.clone())),
            );
        }
    }
    all
}
