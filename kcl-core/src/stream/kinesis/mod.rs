//! AWS Kinesis, or whatever speaks like it.
//!
//! [`KinesisStream`] turns the calls of [`Stream`](super::Stream) into calls of the AWS SDK, one for one:
//!
//! | here | there |
//! |---|---|
//! | `describe` | `DescribeStreamSummary` |
//! | `list_shards` | `ListShards`; the HTTP `Date` of the answer is the service's time |
//! | `open` | `GetShardIterator` |
//! | `read` | `GetRecords` |
//!
//! It keeps no state beyond the SDK's connections and does not try again: the SDK's retries are off, because whoever reads a shard
//! paces and repeats calls himself ([`classify`] says which), within 5 calls a second and shard that retries underneath would use
//! up unseen. Every call has a time limit. Record data is neither copied nor logged: payloads are the buffers that the SDK decoded
//! them into, and the SDK, which at the level `trace` logs all that it receives, logs nothing of `GetShardIterator` and `GetRecords`.

pub mod classify;
mod convert;
mod date;
mod failure;
mod fan_out;
pub mod http;
mod read;
mod setup;
mod stream;
mod subscription;

pub use setup::SetupError;
pub use stream::KinesisStream;
