//! The coordination side of a worker: who reads what. It runs on a thread and a runtime of its own,
//! unless [`CoordinationOn`](crate::worker::CoordinationOn) says otherwise.
//!
//! ```text
//!   scan (all rows) ------+                                            +--> request, withdraw, give back, reap
//!   hint (rows by name) --+--> Engine (decide::fleet): commands -------+
//!   own writes -----------+                                            +--> take, claim --+
//!                                                                                         +--> Writer (one a lease)
//!   audit (list shards) ------------------------> decide::shards ----------> create ------+    + Assignment to the root
//!   a shard's end ------------------------------> children ----------------> create ------+
//!
//!   a row that asks for a lease of mine --------> Engine: the answer ------> the lease's Writer: hand over, or refuse
//! ```
//!
//! | file | what |
//! |---|---|
//! | `coordinator` | the loop around the [`Engine`](crate::decide::fleet::Engine); `observe` tells it what was read, `execute` carries its commands out, `results` follows up on jobs, `auditing` says when shards are compared with leases, `tenancies` begins and ends what is held |
//! | `moves` | the writes that move a lease between workers |
//! | `heartbeat` | this worker's own row: its heartbeats, and the mark that it is leaving |
//! | `signal` | the change signal, both ways |
//! | `describe`, `listing` | what a stream is, and whether the rows are its own; its shards |
//! | `audit`, `children`, `gate` | the shards compared with the leases; children, and shards that are gone; shards that wait for parents |
//! | `create` | the making of leases |
//! | `context`, `error`, `link` | what all of these work with; what can go wrong; the root's and the consumers' side |
//!
//! - **The loop waits for no call.** What asks the table or the stream is a job beside it, and its
//!   answer comes back as a value.
//! - **No guess.** Writes go through [`TableClient`](crate::tenancy::table_client::TableClient), so
//!   nothing here has to guess what a lost answer meant.
//! - **The change signal is a hint.** A scan finds what a lost announcement told of.

mod audit;
mod children;
mod context;
mod coordinator;
mod create;
mod describe;
mod error;
mod gate;
mod heartbeat;
mod kills;
mod link;
mod listing;
mod moves;
mod signal;

pub(crate) use crate::decide::fleet::After;
pub(crate) use error::CoordinationError;
pub(crate) use gate::AtGate;
pub(crate) use link::{
    Assignment, Coordination, CoordinationGuard, SaidEnd, ShardFate, ToRoot, Unanswered,
};
pub(crate) use listing::Listing;
