//! Plain values: shards, leases, records, positions, checkpoints and times.
//!
//! The types define their ordering, their text form and what makes a value valid. They contain no
//! other behaviour: decisions are in `decide`, and the other modules carry them out.
//!
//! ```text
//!   Stream         Shard        SequenceNumber       the service's terms
//!   StreamName     ShardId      Position, Record     a place in a shard, and what is there
//!   Lease          LeaseKey     Checkpoint, Facts    a row of the lease table
//!   WorkerId       Token        Fence, LossReason    who may write to it
//!   Throughput     Capacity                          what a shard carries, and what a worker can
//!   Timestamp      Moment                            wall clock, monotonic clock
//! ```
//!
//! What comes from a table or the network becomes one of these types at the border, or an
//! [`InvalidValue`] that says what was expected. Behind the border no text is parsed again.

mod assignee;
mod capacity;
mod checkpoint;
pub(crate) mod digits;
mod invalid;
mod key;
mod lease;
mod name;
mod ownership;
mod position;
mod record;
mod sequence;
#[cfg(feature = "serde")]
mod serialize;
mod shard;
mod throughput;
mod time;
mod utc;

pub use assignee::Assignee;
pub use capacity::Capacity;
pub use checkpoint::{Checkpoint, Pending};
pub use invalid::InvalidValue;
pub use key::Key;
pub use lease::{Facts, Lease, LeaseKey, Token, WorkerId};
pub use name::StreamName;
pub use ownership::{Fence, LossReason, ShardRef};
pub use position::{InitialPosition, Position};
pub use record::{Encryption, RawRecord, Record};
pub use sequence::SequenceNumber;
pub use shard::{ChildShard, HashKeyRange, Shard, ShardId};
pub use throughput::Throughput;
pub use time::{Moment, Timestamp};
