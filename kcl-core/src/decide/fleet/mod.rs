//! What one worker knows of the fleet, and what it does about it.
//!
//! The [`Engine`] is told what was read and what became of what it has commanded, and answers with
//! [commands](FleetCommand) and with when it wants to be woken. One entry a lease ([`LeaseEntry`])
//! holds everything that this worker knows of it:
//!
//! ```text
//!   a scan, a row read by itself, a write --> row, since when it is known
//!   a plan, a hand-over ------------------->  the request for it, or that it was handed over
//!   a failure, a refusal ------------------>  until when it is left alone
//!
//!   what this worker is doing with it:
//!
//!               take or claim             it succeeded
//!    Nothing ------------------> Taking -----------------> Held, with a consumer
//!     ^                            |                        |                |
//!     |   another was first        |      its consumer has  |                |  its writer
//!     +----------------------------+      ended             v                v  has ended
//!     |                                       Held, without a consumer   HandlerLeft
//!     |                                                     |                |
//!     |      its writer has ended, or its handler returned  |                |
//!     +-----------------------------------------------------+----------------+
//! ```
//!
//! [`Schedule`](schedule::Schedule) says when it scans, audits and takes. [`OwnRow`] decides about the
//! worker's own row: heartbeats, the leaving mark, and what to do if another process has its name. It
//! has its own task, because no heartbeat may wait for a scan.
//!
//! A lease with which this worker has anything to do is not taken: two consumers of one shard must
//! never be. So it is with one that it leaves alone for now: it cools down after a
//! failure, its stream is out of reach, or it was read up to the bound of a reading.

mod command;
mod cool_down;
mod draining;
mod engine;
mod entries;
mod heartbeats;
mod lease_entry;
mod namesake;
mod neighbour;
#[cfg(test)]
mod notation;
mod own_row;
mod quiet;
mod request;
mod row_call;
mod row_event;
mod scan;
mod schedule;
mod tenancy;

pub use command::FleetCommand;
pub use draining::DrainChange;
pub use engine::{Engine, FleetSettings, NameIsTaken};
pub use entries::{LeaseEntries, OwnTokens};
#[cfg(test)]
pub(crate) use lease_entry::HandedOver;
pub use lease_entry::{LeaseEntry, LeaseWork};
pub use own_row::OwnRow;
pub use quiet::NeighbourState;
#[cfg(test)]
pub(crate) use request::OwnRequest;
pub use row_event::{RowCommand, RowEvent, RowFailure};
pub use scan::Scan;
pub use schedule::{AuditOutcome, DueStep, ReadingStep};
pub use tenancy::{AcquiredLease, After, TenancyOutcome};
