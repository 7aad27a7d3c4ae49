//! Which workers are alive, as one observer sees it: judged by growing counters and the observer's
//! own monotonic clock, never by a wall clock.
//!
//! ```text
//!   a scan: all lease rows, all worker rows ---+
//!   a single row, read after a hint -----------+--> Members --+--> how long a lease's counter has stood still, when it expires
//!   a scan that failed ------------------------+              +--> which workers are alive, when each was last active
//!                                                             +--> whether another process uses a worker's name
//! ```
//!
//! **Evidence of life** is what a worker wrote itself: its worker row with a new counter, or a
//! lease with a token that the worker holds and whose counter has grown. Being named in a request,
//! hand-over or release is no evidence of life: a dead worker can be named. A row that is seen for
//! the first time counts as evidence at that moment; if its counter does not grow, the evidence
//! expires like any other.
//!
//! **What shows that a lease is held** is its own counter or, if the row of its holder says so, the
//! heartbeats of that row. Then the counter may stand still for hours, and the lease may be taken only
//! after the row has stood still for as long as a counter would have to, and was killed: a heartbeat
//! that was not seen makes the killing write fail.
//!
//! **Ages count only while scans are less than half a failover time apart.** After a longer gap
//! (the observer was paused, or the table unreachable) all ages start again: otherwise an observer
//! that wakes up would find the whole fleet expired.

mod lease_evidence;
mod lease_observation;
mod let_go;
#[expect(
    clippy::module_inception,
    reason = "a file holds one type, and this one's name is the folder's"
)]
mod members;
#[cfg(test)]
pub(crate) mod notation;
mod seen_lease;
mod watched_row;
mod worker_observation;

pub use let_go::{LetGo, is_let_go};
pub use members::Members;
pub use seen_lease::SeenLease;
pub use watched_row::WatchedRow;

/// Whether a counter under a worker's own name that was seen to move so often, and not by this
/// process, shows another live process with the same name. It may move once by a late write of a
/// previous process.
#[must_use]
pub const fn is_moved_by_another(moves: u32) -> bool {
    moves >= 2
}
