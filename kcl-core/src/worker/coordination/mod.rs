//! The coordination side of a worker: who reads what. It runs on a thread and a runtime of its own.
//!
//! ```text
//!   look (snapshot) -> decide::expiry, decide::assignment -> take ----+
//!   audit (list shards) -> decide::shards -> create owned ------------+--> Writer (one a lease) + Assignment to the root
//!   shard's end -> children -> create owned --------------------------+
//! ```
//!
//! Every write goes through [`Settler`](crate::lease::settle::Settler), so nothing here has to guess what a lost answer meant.

mod audit;
mod context;
mod coordinator;
mod engaged;
mod family;
mod gate;
mod link;
mod moves;
mod presence;
mod signal;
mod view;

pub(crate) use link::{Assignment, Coordination, Leash, News, Whereabouts};
