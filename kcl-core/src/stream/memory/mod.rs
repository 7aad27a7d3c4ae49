//! The stream of one process: for tests, simulations and benchmarks of an application.
//!
//! [`MemoryStream`] does what Kinesis does for a reader (places, paging, reshards, retention, the
//! end of a shard with its children, lag) on an injected [`Clock`](crate::Clock), and on demand
//! what Kinesis does on a bad day: cursors that expire, calls that fail, shards that leave. It
//! writes down who called what and when, so that a test can judge the pace of a reader.
//!
//! ```text
//!   put, split, merge, trim ---> [ Log: shards in a BTreeMap, records in order ] ---> list_shards, open, read
//!   fail_next, expire_cursors -> [ Ledger: faults to come, calls that came     ] ---> calls, call_count
//!   next_subscription ---------> [ Consumers: who is registered and subscribed ] ---> subscriptions, consumers
//! ```
//!
//! It pushes records too ([`FanOut`](crate::stream::FanOut)): as they are put, with an empty event
//! each five seconds, for five minutes a subscription; a second one of the same consumer and shard
//! is refused for five seconds and then takes over.
//!
//! Invariants: sequence numbers grow over the whole stream; a shard's arrival times never go back;
//! the same calls on the same clock give the same answers.

mod consumers;
mod fan_out;
mod ledger;
mod log;
mod place;
mod read;
mod shard;
mod stream;
mod subscription;

pub use consumers::{Subscribed, SubscriptionFault};
pub use ledger::{Call, Operation};
pub use stream::MemoryStream;
