use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::lease::{Consistency, Error, LeaseTable};
use kcl_core::model::{Checkpoint, Lease, ShardId, Timestamp, WorkerId};
use kcl_core::{Clock, SystemClock};
use tokio::sync::watch;

/// The lease table as it is read again and again, from outside of all workers.
pub struct TableWatch {
    table: Arc<dyn LeaseTable>,
    seen: watch::Sender<TableSeen>,
    every: Duration,
}

/// What the table shows, and what was noticed on the way.
#[derive(Clone, Debug, Default)]
pub struct TableSeen {
    /// The leases of the last scan.
    pub leases: BTreeMap<ShardId, Lease>,
    /// The changes of owners, as far as two scans show them.
    pub moves: Vec<Move>,
    /// Stored checkpoints that went back.
    pub backwards: Vec<String>,
    /// When the table was read last.
    pub at: Option<Timestamp>,
    /// How often the table was read.
    pub looks: u64,
}

/// A lease has another owner than a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// When that was seen.
    pub at: Timestamp,
    /// Which.
    pub shard: ShardId,
    /// Who had it.
    pub from: Option<WorkerId>,
    /// Who has it.
    pub to: Option<WorkerId>,
}

impl TableWatch {
    /// Watches this table: looks so often.
    #[must_use]
    pub fn new(table: Arc<dyn LeaseTable>, every: Duration) -> Self {
        Self {
            table,
            seen: watch::Sender::default(),
            every,
        }
    }

    /// Looks for ever. A look that fails is made again: the table may not be there yet, or be busy.
    pub async fn run(&self) {
        loop {
            if let Ok(leases) = self.look().await {
                let at = SystemClock.wall();
                self.seen.send_modify(|seen| seen.take_in(leases, at));
            }
            SystemClock
                .sleep_until(SystemClock.now() + self.every)
                .await;
        }
    }

    async fn look(&self) -> Result<Vec<Lease>, Error> {
        let mut all = self.table.scan(None, Consistency::Strong).await?;
        while let Some(next) = all.next.take() {
            all.append(self.table.scan(Some(&next), Consistency::Strong).await?);
        }
        Ok(all.leases)
    }

    /// What was seen last.
    #[must_use]
    pub fn seen(&self) -> watch::Ref<'_, TableSeen> {
        self.seen.borrow()
    }
}

impl TableSeen {
    /// Takes in what a scan at this time gave, and notices what has changed since the one before.
    pub fn take_in(&mut self, leases: Vec<Lease>, at: Timestamp) {
        for lease in leases {
            let shard = lease.key.shard.clone();
            let before = self.leases.insert(shard.clone(), lease.clone());
            let from = before.as_ref().and_then(Lease::actual_owner).cloned();
            let to = lease.actual_owner().cloned();
            if from != to {
                self.moves.push(Move {
                    at,
                    shard: shard.clone(),
                    from,
                    to,
                });
            }
            let stored = before
                .map(|before| before.checkpoint)
                .filter(|before| lease.checkpoint < *before);
            if let Some(stored) = stored {
                self.backwards.push(format!(
                    "{shard}: {stored} was stored, then {}",
                    lease.checkpoint
                ));
            }
        }
        self.at = Some(at);
        self.looks += 1;
    }

    /// The leases of shards that are not done.
    pub fn live(&self) -> impl Iterator<Item = &Lease> {
        self.leases
            .values()
            .filter(|lease| lease.checkpoint != Checkpoint::ShardEnd)
    }

    /// The shards that are not done and belong to this worker.
    #[must_use]
    pub fn owned_by(&self, worker: &str) -> Vec<ShardId> {
        let owned = self.live().filter(|lease| {
            lease
                .actual_owner()
                .is_some_and(|owner| owner.as_str() == worker)
        });
        owned.map(|lease| lease.key.shard.clone()).collect()
    }

    /// Whether each shard that is not done belongs to one of these workers, and none of them has
    /// two more than another one.
    #[must_use]
    pub fn is_balanced(&self, workers: &[&str]) -> bool {
        let counts: Vec<usize> = workers
            .iter()
            .map(|worker| self.owned_by(worker).len())
            .collect();
        let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max()) else {
            return false;
        };
        let pending = self.live().any(Lease::hand_over_pending);
        !pending && most - least <= 1 && counts.iter().sum::<usize>() == self.live().count()
    }
}

impl fmt::Debug for TableWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableWatch")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
