//! What stands between a worker and everything outside of it: its clock, the gate that holds it
//! while it is frozen, and the links to the lease table and to the stream, with their faults.

mod clock;
mod gate;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named for"
)]
mod link;

pub(crate) use clock::SimClock;
pub(crate) use gate::Gate;
pub(crate) use link::{Life, Sent, Service};
