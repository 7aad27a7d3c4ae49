//! Which shards get a lease, where it begins, when the shard may be read, and when the lease is
//! deleted.
//!
//! ```text
//!   listing ------> ShardGraph --+                        +--> create    leases that are missing
//!                                +--> (same two inputs) --+--> gone      leases whose shard was removed
//!   lease table --> Leases ------+                        +--> unread    hash keys that are not read
//!                                                         +--> cleanup   finished leases that may be deleted
//!   last page of a shard, listing ---> end                   has it ended?
//!   last page of a shard ------------> children              the leases that follow
//!   lease + its parents' rows -------> gate                  may its shard be read yet?
//! ```
//!
//! How the leases of a stream are created:
//!
//! 1. The table is empty: [`listing_for`] says which listing to use, and [`leases_to_create`]
//!    creates a lease for each of the oldest shards in it. Their descendants get none yet.
//! 2. A shard ends, which the listing has to confirm ([`judge_end`]): the worker that finished it
//!    creates the leases of its children ([`children_to_create`]), then stores the end. So a
//!    child's row never exists before its parent's, and a finished parent always has children, even
//!    if the worker dies in between. After a merge, the workers of both parents create the child;
//!    the first one wins, and the [`gate`] blocks the child until both parents are finished.
//! 3. From time to time the table is compared with a listing of all shards, and missing rows are
//!    created: rows that were deleted from outside, or that a worker which died during step 1 had
//!    not yet created. The row of a finished shard that is no longer listed is deleted then, if it
//!    is still as it was judged ([`judge_finished`]).
//!
//! Every creation has the condition "if there is no such row", so two workers that decide the same
//! do no harm. Neither does a worker that decided long ago: a row stays at least as long as its
//! shard is listed ([`judge_finished`]).
//!
//! **The rows are read first, the listing after them.** A shard that has a row is then in the
//! listing, unless it was removed from the stream. The other way round, a shard that is newer than
//! the listing would seem to be gone.
//!
//! All leases here are those of one stream.

mod begin;
mod children;
mod cleanup;
mod create;
mod end;
mod followers;
mod gate;
mod gone;
mod graph;
mod holes;
mod lineage;
mod new_lease;
mod unread;

#[cfg(test)]
mod notation;
#[cfg(test)]
mod reshard_test;

pub use begin::{Begin, listing_for};
pub use children::children_to_create;
pub use cleanup::{Finished, judge_finished};
pub use create::leases_to_create;
pub use end::{EndSaid, EndVerdict, FalseEnds, UnnamedEnds, judge_end};
pub use followers::followers;
pub use gate::{ParentGate, ParentView, Wait, asks_listing, gate};
pub use gone::shard_gone;
pub use graph::{Inconsistent, ShardGraph};
pub use holes::{holes, uncovered};
pub use lineage::Leases;
pub use new_lease::{CreationReason, NewLease};
pub use unread::Unread;
