//! The steps of a seek, for the command and for the page.
//!
//! A checkpoint must not be set under a worker that reads: the worker's next checkpoint would
//! overwrite the new one. So a seek has steps, each of which leaves a state that is safe to stop in:
//!
//! ```text
//!   pause --> wait until the owners have drained their shards --> set the checkpoints --> resume
//!               | not in time: nothing is set, resume               | killed here: they stay paused,
//!                                                                   | which `kcl status` shows
//! ```
//!
//! Leases that were paused before stay paused afterwards: an operator wanted that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use kcl_core::admin::{SteerError, drained, pause, resume, seek};
use kcl_core::lease::LeaseTable;
use kcl_core::model::{Lease, LeaseKey, Timestamp};
use kcl_core::{Clock as _, InitialPosition, SystemClock};

use super::chosen::keys;

/// How many checkpoints are set at the same time, as `kcl_core::admin::pause` does with its writes.
const AT_ONCE: usize = 16;

/// A seek of some leases.
pub(super) struct Seeking {
    /// Where they are.
    pub(super) table: Arc<dyn LeaseTable>,
    /// As they were when they were chosen.
    pub(super) leases: Vec<Lease>,
    /// Where they are read on.
    pub(super) to: InitialPosition,
    /// How long the workers may take to drain their shards.
    pub(super) wait: Duration,
}

/// Why the shards were not set.
pub(super) enum NotSet {
    /// A lease was not as it had to be.
    Refused(SteerError),
    /// A worker did not drain them in time.
    Held(Vec<Lease>),
    /// It was to stop before it was done.
    Stopped,
}

impl From<SteerError> for NotSet {
    fn from(error: SteerError) -> Self {
        Self::Refused(error)
    }
}

impl Seeking {
    /// Pauses the leases that are not paused, sets all of them, and resumes those that it paused,
    /// whatever happens and also if `stopped` comes first. `tell` hears how many are set.
    ///
    /// It has to run to its end: if it is dropped, what it paused stays paused.
    pub(super) async fn run(
        &self,
        stopped: impl Future<Output = ()>,
        tell: impl FnMut(usize),
    ) -> Result<(), NotSet> {
        // Those that were paused before are left paused: who paused them knows nothing of this.
        let running: Vec<LeaseKey> = self
            .leases
            .iter()
            .filter(|lease| !lease.is_paused())
            .map(|lease| lease.key.clone())
            .collect();
        let setting = async {
            pause(&*self.table, &running, SystemClock.wall()).await?;
            self.set_paused(keys(&self.leases), tell).await
        };
        let outcome = tokio::select! {
            outcome = setting => outcome,
            () = stopped => Err(NotSet::Stopped),
        };
        // Those that this seek paused, whatever became of it. One that fails to be resumed is the
        // worst that can be left behind, so it is told last.
        let resumed = resume(&*self.table, &running).await;
        outcome.and_then(|()| Ok(resumed.map(drop)?))
    }

    /// Sets the checkpoints of paused leases when no worker holds them any more.
    async fn set_paused(
        &self,
        keys: Vec<LeaseKey>,
        mut tell: impl FnMut(usize),
    ) -> Result<(), NotSet> {
        let held = drained(&*self.table, &keys, self.wait, &SystemClock).await?;
        if !held.is_empty() {
            return Err(NotSet::Held(held));
        }
        // Records that come from now on are not skipped, and those before it have been processed.
        let now = SystemClock.wall();
        // In any order: each is a write on a row of its own.
        let mut setting = iter(keys)
            .map(|key| self.set_one(key, now))
            .buffer_unordered(AT_ONCE);
        let mut done = 0;
        while let Some(set) = setting.next().await {
            set?;
            done += 1;
            tell(done);
        }
        Ok(())
    }

    /// Sets one checkpoint, on the row as it is now. If the row changes in between, the write is
    /// refused and nothing is lost.
    async fn set_one(&self, key: LeaseKey, now: Timestamp) -> Result<(), SteerError> {
        let row = self.table.get(&key).await;
        let row = row.map_err(|source| SteerError::Table {
            lease: key.clone(),
            source,
        })?;
        match row {
            // Its last records were processed meanwhile.
            Some(row) if row.checkpoint.is_shard_end() => Ok(()),
            Some(row) => seek(&*self.table, &row, self.to, now).await.map(drop),
            None => Err(SteerError::Missing(key)),
        }
    }
}
