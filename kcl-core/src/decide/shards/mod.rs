//! Which shards have a lease, where it begins, when it may be read and when it goes.
//!
//! ```text
//!   listing ------> ShardGraph --+                        +--> create    leases that are missing
//!                                +--> (same two inputs) --+--> gone      leases whose shard left the stream
//!   lease table --> Leases ------+                        +--> unread    hash keys that nobody reads
//!                                                         +--> cleanup   finished leases that may be deleted
//!   last page of a shard, listing ---> end                   has it ended?
//!   last page of a shard ------------> children              the leases that follow
//!   lease + its parents' rows -------> gate                  may its shard be read yet?
//! ```
//!
//! How the leases of a stream come about:
//!
//! 1. The table is empty: [`listing_for`] says which listing to take, [`leases_to_create`] makes a
//!    lease for each of the oldest shards in it. Their descendants get none yet.
//! 2. A shard ends, when the listing says so too ([`judge_end`]): whoever finished it creates its
//!    children's leases ([`children_to_create`]), then stores the end. So a child's row never
//!    exists before its parent's, and a parent at its end always has followers, whenever the worker
//!    dies. After a merge both finishers create the child; the first one wins, and the [`gate`]
//!    holds the child until both are done.
//! 3. From time to time the table is compared with a listing of all shards, and what is missing is
//!    created: rows that somebody deleted, or that a worker which died during step 1 did not get
//!    to. The row of a finished shard that is not listed any more is deleted then, as it was judged
//!    ([`judge_finished`]).
//!
//! Every creation is "if there is no such row", so two workers that decide the same do no harm, and
//! neither does one that decided long ago: a row stays at least as long as its shard is listed
//! ([`judge_finished`]).
//!
//! **The rows are read first, the listing after them.** A shard that has a row then is in the
//! listing, unless it left the stream. The other way round a shard that is newer than the listing
//! would look as if it were gone.
//!
//! All leases are those of one stream.

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
