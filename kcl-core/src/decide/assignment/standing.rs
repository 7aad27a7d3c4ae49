//! What one row means for this worker, from its point of view. Everything that the plan does with a
//! lease follows from one of these cases:
//!
//! ```text
//!   row                          case            the plan
//!   -------------------------    -----------     ---------------------------------
//!   SHARD_END                    Finished        nothing
//!   no owner                     Free            take, by rank
//!   me, my token                 Mine            nothing
//!   me, another's token          Adopted         take when it has stood still
//!   me, a token given up         Abandoned       give back, if it is not to be worked on now
//!   me, no token                 Passed          claim, or give back
//!   me, for a live owner         Requested       wait, or withdraw
//!   another, counter moves       Held            request, if it has two more
//!   another, counter stands      Expiring        take when it is due
//!   another, dead or leaving     Orphan          wait: it will be free
//!   another, handed over by me   Unclaimed       take back after a while
//! ```

use crate::decide::fleet::{LeaseEntry, LeaseWork};
use crate::decide::members::SeenLease;
use crate::model::{Moment, WorkerId};

use super::fleet::Fleet;

/// What a lease row means for this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseStanding<'a> {
    /// The shard is finished. It starts no consumer: the end was processed.
    Finished,
    /// An operator has paused it, and it is free: nobody may take it.
    Paused,
    /// An operator has paused it, and it names a worker that does not drain it, because that is dead
    /// or does not hold it. From `at` on any worker may free it, so that the operator can see that
    /// nobody reads the shard.
    PausedOf { at: Moment },
    /// This worker's: held, being taken, or still in use by a handler of an earlier tenancy that
    /// has not returned.
    Mine,
    /// It names this worker for a tenancy that no process works on any more. Only this worker may
    /// take it, from `at` on. It is how a restarted worker gets its leases back without a loss of
    /// time: no other worker may take them before they expire.
    Adopted { at: Moment },
    /// It names this worker for a tenancy that no process works on any more, and this worker leaves it
    /// alone for now. Its heartbeats would keep the others from it: it is freed.
    Abandoned,
    /// It was handed over to this worker. Nobody reads it until it is claimed.
    Passed,
    /// This worker has requested it from its owner. The owner reads on until it answers.
    Requested,
    /// Any worker may take it.
    Free,
    /// This worker handed it over to one that has not claimed it. This worker may take it back from
    /// `at` on, before any other. The receiver may have died after it asked. This worker knows of
    /// the hand-over, and need not wait until others see the lease expire.
    Unclaimed { at: Moment },
    /// Its owner is silent, or seems to be. It may be taken from `at` on. That includes leases
    /// which are due only within the next scan period, so that they can be taken at the moment they
    /// expire.
    Expiring { at: Moment, owner: &'a WorkerId },
    /// A live worker holds it.
    Held,
    /// A dead or leaving worker holds it, but it is not free yet. A leaving worker releases its
    /// leases; those of a dead one expire.
    Orphan,
}

impl<'a> LeaseStanding<'a> {
    /// The order of the questions matters: a finished shard first, whoever owns it; then this
    /// worker's own; then hand-overs; and only then how long the counter has stood still.
    pub(super) fn of(lease: SeenLease<'a>, own: &LeaseEntry, fleet: &Fleet<'_>) -> Self {
        let standing = Self::unless_paused(lease, own, fleet);
        if !lease.row.is_paused() {
            return standing;
        }
        match standing {
            Self::Free if lease.row.owner.is_none() => Self::Paused,
            Self::Free | Self::Passed => Self::PausedOf { at: fleet.now },
            Self::Adopted { at } | Self::Unclaimed { at } | Self::Expiring { at, .. } => {
                Self::PausedOf { at }
            }
            standing => standing,
        }
    }

    /// The standing of a lease that nobody has paused.
    fn unless_paused(lease: SeenLease<'a>, own: &LeaseEntry, fleet: &Fleet<'_>) -> Self {
        let (me, members, row) = (fleet.me, fleet.members, lease.row);
        if row.checkpoint.is_shard_end() {
            return Self::Finished;
        }
        let Some(holder) = lease.holder() else {
            return Self::Free;
        };
        if holder == me.id {
            return Self::of_mine(lease, own, fleet);
        }
        let handed_over = own.handed_over(row);
        if handed_over.is_some() || lease.is_unclaimed(members) {
            if members.is_dead(holder, fleet.now, fleet.timing) {
                return Self::Free;
            }
            if let Some(handed_over) = handed_over {
                return Self::Unclaimed {
                    at: handed_over.at + fleet.time_to_claim(holder),
                };
            }
        }
        let due = lease
            .expires_at(members, fleet.timing)
            .filter(|_| members.is_watching(fleet.now, fleet.timing));
        match due {
            Some(at) if at <= fleet.horizon() => Self::Expiring { at, owner: holder },
            _ if row.owner.as_ref() == Some(me.id) => Self::Requested,
            _ if fleet.is_live(holder) => Self::Held,
            _ => Self::Orphan,
        }
    }

    /// Whether it counts for no worker any more. By the clock of this worker, which has seen its
    /// counter stand still for long enough.
    pub(super) fn is_free(self, now: Moment) -> bool {
        matches!(self, Self::Free) || matches!(self, Self::Expiring { at, .. } if at <= now)
    }

    /// A row that names this worker. The name alone proves nothing, because another process may
    /// have had it: the token decides.
    fn of_mine(lease: SeenLease<'_>, own: &LeaseEntry, fleet: &Fleet<'_>) -> Self {
        let (me, row) = (fleet.me, lease.row);
        if fleet.is_busy(&row.key, own) {
            // A handler that is still inside a call keeps nobody: where heartbeats hold the lease, no
            // other worker could ever take it.
            let has_left = matches!(own.work(), LeaseWork::Nothing | LeaseWork::HandlerLeft);
            return if has_left && me.tokens.is_abandoned(row) {
                Self::Abandoned
            } else {
                Self::Mine
            };
        }
        if row.token.is_none() && row.checkpoint_owner.is_none() {
            return Self::Passed;
        }
        if me.tokens.is_ours(row) {
            // Abandoned only if a late write or an unsettled end has left it without a consumer.
            // Otherwise it is being created or processed.
            return if me.tokens.is_abandoned(row) {
                Self::Adopted { at: fleet.now }
            } else {
                Self::Mine
            };
        }
        // This worker's name, but another process's tenancy. After a restart, a worker adopts such
        // a lease if its counter stands still for one renewal, and if the row with its name is its
        // own: the heartbeats of another process may still hold the lease.
        let is_named = row
            .token
            .as_ref()
            .is_some_and(|of| of.incarnation().is_some());
        if is_named && !me.tokens.owns_name() {
            return Self::Mine;
        }
        let span = fleet.timing.adopts_after(fleet.timing.failover);
        match lease.age(fleet.now) {
            _ if me.former_left => Self::Adopted { at: fleet.now },
            Some(age) => Self::Adopted {
                at: fleet.now + span.saturating_sub(age),
            },
            None => Self::Mine,
        }
    }
}
