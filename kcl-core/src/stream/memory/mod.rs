//! A stream in the memory of one process, for tests, simulations and benchmarks.
//!
//! [`MemoryStream`] behaves like Kinesis does towards a reader (positions, paging, reshards,
//! retention, the end of a shard with its children, lag) on an injected [`Clock`](crate::Clock). On
//! demand it also fails like Kinesis: cursors expire, calls fail, shards are removed. It records
//! every call with its time, so that a test can check the pace of a reader.
//!
//! ```text
//!   put, split, merge, trim ---> [ Log: shards in a BTreeMap, records in order ] ---> list_shards, open, read
//!   fail_next, expire_cursors -> [ Ledger: faults to come, calls that came     ] ---> calls, call_count
//!   next_subscription ---------> [ Consumers: who is registered and subscribed ] ---> subscriptions, consumers
//! ```
//!
//! It also pushes records ([`FanOut`](crate::stream::FanOut)) as soon as they are put, with an
//! empty event every five seconds, for five minutes per subscription. A second subscription of the
//! same consumer to the same shard is rejected for the first five seconds, and then takes over.
//!
//! Invariants: sequence numbers grow across the whole stream; the arrival times in a shard never go
//! back; the same calls on the same clock give the same results.
//!
//! # Examples
//! A reader that must survive an expired iterator and a failed call:
//!
//! ```
//! use kcl_core::MemoryStream;
//! use kcl_core::stream::memory::Operation;
//! use kcl_core::stream::{ErrorKind, StartAt, Stream};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let stream = MemoryStream::new("orders", 1);
//! let (shard, _) = stream.put("customer-7", "an order")?;
//! let cursor = stream.open(&shard, &StartAt::TrimHorizon).await?;
//!
//! stream.fail_next(Operation::Read, ErrorKind::Throttled, 1);
//! assert_eq!(stream.read(&cursor, 100).await.unwrap_err().kind, ErrorKind::Throttled);
//! stream.expire_cursors();
//! assert_eq!(stream.read(&cursor, 100).await.unwrap_err().kind, ErrorKind::Expired);
//! assert_eq!(stream.call_count(Operation::Read, Some(&shard)), 2);
//! # Ok::<(), kcl_core::stream::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod consumers;
mod fan_out;
mod ledger;
mod log;
mod place;
mod read;
mod shard;
mod stream;
mod subscription;

pub use consumers::SubscriptionFault;
pub use ledger::Operation;
// What this project's own tests ask afterwards: the pace of calls, and where subscriptions began.
#[doc(hidden)]
pub use consumers::Subscribed;
#[doc(hidden)]
pub use ledger::Call;
pub use stream::MemoryStream;
