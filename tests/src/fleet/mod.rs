//! The parts of the program `fleet`: many worker processes on one lease table, what is done to
//! them, and what came of it.
//!
//! ```text
//!   Producer -> embedded stream -> worker processes -- a trace each ------------+
//!                                      |                                        v
//!                                   LoggedTable -> lease table -> TableWatch   History -> Verdict
//!                                      +-- a log of calls each ------------------^
//! ```
//!
//! A worker process is this program itself (`fleet worker`, see [`run_worker`]). The program that
//! starts them, [`Fleet`], knows what was put, reads their traces, and judges afterwards: what was
//! put and handed to nobody is lost; what was handed out twice has a cause, and the only ones that
//! excuse it are that its owner was killed or frozen.

mod acts;
mod deed;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named for"
)]
mod fleet;
mod history;
mod keys;
mod logged_table;
mod measure;
mod member;
mod network;
mod options;
mod plan;
mod producer;
mod report;
mod script;
mod show;
mod signals;
mod slow;
mod table_log;
mod table_watch;
mod tail;
mod trace_line;
mod verdict;
mod view;
mod waits;
mod worker;
pub mod write_lock;

pub use deed::{Deed, What};
pub use fleet::{Fleet, Setup};
pub use history::{DeliveredTenancy, DeliveryHistory};
pub use logged_table::LoggedTable;
pub use measure::{Figure, measure};
pub use member::{Member, MemberState};
pub use network::{Harm, HarmedService, Link, Trouble, Upstream};
pub use options::{Command, Options, Part};
pub use plan::Plan;
pub use producer::Producer;
pub use report::Report;
pub use script::{Action, Script, Whom};
pub use show::{SOME_OF_EVERYTHING, show};
pub use table_log::{TableCall, TableRow, checkpoints_that_went_back};
pub use table_watch::{Move, TableSeen, TableWatch};
pub use tail::Tail;
pub use trace_line::{TraceLine, TracedCall};
pub use verdict::{Cause, PutLog, ShardParents, Verdict};
pub use waits::NotInTime;
pub use worker::{WorkerOptions, run_worker};
