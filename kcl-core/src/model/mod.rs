//! Plain values: what a shard, a lease, a record and a position are.
//!
//! Nothing here acts. The types know how they are ordered, how they are written as text and what
//! makes one of them valid; everything else is decided in `decide` and done in the folders that
//! follow it.

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
