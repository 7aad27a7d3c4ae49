//! AWS Kinesis, or whatever speaks like it.
//!
//! [`KinesisStream`] turns the calls of [`Stream`](super::Stream) and [`FanOut`](super::FanOut)
//! into calls of Kinesis, one for one:
//!
//! | here | there |
//! |---|---|
//! | `describe` | `DescribeStreamSummary` |
//! | `list_shards` | `ListShards`; the HTTP `Date` of the answer is the service's time |
//! | `open` | `GetShardIterator` |
//! | `read` | `GetRecords`, by calls of our own where [`read_over`](KinesisStream::read_over) says so |
//! | `describe_consumer` | `DescribeStreamConsumer`; by name, it takes the stream's ARN, which is asked for once if it is not known |
//! | `register_consumer` | `RegisterStreamConsumer`, likewise |
//! | `deregister_consumer` | `DeregisterStreamConsumer`; when that is refused, `DescribeStreamConsumer` tells whether it is on its way |
//! | `subscribe` | `SubscribeToShard`, by connections of its own: see [`http`] |
//! | `next` of a subscription | nothing: it takes the next event off the response, which the SDK has only begun, and waits for it |
//!
//! It keeps no state beyond connections and the stream's ARN, and does not repeat calls. The SDK's
//! retries are off: the code that reads a shard paces and repeats its calls ([`classify`] says
//! which), and a retry underneath would use up the shard's 5 calls a second unseen. Every call has a
//! time limit; that of a subscription ends with its first event. From then on neither the SDK's
//! limits nor its protection against stalled streams apply to it: an idle shard sends an event every
//! few seconds, and the reader judges how long a silence may last. Pings show whether the connection
//! itself is alive.
//!
//! Every call is the SDK's, except that `GetRecords` may be made without it, in CBOR, at a third of
//! the cost; the SDK then says to which endpoint, with which credentials and at what time. The
//! events of a subscription are read here too, from the body of the response to the SDK's call, at
//! half the cost. They are in JSON: the service has no CBOR there.
//!
//! Record data is neither copied nor logged. Payloads are slices of the answer, or of the buffer
//! that they were decoded into, which is used again when the last of them is dropped. The SDK logs
//! all that it receives at the level `trace`; `GetShardIterator`, `GetRecords` and
//! `SubscribeToShard` are kept out of that.

mod call;
pub mod classify;
mod convert;
mod date;
mod event_reader;
mod failure;
mod fan_out;
pub mod http;
mod note_endpoint;
mod page_pool;
mod read;
mod setup;
mod stream;
mod subscription;
mod take_body;
mod wire;
#[cfg(test)]
mod wire_oracle;

pub use setup::SetupError;
pub use stream::KinesisStream;
