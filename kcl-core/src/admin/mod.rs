//! Administration of an application through its lease table: which worker holds which lease, which
//! workers are alive, which leases make no progress and why, how far behind the application is, and
//! what is wrong in the table. The program `kcl` uses this module, so your own program can do
//! whatever `kcl` does.
//!
//! ```text
//!   lease table --> Observer --> FleetView ----> check   finds problems, with advice
//!   stream ------> StreamView, measure_lag -------^
//! ```
//!
//! **Nothing here writes**, except [`import`], which only creates missing leases, and [`pause`],
//! [`resume`], [`seek`], [`assign`], [`unassign`], [`drain`] and [`undrain`]; each of their writes is
//! conditional. Whether a worker is
//! alive is judged by the same rule as among workers: by growing counters and the observer's own
//! clock. So it takes a while: a single reading of a table shows which workers it names, but not
//! whether they are alive.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use kcl_core::MemoryLeaseTable;
//! use kcl_core::admin::{LeaseState, Observer};
//! use kcl_core::lease::LeaseTable;
//! use kcl_core::model::{Checkpoint, Lease, LeaseKey};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), kcl_core::lease::Error> {
//! let table = MemoryLeaseTable::new();
//! table.create(&Lease::new(LeaseKey::single("shardId-000000000000"), Checkpoint::TrimHorizon)).await?;
//! let mut observer = Observer::new(Arc::new(table));
//! let fleet = observer.watch(Duration::from_secs(1)).await?;
//! assert_eq!(fleet.leases[0].state, LeaseState::Free);
//! assert!(fleet.workers.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! | question | answer |
//! |---|---|
//! | who holds what, who is alive, what is stuck? | [`Observer`], [`FleetView`] |
//! | what is wrong in the table? | [`check`](fn@check) |
//! | how far behind is the application? | by its workers [`FleetView::published_lag`], by the stream [`measure_lag`] |
//! | what does the stream look like? | [`StreamView`] |
//! | which records come in now? | [`Tail`] |
//! | how are checkpoints saved and restored? | [`Backup`], [`import`] |
//! | what does the lease table cost? | [`cost`](fn@cost) |
//!
//! With the feature `serde`, [`FleetView`], [`Finding`], [`LeaseLag`], [`FleetCost`] and [`Backup`]
//! can be serialized.

mod at_once;
mod backup;
mod check;
mod cost;
mod drains;
mod finding;
mod fleet;
mod judge;
mod lag;
mod moves;
mod observer;
mod pauses;
mod published;
mod record;
mod seek;
mod seek_plan;
#[cfg(feature = "serde")]
mod serialize;
mod settled;
mod shards;
mod tail;

pub use backup::{Backup, ImportError, ImportPlan, Imported, import};
pub use check::check;
pub use cost::{CostLine, FleetCost, cost};
pub use drains::{LeftBehind, drain, left_behind, undrain};
pub use finding::{Finding, FindingKind, Level};
pub use fleet::{FleetView, LeaseState, LeaseView, Life, Moved, Stuck, WorkerView};
pub use lag::{Asked, LeaseLag, measure_lag};
pub use moves::{assign, moved, unassign};
pub use observer::{Observer, Watching, read_table};
pub use pauses::{SteerError, drained, pause, resume};
pub use published::{FleetLag, PublishedLag, STUCK_AFTER};
pub use record::{InvalidRecord, LeaseRecord, PendingRecord, WrongValue};
pub use seek::seek;
pub use seek_plan::{SeekEffect, SeekStep, plan_seek};
pub use shards::{ShardBranch, StreamView, list_shards};
pub use tail::{Tail, TailPage, TailSettings};
