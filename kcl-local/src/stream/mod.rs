//! An embedded Kinesis-compatible stream for development, tests and benchmarks: a server within the
//! process, with nothing to install.
//!
//! Streams, shards, consumers and tags are in the store of an emulator ([ferrokinesis]). The
//! operations on which a consumer depends are answered here.
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
//! # How it differs from the emulator alone
//!
//! | operation | here | the emulator alone |
//! |---|---|---|
//! | `GetRecords` | at the end of a closed shard an empty page without `NextShardIterator`, with `ChildShards` | no `ChildShards` |
//! | | `MillisBehindLatest` is the age of the last record of the page while more follow, 0 at the tip | always 0 |
//! | | a page has at most 10,000 records and 10 MiB | no limit in bytes |
//! | `SubscribeToShard` | the end of a shard is an event with null `ContinuationSequenceNumber` and `ChildShards` | never null |
//! | | starts AT and AFTER a sequence number and AT a timestamp | these start at the beginning of the shard |
//! | | real `MillisBehindLatest`; events go out as records arrive | always 0; every 200 ms |
//! | | within 5 s of a success, another one of the same consumer and shard is rejected; later it takes over, and the old one ends with `ResourceInUseException` | any number, side by side |
//! | | ends with `ResourceNotFoundException` when the consumer is deregistered or the stream deleted | continues without the consumer |
//! | `RegisterStreamConsumer` | at most 20 per stream, of which 5 CREATING; a name stays in use while DELETING, and no ARN is used again | 20 |
//! | `DescribeStreamConsumer` | returns the stream's ARN | does not |
//! | `ListStreamConsumers` | `NextToken` continues the listing | starts again |
//! | `DeleteStream` | for a stream with consumers, rejected without `EnforceConsumerDeletion`; with it, the consumers are deleted too | leaves them behind |
//! | `GetShardIterator` | `AT_TIMESTAMP` after the last record is the tip | it is the beginning of the shard |
//! | `ListShards` | a stream that is CREATING is rejected with `ResourceInUseException` | it has no shards |
//! | | `NextToken` alone continues the listing; `ShardFilter`; shards without retained records are hidden | the second page fails; no filter |
//! | `PutRecord`(s) | a reader never passes a record that becomes visible later; arrival times in milliseconds | concurrent puts to a shard may be missed; seconds |
//! | | up to 10 MiB per call | 5 MiB |
//! | `UpdateShardCount` | splits and merges: every new shard has its one or two parents | no parents |
//! | any with `StreamName` | `StreamARN` instead of it, or both | some operations |
//! | any | CBOR as the service speaks it with the AWS SDK for Java: tagged times, lists and maps that do not say how long they are | times without a tag |
//!
//! # How it differs from the service
//!
//! | | here |
//! |---|---|
//! | signatures | required, but not checked |
//! | `UpdateShardCount` | is finished when the call returns; any number of shards is allowed, any number of times per day |
//! | limits | off unless switched on ([`LocalStreamBuilder::read_limits`], [`LocalStreamBuilder::write_limits`]); there are no limits on calls to other operations |
//! | `SubscribeToShard` | a call in CBOR is answered in CBOR; the service answers it with status 500, and the SDK for Java makes this one call in JSON |
//! | | over HTTP/1.1 too; an idle shard sends an empty event every second; how the service ends the subscription of a deregistered consumer is not documented |
//! | HTTP/2 | [`LocalStreamBuilder::max_concurrent_streams`] limits the requests per connection; the service's number is not published |
//! | retention | as configured for the stream; an expired record is removed when its shard is next read |
//! | encryption | only a flag on records; nothing is encrypted |
//! | `SplitShard`, `MergeShards` | a closed shard is not rejected (these are the emulator's) |
//! | streams, consumers | are CREATING, UPDATING or DELETING for a moment ([`LocalStreamBuilder::settle_time`]) |
//! | Channels, and other operations newer than the emulator | not supported |
//!
//! # HTTP
//!
//! The port answers HTTP/1.1, and HTTP/2 with prior knowledge. With the feature `stream-tls` and a
//! certificate (`LocalStreamBuilder::tls`), it answers HTTPS instead, and clients choose between
//! the two by ALPN.
//!
//! # Data in a folder
//!
//! With [`LocalStreamBuilder::folder`], records are written to an `SQLite` file, `records.sqlite`,
//! before they are acknowledged, and streams to other files in the folder. Everything is read into
//! memory at the start. If the process dies, no acknowledged record is lost; if the machine
//! crashes, the last moments may be lost.
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
//! // A worker that reads it.
//! let builder = Worker::builder().stream("orders").source(kinesis.source("orders")?);
//!
//! // An AWS SDK client, for the rest of the Kinesis API.
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
