//! The stream of one process: for tests, simulations and benchmarks of an application.
//!
//! [`MemoryStream`] does what Kinesis does for a reader (places, paging, reshards, retention, the end of a shard with its
//! children, lag) on an injected [`Clock`](crate::Clock), and on demand what Kinesis does on a bad day: cursors that expire, calls
//! that fail, shards that leave. It writes down who called what and when, so that a test can judge the pace of a reader.
//!
//! ```text
//!   put, split, merge, trim ---> [ Log: shards in a BTreeMap, records in order ] ---> list_shards, open, read
//!   fail_next, expire_cursors -> [ Ledger: faults to come, calls that came     ] ---> calls, call_count
//! ```
//!
//! Invariants: sequence numbers grow over the whole stream; a shard's arrival times never go back; the same calls on the same clock
//! give the same answers.

mod ledger;
mod log;
mod place;
mod read;
mod shard;
mod stream;

pub use ledger::{Call, Operation};
pub use stream::MemoryStream;
