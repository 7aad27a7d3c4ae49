//! The first step of the data path: what a reader needs from Kinesis.
//!
//! [`Stream`] lists shards, opens a shard at a position and reads pages of raw records. [`FanOut`]
//! has records pushed instead. [`memory::MemoryStream`] is a stream in memory, for tests and
//! benchmarks; `kinesis::KinesisStream` (feature `kinesis`) is the AWS service.

mod error;
mod fan_out;
#[cfg(feature = "kinesis")]
pub mod kinesis;
pub mod memory;
mod page;
mod source;

pub use error::{Error, ErrorKind};
pub use fan_out::{
    Consumer, ConsumerArn, ConsumerStatus, FanOut, Pushed, Subscription, WhichConsumer,
};
pub use page::{Cursor, Page, ShardFilter, ShardPage, ShardPageToken, StartAt, StreamDescription};
pub use source::Stream;
