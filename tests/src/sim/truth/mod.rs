//! What is really so: the rows of the lease table and the records of the stream, without any fault.
//! The invariants are judged against this; the workers only see it through their links.

mod consumers;
mod shard;
mod stream;
mod table;

pub(crate) use consumers::{Consumers, Refused};
pub(crate) use shard::{ShardTruth, index_of, shard_in};
pub(crate) use stream::{Read, StreamTruth, since_beginning, wall};
pub(crate) use table::TableTruth;
