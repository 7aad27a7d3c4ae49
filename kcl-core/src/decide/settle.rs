//! What the answer to an owner's write means.
//!
//! A write that expected counter *n* is settled only when the counter is known to be above *n*: by
//! the write's own acknowledgement, or from the row with which a later write that also expected *n*
//! conflicted. Until then, only writes that expect *n* may follow. The write succeeded only if the
//! row has everything that it set; otherwise the row is adopted, and the write is built again from
//! it.
//!
//! ```text
//!   send a write that expects n
//!     acknowledged                        Stored
//!     conflict: counter above n
//!       my token, all that it set         Stored    it was the lost answer of this very write
//!       my token, something else          Adopt     an earlier write of mine, or a request
//!       another token                     Lost
//!     conflict: counter n, my token,
//!       another checkpoint                Edited    by an operator
//!     no answer, throttled                Again     the same write, with the same condition
//! ```
//!
//! To read the row and to find *n* in it settles nothing: the write may still be on its way, and
//! arrive after whatever was done because of the reading.

use crate::lease::{Edit, Error, MalformedRow, Write};
use crate::model::Lease;

/// The outcome of a write.
#[derive(Debug)]
#[non_exhaustive]
pub enum Settled {
    /// It is stored, and this is the row now. The next write is built from it.
    Stored(Lease),
    /// The row has changed under the same token without this write: adopt the row and build the
    /// write again. A request of another worker shows like this, and must not look like a loss.
    Adopt(Lease),
    /// The row still belongs to this tenancy, but its checkpoint is one that no worker of this
    /// framework has stored: it was edited on purpose. The lease is released, and the shard begins
    /// again at the edited checkpoint.
    Edited(Lease),
    /// The lease belongs to another tenancy. Nothing more is delivered. What was not stored is
    /// delivered again by the new owner.
    Lost(Lease),
    /// The row no longer exists. The owner creates it again with the last checkpoint that was
    /// acknowledged, never at the initial position.
    Vanished,
    /// The row can no longer be read because it was edited. No worker processes its shard until it
    /// is repaired.
    Malformed(Box<MalformedRow>),
    /// The outcome is unknown, or nothing was written: send the same write again.
    Again(Error),
    /// The write cannot succeed. No permission, for example, or a table that is not there.
    Broken(Error),
}

/// Judges the answer to `write`, which was built from `held`, a row of this tenancy.
///
/// Whether the row belongs to this tenancy is decided by the token, never by the owner's name
/// alone: another process may have the same name. It makes no call. The caller sends the write
/// again, or goes on, as the result says.
#[must_use]
pub fn settle(held: &Lease, write: &Write, answer: Result<Lease, Error>) -> Settled {
    match answer {
        // The write did not set the checkpoint, but the row has one that this tenancy has not
        // stored.
        Ok(row)
            if row.token == held.token
                && !write.change.moves_checkpoint()
                && row.checkpoint != held.checkpoint =>
        {
            Settled::Edited(row)
        }
        Ok(row) => Settled::Stored(row),
        Err(Error::Conflict { row: None }) => Settled::Vanished,
        Err(Error::Conflict { row: Some(row) }) => {
            let mine = is_of_same_tenancy(held, &row);
            // A write that does not change the token can only have been applied to a row that still
            // has this tenancy's.
            let tenancy = mine || write.change.edits().token != Edit::Keep;
            if tenancy && row.counter > held.counter && write.change.is_held_by(&row) {
                Settled::Stored(*row)
            } else if mine && row.counter == held.counter && row.checkpoint != held.checkpoint {
                Settled::Edited(*row)
            } else if mine {
                Settled::Adopt(*row)
            } else {
                Settled::Lost(*row)
            }
        }
        Err(Error::Malformed(row)) => Settled::Malformed(row),
        Err(error) if error.is_transient() => Settled::Again(error),
        Err(error) => Settled::Broken(error),
    }
}

/// Whether no other worker has taken the lease since it was as in `held`.
///
/// A worker of this framework takes a lease with a new token. A KCL worker does not know tokens and
/// leaves the one that it finds, but it changes the owner; if a request still names the old owner,
/// it shows in the count of owner switches since the last checkpoint.
fn is_of_same_tenancy(held: &Lease, row: &Lease) -> bool {
    row.token.is_some()
        && row.token == held.token
        && row.actual_owner() == held.actual_owner()
        && row.owner_switches <= held.owner_switches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checkpoint, LeaseKey, Position, SequenceNumber};

    fn at(sequence: u128) -> Checkpoint {
        Checkpoint::At(Position::new(SequenceNumber::from_u128(sequence), 0))
    }

    fn held(token: &str, counter: u64, checkpoint: Checkpoint) -> Lease {
        let mut row =
            Lease::new(LeaseKey::single("s"), checkpoint).owned_by("me".into(), token.into());
        row.counter = counter;
        row
    }

    fn conflict(row: Lease) -> Result<Lease, Error> {
        Err(Error::conflict(Some(row)))
    }

    #[test]
    fn a_late_renewal_is_not_mistaken_for_the_checkpoint_after_it() {
        let mine = held("t", 0, at(1));
        let write = Write::checkpoint(&mine, at(2));
        // The renewal that was given up landed: counter 1, my token, but the old checkpoint.
        let answer = conflict(held("t", 1, at(1)));
        assert!(matches!(settle(&mine, &write, answer), Settled::Adopt(row) if row.counter == 1));
    }

    #[test]
    fn a_repeated_checkpoint_that_had_landed_is_stored() {
        let mine = held("t", 4, at(1));
        let write = Write::checkpoint(&mine, at(2));
        assert!(matches!(
            settle(&mine, &write, conflict(held("t", 5, at(2)))),
            Settled::Stored(_)
        ));
    }

    #[test]
    fn a_release_that_landed_is_stored_though_the_token_is_gone() {
        let mine = held("t", 4, at(1));
        let write = Write::release(&mine, Some(at(2)));
        let mut free = held("t", 5, at(2));
        (free.owner, free.token) = (None, None);
        assert!(matches!(
            settle(&mine, &write, conflict(free)),
            Settled::Stored(_)
        ));
    }

    #[test]
    fn my_name_under_another_token_is_not_me() {
        let mine = held("t", 4, at(1));
        for write in [Write::renew(&mine), Write::checkpoint(&mine, at(2))] {
            let answer = conflict(held("u", 5, at(2)));
            assert!(
                matches!(settle(&mine, &write, answer), Settled::Lost(_)),
                "{write:?}"
            );
        }
    }

    // S37, S38: a KCL 1.x or 2.x leaves the attributes there that it does not know, and a request
    // that is pending.
    #[test]
    fn what_a_kcl_took_under_my_token_is_not_mine_any_more() {
        let mine = held("t", 4, at(1));
        let taken = Lease {
            owner: Some("java".into()),
            owner_switches: 1,
            ..held("t", 5, at(1))
        };
        let asked = |row: &Lease| Lease {
            owner: Some("other".into()),
            checkpoint_owner: Some("me".into()),
            ..row.clone()
        };
        let taken_while_asked = Lease {
            checkpoint_owner: Some("me".into()),
            ..taken.clone()
        };
        for (mine, taken) in [
            (mine.clone(), taken),
            (mine.clone(), taken_while_asked.clone()),
            (asked(&mine), taken_while_asked),
        ] {
            let writes = [
                Write::renew(&mine),
                Write::checkpoint(&mine, at(2)),
                Write::release(&mine, None),
            ];
            for write in writes {
                assert!(
                    matches!(
                        settle(&mine, &write, conflict(taken.clone())),
                        Settled::Lost(_)
                    ),
                    "{write:?}"
                );
            }
        }
        // Among our own, names change while it stays mine: a request, its withdrawal, a refusal
        // that was given up and landed.
        let renewed = Lease {
            counter: 5,
            ..asked(&mine)
        };
        assert!(matches!(
            settle(&mine, &Write::renew(&mine), conflict(renewed)),
            Settled::Stored(_)
        ));
        assert!(matches!(
            settle(
                &asked(&mine),
                &Write::renew(&mine),
                conflict(held("t", 5, at(1)))
            ),
            Settled::Stored(_)
        ));
    }

    #[test]
    fn a_refusal_at_the_same_counter_stores_nothing() {
        let mine = held("t", 4, at(3));
        for write in [Write::renew(&mine), Write::checkpoint(&mine, at(3))] {
            let answer = conflict(held("t", 4, at(3)));
            assert!(
                matches!(settle(&mine, &write, answer), Settled::Adopt(row) if row.counter == 4),
                "{write:?}"
            );
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_cannot_is_broken() {
        let mine = held("t", 4, at(3));
        let fatal = Error::Fatal {
            message: "no such table".into(),
            source: None,
        };
        assert!(matches!(
            settle(&mine, &Write::renew(&mine), Err(fatal)),
            Settled::Broken(_)
        ));
        let unknown = Error::Unknown {
            source: "no answer".into(),
        };
        assert!(matches!(
            settle(&mine, &Write::renew(&mine), Err(unknown)),
            Settled::Again(_)
        ));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_neither_mine_nor_a_broken_table() {
        use crate::lease::{MalformedRow, RowKey};
        let mine = held("t", 4, at(3));
        let row = MalformedRow::new(
            RowKey::Lease(mine.key.clone()),
            "checkpoint",
            Some("x"),
            "a number",
        );
        assert!(matches!(
            settle(&mine, &Write::renew(&mine), Err(row.into())),
            Settled::Malformed(_)
        ));
    }

    /// By a checkpoint as well as by a renewal.
    #[test]
    fn an_edited_checkpoint_is_noticed_and_not_overwritten() {
        let mine = held("t", 4, at(3));
        let answer = conflict(held("t", 4, at(1)));
        assert!(
            matches!(settle(&mine, &Write::checkpoint(&mine, at(5)), answer), Settled::Edited(row) if row.checkpoint == at(1))
        );
        let renewed = Ok(held("t", 5, at(1)));
        assert!(
            matches!(settle(&mine, &Write::renew(&mine), renewed), Settled::Edited(row) if row.checkpoint == at(1))
        );
    }
}
