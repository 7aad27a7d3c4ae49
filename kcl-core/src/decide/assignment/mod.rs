//! Which leases this worker takes, requests, claims and gives back.
//!
//! ```text
//!   rows, workers --+                        +-- take        free, or due to expire before the next scan
//!   Members --------+--> Standing of each ---+-- claim       handed over to me
//!   Me -------------+    row, Loads          +-- give back   handed over to me, but I have no room
//!                                            +-- request     from an owner that has at least two more than I
//!                                            +-- withdraw    requests for leases that I no longer want
//!                                            +-- steal       from a KCL worker that does not know requests
//!                                            +-- reap        the row of a dead worker
//! ```
//!
//! There is no leader: every worker computes what all workers should do, and carries out its own
//! part. If their views differ, the conditions of the writes decide, and the rules below make sure
//! that the moves end.
//!
//! - **No free lease is reserved.** The live worker with the fewest leases may take it first. The
//!   others follow in rank, each a little later, in case the first one does not take it because it
//!   has reached its limit, cannot reach the table, or is about to leave.
//! - **A worker requests leases only from an owner that has at least two more**, where a requested
//!   lease counts as the requester's. So each hand-over reduces the sum of the squares of the
//!   workers' lease counts, even if their views differ. Therefore the moves end, and a balanced
//!   fleet moves nothing.
//! - **Each lease moves at most once**, from the worker with the most leases to the one with the
//!   fewest, until they differ by at most one. All workers compute the same moves from the same
//!   view, so workers that make requests at the same time request different leases. A lease that is
//!   meant for a worker that does not request it (because it has reached its limit) is left to the
//!   others after a while.
//! - **A finished lease does not count** and is never taken.
//! - **In a fleet whose workers declare what they can carry, loads come first**: leases move because
//!   of what their shards carry, and by count only where that makes no difference. See [`load`].
//!
//! # Together with KCL workers
//!
//! While a worker is alive that was seen to increase a counter in a way that only a KCL worker
//! does, both frameworks have to compute the same balance. Otherwise each would keep moving leases
//! towards its own, without end:
//!
//! - **Every renewed lease counts**, even a finished one, for the owner that its row names.
//! - **Leases are requested only from KCL workers that are known to answer**, one lease at a time.
//!   The KCL worker has 40 s, and the request is not withdrawn, because it would drop the lease
//!   anyway.
//! - **From other KCL workers, leases are taken as they take them**: one lease per twice the
//!   failover time, from a worker that has at least two more, and only if there is no free lease. A
//!   lease for which a request was not answered is taken first.

mod assigned;
mod capacities;
mod donors;
mod fleet;
mod load;
mod loads;
mod me;
mod moves;
mod plan;
mod planned_lease;
mod relief;
mod standing;
mod steal;

pub use me::Me;
#[cfg(test)]
pub(crate) use plan::Ask;
pub use plan::{Plan, Take, is_duplicated, plan, share};

#[cfg(test)]
mod fleet_test;
#[cfg(test)]
mod load_test;
#[cfg(test)]
mod property_test;
