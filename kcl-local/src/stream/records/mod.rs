//! The records of the streams: what was put, in the order of its shard.
//!
//! ```text
//!   Logs ── stream name ──▶ StreamLog ── shard index ──▶ ShardLog ── index ──▶ StoredRecord
//!              │                gate: one put at a time
//!              └── Journal (one SQLite file, if the data is kept in a folder)
//! ```
//!
//! Invariants:
//! - A shard's records are in order of their index, without gaps from the oldest that is retained,
//!   and of their arrival time.
//! - A record is visible only when every record before it in its shard is. Sequence numbers are
//!   given and records stored under the stream's gate, so a reader that has passed a position never
//!   misses a record before it.
//! - A shard that is closed gets no further record: whoever has seen the shard closed and has then
//!   passed the gate has seen every record that the shard will ever hold.
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
