//! An embedded Kinesis-compatible stream, for development, tests and benchmarks: a server in the
//! process, nothing to install.
//!
//! Streams, shards, consumers and tags are in the emulator's store ([ferrokinesis]); what a
//! consumer depends on is answered here.
//!
//! ```text
//!   transport ─▶ server ─▶ front ─┬─▶ ops ─▶ records, shards ─▶ wire (JSON, CBOR)
//!   plain, TLS   HTTP/1.1,        │    ├───▶ subscriptions, consumers
//!                HTTP/2           │    └───▶ streams ─▶ emulator's store ◀┐
//!                                 └─▶ emulator's router ──────────────────┘
//! ```
//!
//! [ferrokinesis]: https://crates.io/crates/ferrokinesis
//!
//! # What is answered here, and how it differs from the emulator alone
//!
//! | operation | here | the emulator alone |
//! |---|---|---|
//! | `GetRecords` | at the end of a closed shard an empty page without `NextShardIterator`, with `ChildShards` | no `ChildShards` |
//! | | `MillisBehindLatest` is the age of the last record of the page while more follow, 0 at the tip | always 0 |
//! | | a page has at most 10,000 records and 10 MiB | no limit of bytes |
//! | `SubscribeToShard` | the end of a shard is an event with null `ContinuationSequenceNumber` and `ChildShards` | never null |
//! | | starts AT and AFTER a sequence number and AT a timestamp | these start at the beginning of the shard |
//! | | real `MillisBehindLatest`; events go out as records arrive | always 0; every 200 ms |
//! | | within 5 s of a success another of the same consumer and shard is refused; later it takes over, and the old one ends with `ResourceInUseException` | any number, side by side |
//! | | ends with `ResourceNotFoundException` when the consumer is deregistered or the stream deleted | goes on without the consumer |
//! | `RegisterStreamConsumer` | at most 20 a stream, and 5 that are CREATING; a name stays in use while DELETING, and no ARN is used again | 20 |
//! | `DescribeStreamConsumer` | says the stream's ARN | does not |
//! | `ListStreamConsumers` | `NextToken` goes on with the listing | begins again |
//! | `DeleteStream` | a stream with consumers is refused without `EnforceConsumerDeletion`, and takes them with it | leaves them behind |
//! | `GetShardIterator` | `AT_TIMESTAMP` behind the last record is the tip | it is the beginning of the shard |
//! | `ListShards` | a stream that is being made is refused with `ResourceInUseException` | it has no shards |
//! | | `NextToken` alone goes on with the listing; `ShardFilter`; shards without retained records are hidden | the second page fails; no filter |
//! | `PutRecord`(s) | a reader never passes a record that becomes visible later; arrival times in milliseconds | concurrent puts to a shard may be missed; seconds |
//! | | up to 10 MiB a call | 5 MiB |
//! | `UpdateShardCount` | splits and merges: every new shard has its one or two parents | no parents |
//! | any with `StreamName` | `StreamARN` instead of it, or both | some operations |
//! | any | CBOR with tagged times, as the AWS SDK for Java reads and writes it | times without tag |
//!
//! # What is not as in the service
//!
//! | | here |
//! |---|---|
//! | signatures | must be there; what they say is not checked |
//! | `UpdateShardCount` | is done when the call returns; any count of shards is allowed, any number of times a day |
//! | limits | off unless switched on ([`LocalStreamBuilder::read_limits`], [`LocalStreamBuilder::write_limits`]); those of calls to other operations do not exist |
//! | `SubscribeToShard` | over HTTP/1.1 too; an idle shard sends an empty event each second; with what the service ends the subscription of a deregistered consumer is not documented |
//! | HTTP/2 | as many requests a connection as [`LocalStreamBuilder::max_concurrent_streams`] says; the service's number is not published |
//! | retention | as set for the stream; a record is gone when it is read or followed after its time |
//! | encryption | is a mark on records; nothing is encrypted |
//! | `SplitShard`, `MergeShards` | a closed shard is not refused (the emulator's) |
//! | streams, consumers | are CREATING, UPDATING or DELETING for a moment ([`LocalStreamBuilder::settle_time`]) |
//! | Channels, and other operations newer than the emulator | unknown |
//!
//! # HTTP
//!
//! One port answers HTTP/1.1 and HTTP/2 with prior knowledge. With the feature `stream-tls` and a
//! certificate (`LocalStreamBuilder::tls`) it answers https instead, and a client chooses between
//! the two by ALPN.
//!
//! # Data in a folder
//!
//! With [`LocalStreamBuilder::folder`] records are in one `SQLite` file, `records.sqlite`, before
//! they are acknowledged, and streams in files beside it. All of it is read into memory at the
//! start. A process that dies loses nothing that was acknowledged; a machine that dies may lose the
//! last moments.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kcl_core::Worker;
//! use kcl_local::stream::LocalStream;
//!
//! let kinesis = LocalStream::start().await?;
//! kinesis.create("orders", 2).await?;
//! kinesis.put("orders", "customer-7", "an order").await?;
//!
//! // How a worker reads it.
//! let builder = Worker::builder().stream("orders").source(kinesis.source("orders")?);
//!
//! // A client of the AWS SDK, for everything else that the Kinesis API has.
//! kinesis.client().list_shards().stream_name("orders").send().await?;
//! # drop(builder);
//! # kinesis.stop().await;
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
mod consumers;
mod error;
mod front;
mod limits;
mod local_stream;
mod operate;
mod ops;
mod records;
mod restore;
mod server;
mod service;
mod shards;
mod streams;
mod subscriptions;
mod transport;
mod wire;

pub use builder::LocalStreamBuilder;
pub use error::StartError;
pub use local_stream::LocalStream;
pub use operate::{CallError, Put};
pub use records::JournalError;
