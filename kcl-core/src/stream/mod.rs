//! The first step of the way of data: what a reader needs from Kinesis.
//!
//! [`Stream`] lists shards, opens one at a place and reads pages of raw records; [`FanOut`] has
//! them pushed. [`memory::MemoryStream`] is a stream of one process, for tests and benchmarks;
//! `kinesis::KinesisStream` (feature `kinesis`) is the service.

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
