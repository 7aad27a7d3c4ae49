//! The shards of a stream: which of them a listing shows, their children, and uniform resharding.
//!
//! Everything here is computed from the shards' descriptions, without a clock.
//!
//! The service's rules for listings depend on when shards were opened and closed, which the
//! emulator does not store. The times are in the sequence numbers, from where [`Lifetimes`] takes
//! them.

mod children;
mod filter;
mod lifetime;
mod token;
mod uniform;

pub(super) use children::{ChildShard, children};
pub(super) use filter::Filter;
pub(super) use lifetime::Lifetimes;
pub(super) use token::PageToken;
pub(super) use uniform::reshard;

#[cfg(test)]
mod uniform_test;
