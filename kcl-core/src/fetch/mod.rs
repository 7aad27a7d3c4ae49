//! The second station of the way of data: pages come out of the stream, in order, within the byte budget.
//!
//! ```text
//!   Stream --- Polling (cursor, pace, backoff) ---> Pump (prefetch) ---> Batch ---> shard consumer
//!                  ^                                                       |
//!                  +---- ByteBudget: a permit from the request ------------+ until the batch is done
//!   FanOut ----- Subscribed (a subscription after the other) -> the same Pump
//! ```
//!
//! Invariants: the place to resume from moves only when a page has been handed on, so an iterator that expires, a failed call or a
//! reset never skips a record; a shard that holds nothing never waits for memory, except for a pushed event that is larger than what is
//! set aside for it, and for that not for ever; so a stopped handler stops no other shard.

mod budget;
pub mod fan_out;
mod fetched;
mod page_decoder;
mod polling;
mod prefetcher;
mod resume;
#[cfg(test)]
mod scene;
mod size;

pub use budget::{ByteBudget, InvalidBudget};
pub(crate) use fetched::{Fetch, FetchError, OpenAgain, ReadEnd};
pub(crate) use page_decoder::{PageDecoder, bounded};
pub(crate) use polling::{PollingFetch, PollingSettings};
pub(crate) use prefetcher::{Batch, FetchItem, Prefetcher};
pub(crate) use resume::Resume;
