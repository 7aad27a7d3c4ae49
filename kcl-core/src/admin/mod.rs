//! What an operator asks of an application: who holds what, who is alive, what stands still and
//! why, how far behind it is, what is wrong in its lease table. The program `kcl` is made of this,
//! so whatever it can do, a program can.
//!
//! ```text
//!   lease table --> Observer --> FleetView ----> check   what is wrong, and what to do
//!   stream ------> StreamView, measure_lag -------^
//! ```
//!
//! **Nothing here writes**, except [`import`], which only creates leases that are not there. Who
//! counts as alive is judged by the same rule as the workers judge each other: by counters that
//! move, on a clock of one's own. So it takes a while: the first reading of a table tells who is
//! named in it and nothing of their lives.
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

mod backup;
mod check;
mod cost;
mod finding;
mod fleet;
mod judge;
mod lag;
mod observer;
mod record;
#[cfg(feature = "serde")]
mod serialize;
mod shards;
mod tail;

pub use backup::{Backup, ImportError, ImportPlan, Imported, import};
pub use check::check;
pub use cost::{CostLine, FleetCost, cost};
pub use finding::{Finding, FindingKind, Level};
pub use fleet::{FleetView, LeaseState, LeaseView, Life, Moved, Stuck, WorkerView};
pub use lag::{Asked, LeaseLag, measure_lag};
pub use observer::{Observer, Watching, read_table};
pub use record::{InvalidRecord, LeaseRecord, PendingRecord, WrongValue};
pub use shards::{ShardBranch, StreamView, list_shards};
pub use tail::{Tail, TailPage, TailSettings};
