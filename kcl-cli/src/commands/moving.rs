//! The steps of a move, for the command and for the page.
//!
//! ```text
//!   assign ---- the worker has them ----> moved
//!      |
//!      +------- not in time ------------> the assignments are taken back, nothing is left to happen
//!      |                                  later
//!      +------- killed here ------------> they stay, and the moves go on without this program
//! ```

use std::sync::Arc;
use std::time::Duration;

use kcl_core::SystemClock;
use kcl_core::admin::{SteerError, assign, moved, unassign};
use kcl_core::lease::LeaseTable;
use kcl_core::model::{Lease, LeaseKey, WorkerId};

use super::chosen::keys;

/// A move of some leases.
pub(super) struct Moving {
    /// Where they are.
    pub(super) table: Arc<dyn LeaseTable>,
    pub(super) leases: Vec<LeaseKey>,
    /// The worker that is to have them.
    pub(super) to: WorkerId,
    /// How long it may take.
    pub(super) wait: Duration,
}

impl Moving {
    /// Assigns the leases, waits for the worker, and returns those that it does not have in time, or
    /// before `stopped`. Their moves are taken back: one that is made an hour later would surprise
    /// everybody. `tell` hears how many are left.
    pub(super) async fn run(
        &self,
        stopped: impl Future<Output = ()>,
        tell: impl Fn(usize) + Send + Sync,
    ) -> Result<Vec<Lease>, SteerError> {
        let (table, to) = (&*self.table, &self.to);
        let now = |leases: Vec<LeaseKey>| async move {
            moved(table, &leases, to, Duration::ZERO, &SystemClock, |_| {}).await
        };
        assign(table, &self.leases, to).await?;
        let left = tokio::select! {
            left = moved(table, &self.leases, to, self.wait, &SystemClock, tell) => left?,
            () = stopped => now(self.leases.clone()).await?,
        };
        if left.is_empty() {
            return Ok(left);
        }
        let left = keys(&left);
        unassign(table, &left).await?;
        // One of them may have been handed over at the last moment.
        now(left).await
    }
}
