//! The first step of a drain, for the command and for the page: the mark, if somebody is there to take
//! over.

use kcl_core::admin::{FleetView, Life, SteerError, drain};
use kcl_core::model::WorkerId;

use super::moves::is_dead;
use crate::table_at::OpenTable;

/// Why a worker is not drained.
pub(super) enum NotDrained {
    /// The fleet is not as it has to be: why, and what is expected.
    Fleet(String),
    /// Its row is not, or the table failed.
    Steer(SteerError),
}

/// Marks a worker as draining. `fleet` is as it was last seen, and judged.
pub(super) async fn begin_drain(
    table: &OpenTable,
    fleet: &FleetView,
    worker: &WorkerId,
) -> Result<(), NotDrained> {
    if let Some(why) = refusal(fleet, worker) {
        return Err(NotDrained::Fleet(why));
    }
    let marked = drain(&*table.table, worker).await;
    marked.map(drop).map_err(NotDrained::Steer)
}

/// How many leases a worker holds.
pub(super) fn leases_of(fleet: &FleetView, worker: &WorkerId) -> usize {
    let view = fleet.workers.iter().find(|view| view.worker == *worker);
    view.map_or(0, |view| view.leases)
}

/// Why a worker is not drained, as far as that takes to watch the fleet.
fn refusal(fleet: &FleetView, worker: &WorkerId) -> Option<String> {
    if is_dead(fleet, worker) {
        return Some(format!(
            "worker {worker} is dead: expected one that is alive; others take its leases anyway"
        ));
    }
    let takes_over = fleet
        .workers
        .iter()
        .any(|view| view.worker != *worker && view.life == Life::Alive && !view.draining);
    (!takes_over).then(|| {
        format!(
            "no other worker is alive and takes leases, so {worker} would keep what it has: start \
             another worker first"
        )
    })
}
