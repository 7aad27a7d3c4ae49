//! `Serialize` for the values of a status: each is its `Display` text, but a [`Timestamp`] is a
//! number.
//!
//! A script gets the same text as a person, so a value can be copied from one to the other.

use serde::{Serialize, Serializer};

use super::{Checkpoint, LeaseKey, Position, ShardId, StreamName, Timestamp, WorkerId};

macro_rules! as_text {
    ($($of:ty),*) => {
        $(impl Serialize for $of {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        })*
    };
}

as_text!(
    Checkpoint, LeaseKey, Position, ShardId, StreamName, WorkerId
);

impl Serialize for Timestamp {
    /// Serializes as milliseconds since 1970-01-01 UTC.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.as_millis())
    }
}
