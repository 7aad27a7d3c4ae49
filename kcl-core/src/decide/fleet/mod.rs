//! What one worker knows of the fleet, and what it does about it.
//!
//! One entry a lease ([`LeaseEntry`]) holds everything that this worker knows of it:
//!
//! ```text
//!   a scan, a row read by itself, a write --> row, since when it is known
//!   a plan, a hand-over ------------------->  the request for it, or that it was handed over
//!   a failure, a refusal ------------------>  until when it is left alone
//!
//!   what this worker has to do with it:
//!
//!             a take is sent        it is ours
//!     nothing -------------> Taking -----------> Held, with a consumer --------+
//!        ^                     |                   |            |              | its writer
//!        |  somebody was first |         its       | its writer |              | has ended
//!        +---------------------+    consumer ended |  has ended |              v
//!        |                                         v            |         HandlerLeft
//!        +------------------------------ Held, to be given back |              |
//!        |       its writer has ended                           |              | it has
//!        +------------------------------------------------------+--------------+ returned
//! ```
//!
//! A lease with which this worker has anything to do is not taken: two consumers of one shard must
//! never be. So it is with one that it leaves alone for now: it cools down after a
//! failure, its stream is out of reach, or it was read up to the bound of a reading.

mod cool_down;
mod entries;
mod lease_entry;
#[cfg(test)]
mod notation;
mod request;

pub use entries::{LeaseEntries, OwnTokens};
pub use lease_entry::{HandedOver, LeaseEntry, LeaseWork};
#[cfg(test)]
pub(crate) use request::OwnRequest;
