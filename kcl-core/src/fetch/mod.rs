//! The second step of the way of data: pages are read from the stream, in order, within the byte
//! budget.
//!
//! ```text
//!   Stream --- PollingFetch (cursor, pace, backoff) -> Prefetcher -> FetchItem ---> shard consumer
//!                  ^                                                       |
//!                  +---- ByteBudget: a permit from the request ------------+ until the batch is done
//!   FanOut ----- FanOutFetch (one subscription after another) -> the same Prefetcher
//! ```
//!
//! Invariants: the position to resume from moves only when a page has been delivered, so an expired
//! iterator, a failed call or a reset never skips a record. A shard that holds nothing never waits
//! for memory, except for a pushed event that is larger than its reserved part, and then not
//! forever; so a stalled handler stops no other shard.
//!
//! | part | decides | by the rules of |
//! |---|---|---|
//! | `polling` | when a page is requested, and what an error asks for | `decide::pace`, `decide::backoff` |
//! | `fan_out` | when a shard is subscribed to again | `decide::subscription`, `decide::registration` |
//! | `page_decoder` | what of an answer is handed on | `decide::gap`, `decide::bound`, `decide::lag` |
//! | `resume` | where the shard is opened again | its own |
//! | `size` | how many records are asked for | its own |
//! | `budget` | who may ask now | its own |
//! | `prefetcher` | how far ahead is read | the budget, and 8 pages |

mod budget;
pub(crate) mod fan_out;
mod fetched;
mod page_decoder;
mod polling;
mod prefetcher;
mod resume;
#[cfg(test)]
mod scene;
mod size;

pub use budget::ByteBudget;
pub(crate) use fetched::{Fetch, FetchError, OpenAgain, ReadEnd};
pub(crate) use page_decoder::{PageDecoder, bounded};
pub(crate) use polling::{PollingFetch, PollingSettings};
pub(crate) use prefetcher::{Batch, FetchItem, Prefetcher};
pub(crate) use resume::Resume;
