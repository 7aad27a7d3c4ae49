//! The parts of the program `quickstart`, in the order in which a line goes through them.
//!
//! ```text
//!   corpus (files) -> producer -> embedded stream -> worker -> WordCounter -> Ledger (SQLite)
//!        \                 \                                                    |
//!         \                 Reshard: a split and a merge on the way             |
//!          plain pass ------------------------------------------------------> report
//! ```
//!
//! The numbers are exact even if runs are stopped or killed, because the ledger stores the position
//! of a shard in the same transaction as its counts. A record that is delivered again is recognised
//! by its position and not counted again.

mod corpus;
mod counted;
mod counter;
mod counts;
mod ledger;
mod line;
mod options;
mod plain;
mod producer;
mod progress;
mod recover;
mod report;

pub use corpus::{Corpus, CorpusError};
pub use counted::{Came, Counted};
pub use counter::WordCounter;
pub use counts::{Counts, ShardState, ShardView, Shards, Tally};
pub use ledger::{FileKey, Ledger, LedgerError};
pub use line::Line;
pub use options::{QuickstartOptions, State, StateError};
pub use plain::Count;
pub use producer::{NextLines, Producer, Put, PutProgress};
pub use progress::Progress;
pub use recover::recover;
pub use report::Report;
