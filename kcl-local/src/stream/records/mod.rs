//! The records of the streams, in the order of their shards.
//!
//! ```text
//!   Logs ── stream name ──▶ StreamLog ── shard index ──▶ ShardLog ── index ──▶ StoredRecord
//!              │                gate: one put at a time
//!              └── Journal (one SQLite file, if the data is kept in a folder)
//! ```
//!
//! Invariants:
//! - A shard's records are ordered by index, without gaps from the oldest retained one on, and by
//!   arrival time.
//! - A record is visible only when every record before it in its shard is visible. Sequence numbers
//!   are assigned and records stored under the stream's gate, so a reader that has passed a
//!   position has never missed a record before it.
//! - A closed shard gets no more records: a reader that has seen the shard closed and has then
//!   passed the gate has seen every record that the shard will ever have.
//! - With a journal, a record is in the file before it is visible or acknowledged.

mod journal;
mod logs;
mod position;
mod record;
mod shard_log;
mod stream_log;

pub(super) use journal::Journal;
pub use journal::JournalError;
pub(super) use logs::Logs;
pub(super) use position::{Origin, Position};
pub(super) use record::StoredRecord;
pub(super) use shard_log::{Page, ShardLog};
pub(super) use stream_log::StreamLog;
