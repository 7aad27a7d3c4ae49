//! Which leases this worker takes, asks for, claims and gives back.
//!
//! ```text
//!   rows, workers --+                        +-- take        free, or due to expire before the next scan
//!   Members --------+--> Standing of each ---+-- claim       handed over to me
//!   Me -------------+    row, Loads          +-- give back   the same, and I have no room
//!                                            +-- request     of an owner that has at least two more than I
//!                                            +-- withdraw    what I asked for and want no more
//!                                            +-- steal       from a KCL's worker that knows no requests
//!                                            +-- reap        the row of a dead worker
//! ```
//!
//! There is no leader: every worker computes what all should do, and carries out its own part.
//! Where their views differ, the conditions of the writes decide, and the rules below let it end.
//!
//! - **Nothing free is reserved.** A free lease goes to the live worker with the fewest leases
//!   first; the others follow in rank, each a little later, in case the first does not come: it is
//!   at its cap, out of reach, or about to leave.
//! - **Asked is only who has at least two more than the asker**, where a lease that is asked for
//!   counts as the asker's. So each hand-over lowers the sum of the squares of what workers hold,
//!   whoever sees what: it ends, and a calm fleet moves nothing.
//! - **Each lease moves at most once**, from the fullest to the emptiest, until they differ by one
//!   at most. All compute the same moves from the same view, so those who ask at the same time ask
//!   for different leases. What is meant for a worker that does not ask for it (it is at its cap)
//!   is left to the others after a while.
//! - **A finished lease weighs nothing** and is never taken.
//!
//! # Beside workers of a KCL
//!
//! While one lives that was seen to move a counter as none of ours does, both have to see the same
//! balance, or each would move the leases to its own mind, without end:
//!
//! - **Every lease that is renewed weighs one**, a finished one too, and counts for the owner that
//!   its row names.
//! - **Asked is only a worker of the KCL that is known to answer**, for one lease at a time. It is
//!   given 40 s, and the request is not taken back: it would drop the lease all the same.
//! - **From the others is taken as they take**: one lease in twice the failover time, of one that
//!   has at least two more, and only by who finds nothing free. What they were asked for and did
//!   not answer is taken first.

mod fleet;
mod loads;
mod me;
mod moves;
mod plan;
mod standing;
mod steal;

pub use me::{HandedOver, Me, OwnLeases, OwnRequest};
#[cfg(test)]
pub(crate) use plan::Ask;
pub use plan::{KnownRows, Plan, Take, is_duplicated, plan, share};

#[cfg(test)]
mod fleet_test;
#[cfg(test)]
mod property_test;
