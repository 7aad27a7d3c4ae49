use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decide::consumer::State;
use crate::decide::reading::Failing;
use crate::lease::held::Held;
use crate::model::{Checkpoint, LeaseKey, Moment, Position, WorkerId};

/// What a worker is doing, at one instant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The worker.
    pub worker: WorkerId,
    /// The shards that it holds or has just ended, by their lease keys.
    pub shards: BTreeMap<LeaseKey, ShardStatus>,
    /// The bytes of the byte budget that are held.
    pub budget_used: usize,
    /// The whole byte budget.
    pub budget_total: usize,
}

/// What a worker is doing on one shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardStatus {
    /// Where its consumer is.
    pub state: State,
    /// Who holds the lease.
    pub owner: WorkerId,
    /// The stored checkpoint, as this worker has seen it last.
    pub checkpoint: Checkpoint,
    /// The newest position that was handed out and done.
    pub position: Option<Position>,
    /// How far behind the tip of the shard the last batch was.
    pub millis_behind_latest: Option<u64>,
    /// Records in the batch that the handler works on.
    pub in_flight: usize,
    /// That it is not read at present, and why; nothing when the last call of the stream was answered.
    pub failing: Option<ReadFailure>,
    /// User records that were processed since the lease was acquired.
    pub records: u64,
}

/// A shard is not read: every call that was to read it has failed since one was answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadFailure {
    /// When the first of them failed, by the clock of the worker.
    pub since: Moment,
    /// When the last one did.
    pub last: Moment,
    /// How many did.
    pub attempts: u32,
    /// What the last one came to, with its causes.
    pub error: Arc<str>,
}

impl ReadFailure {
    fn new((failing, error): (Failing, Arc<str>)) -> Self {
        Self { since: failing.since, last: failing.last, attempts: failing.attempts, error }
    }
}

/// Where consumers write what they do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<Shards>>);

/// What a consumer said last, and the lease, which knows what is stored.
type Shards = BTreeMap<LeaseKey, (ShardStatus, Arc<Held>)>;

impl Board {
    fn shards(&self) -> MutexGuard<'_, Shards> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, held: &Arc<Held>, owner: WorkerId) {
        let status = ShardStatus {
            state: State::WaitingForParents,
            owner,
            checkpoint: held.stored(),
            position: None,
            millis_behind_latest: None,
            in_flight: 0,
            failing: None,
            records: 0,
        };
        self.shards().insert(held.key().clone(), (status, Arc::clone(held)));
    }

    pub(crate) fn change(&self, key: &LeaseKey, change: impl FnOnce(&mut ShardStatus)) {
        if let Some((status, _)) = self.shards().get_mut(key) {
            change(status);
        }
    }

    pub(crate) fn remove(&self, key: &LeaseKey) {
        self.shards().remove(key);
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<LeaseKey, ShardStatus> {
        let with_checkpoint = |(key, (status, held)): (&LeaseKey, &(ShardStatus, Arc<Held>))| {
            (
                key.clone(),
                ShardStatus { checkpoint: held.stored(), failing: held.failing().map(ReadFailure::new), ..status.clone() },
            )
        };
        self.shards().iter().map(with_checkpoint).collect()
    }
}
