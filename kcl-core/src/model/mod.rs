//! Plain values: shards, leases, records, positions, checkpoints and times.
//!
//! The types define their ordering, their text form and what makes a value valid. They contain no
//! other behaviour: decisions are in `decide`, and the other modules carry them out.

mod checkpoint;
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
mod time;
mod utc;

pub use checkpoint::{Checkpoint, Pending};
pub use key::Key;
pub use lease::{Facts, Lease, LeaseKey, Token, WorkerId};
pub use name::{InvalidStreamName, StreamName};
pub use ownership::{Fence, LossReason, ShardRef};
pub use position::{InitialPosition, InvalidPosition, Position};
pub use record::{Encryption, RawRecord, Record};
pub use sequence::{InvalidSequenceNumber, SequenceNumber};
pub use shard::{ChildShard, HashKeyRange, InvalidHashKeyRange, Shard, ShardId};
pub use time::{InvalidTimestamp, Moment, Timestamp};
