//! What a write does, as a step of the protocol. Who sends which:
//!
//! ```text
//!   owner       Renew  Checkpoint  Prepare  Children  Facts       keeps the lease
//!               PassOn  Refuse                                    answers a request
//!               Release  End                                      gives it up
//!   requester   Request  Withdraw  Claim
//!   any worker  Take                                              if it is free or expired
//!               HashRange                                         changes no owner
//! ```
//!
//! A table does not need to know these steps. It gets the same change as [`Edits`], attribute by
//! attribute.

use bytes::Bytes;

use crate::model::{
    Assignee, Checkpoint, Facts, HashKeyRange, Lease, Pending, ShardId, Timestamp, Token, WorkerId,
};

use super::Error;
use super::edit::{CounterEdit, Edit, Edits, SwitchesEdit};

/// What one attribute of a row must be for a write to be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Match<T> {
    /// Anything, including absent.
    #[default]
    Any,
    /// Present, with exactly this value.
    Is(T),
    /// Absent.
    Absent,
}

impl<T: PartialEq> Match<T> {
    /// Matches exactly this value, or the attribute's absence for `None`.
    pub fn exactly(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Is)
    }

    /// Whether an attribute meets it; `None` if the row does not have the attribute.
    fn holds(&self, value: Option<&T>) -> bool {
        match self {
            Self::Any => true,
            Self::Is(expected) => value == Some(expected),
            Self::Absent => value.is_none(),
        }
    }
}

/// The condition of a write. Every part of it must hold, and the row must exist: no update and no
/// delete ever creates a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expect {
    /// `leaseCounter` has this value. `None` matches any. Every write of an owner moves it, so a
    /// write with this condition fits at most once.
    pub counter: Option<u64>,
    /// The token of the tenancy. It tells tenancies apart whose counters may be equal: after a row
    /// was deleted and created again, for example.
    pub token: Match<Token>,
    /// `leaseOwner`. A name proves little, as two processes may have the same: what an owner writes
    /// expects the token or the counter as well.
    pub owner: Match<WorkerId>,
    /// `checkpointOwner`.
    pub checkpoint_owner: Match<WorkerId>,
    /// The stored checkpoint, with its sub-sequence number, is this one. `None` matches any. The
    /// one that the writer has stored last. If it differs while the counter fits, somebody has
    /// edited the row, and the edit must not be overwritten.
    pub checkpoint: Option<Checkpoint>,
    /// If set, the checkpoint must not be the shard's end. A request for a finished shard would
    /// start a second consumer for it, which calls `shard_ended` again.
    pub not_ended: bool,
    /// The assignment is this one. Who ends an assignment must not end a later one of another operator.
    pub assigned: Match<Assignee>,
}

impl Expect {
    /// Whether the row meets the condition.
    #[must_use]
    pub fn holds(&self, row: &Lease) -> bool {
        self.counter.is_none_or(|counter| counter == row.counter)
            && self.token.holds(row.token.as_ref())
            && self.owner.holds(row.owner.as_ref())
            && self.checkpoint_owner.holds(row.checkpoint_owner.as_ref())
            && self
                .checkpoint
                .as_ref()
                .is_none_or(|checkpoint| *checkpoint == row.checkpoint)
            && !(self.not_ended && row.checkpoint.is_shard_end())
            && self.assigned.holds(row.assigned_to.as_ref())
    }

    /// Returns the row if there is one and it meets the condition.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the current row, if there is one.
    pub fn check<'a>(&self, row: Option<&'a Lease>) -> Result<&'a Lease, Error> {
        row.filter(|row| self.holds(row))
            .ok_or_else(|| Error::conflict(row.cloned()))
    }
}

/// What a write does to a row. [`Write`](super::Write) combines it with its condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A worker takes a free or expired lease.
    ///
    /// The only change of owner that the former owner does not agree to. It also removes a pending
    /// request, whoever it was for.
    Take {
        /// The worker that takes it.
        owner: WorkerId,
        /// The token of the new tenancy.
        token: Token,
    },
    /// A worker claims a lease that was handed over to it.
    ///
    /// No worker reads a lease because its name stands in the row: it may be there from a former
    /// tenancy. Only this write, applied, makes it the owner.
    Claim {
        /// The token of the new tenancy.
        token: Token,
    },
    /// A heartbeat of the owner: only the counter grows.
    ///
    /// It is sent only while the shard makes progress.
    Renew,
    /// A committed checkpoint. Also removes the prepared one.
    Checkpoint {
        /// The new checkpoint.
        to: Checkpoint,
        /// The new facts, or `None` if the checkpoint does not change them.
        facts: Option<Facts>,
    },
    /// The first half of a two-phase checkpoint.
    Prepare {
        /// The prepared checkpoint.
        pending: Pending,
    },
    /// The worker `by` requests the lease from its owner.
    ///
    /// The counter stays as it is: the owner's own writes must not fail because of a request. The
    /// owner sees it in the row that its next write returns.
    Request {
        /// The worker that requests the lease.
        by: WorkerId,
        /// The owner.
        of: WorkerId,
    },
    /// The requester withdraws its request: the lease belongs to `to` again.
    Withdraw {
        /// The owner from which it was requested.
        to: WorkerId,
    },
    /// The owner hands the lease over to the worker that requested it.
    ///
    /// In the same write as the last checkpoint: otherwise a crash in between would repeat records
    /// after a hand-over in good order.
    PassOn {
        /// The last checkpoint, or `None` if it is stored already.
        checkpoint: Option<Checkpoint>,
        /// The new facts, or `None` if the checkpoint does not change them.
        facts: Option<Facts>,
    },
    /// The owner refuses a request and keeps the lease.
    ///
    /// It is a renewal as well: the counter moves.
    Refuse {
        /// The owner.
        owner: WorkerId,
    },
    /// The owner releases the lease: it is free immediately.
    Release {
        /// The last checkpoint, or `None` if it is stored already.
        checkpoint: Option<Checkpoint>,
        /// The new facts, or `None` if the checkpoint does not change them.
        facts: Option<Facts>,
    },
    /// The shard is finished: stores the final checkpoint and the children, and removes the owner.
    ///
    /// The children's leases exist by then.
    End {
        /// The child shards. If there are none, the stored ones are kept.
        children: Vec<ShardId>,
        /// The new facts, or `None` if the end does not change them.
        facts: Option<Facts>,
    },
    /// The child shards, stored before the shard is finished.
    Children {
        /// The child shards.
        children: Vec<ShardId>,
    },
    /// Adds the hash key range that an old row lacks. This does not concern ownership, so the
    /// counter stays as it is.
    HashRange {
        /// The range.
        range: HashKeyRange,
    },
    /// Adds facts to a row that another framework or an old version wrote without them.
    Facts {
        /// All facts of the row, the added ones included.
        facts: Facts,
    },
    /// An operator pauses the shard. This is no heartbeat, so the counter stays as it is: whoever
    /// holds the lease keeps it until it has drained the shard.
    Pause {
        /// When.
        at: Timestamp,
    },
    /// An operator ends the pause.
    Resume,
    /// An operator assigns the lease to a worker, which then requests it. Whoever holds it reads on
    /// until then, so the counter stays as it is.
    Assign {
        /// The worker.
        to: Assignee,
    },
    /// An assignment ends: it was carried out and has lasted for a while, its worker is long gone, or
    /// an operator takes it back.
    Unassign,
    /// An operator sets where a shard that nobody reads is read on. Also removes the prepared
    /// checkpoint.
    Seek {
        /// The new checkpoint. It may lie before or after the stored one.
        to: Checkpoint,
        /// All facts of the row, among them the time at which the shard is opened if `to` is
        /// `LATEST` or `AT_TIMESTAMP`.
        facts: Facts,
    },
}

impl Change {
    /// The same change, attribute by attribute. This is all that a table needs to know to carry it
    /// out.
    #[must_use]
    pub fn edits(&self) -> Edits {
        let none = Edits::default();
        let owners_write = Edits {
            counter: CounterEdit::Next,
            ..Edits::default()
        };
        match self {
            Self::Take { owner, token } => Edits {
                owner: Edit::Set(owner.clone()),
                checkpoint_owner: Edit::Remove,
                token: Edit::Set(token.clone()),
                switches: SwitchesEdit::AddOne,
                ..owners_write
            },
            Self::Claim { token } => Edits {
                token: Edit::Set(token.clone()),
                ..owners_write
            },
            Self::Renew => owners_write,
            Self::Checkpoint { to, facts } => Edits {
                facts: facts.clone(),
                ..owners_write.with_checkpoint(to.clone())
            },
            Self::Prepare { pending } => Edits {
                pending: Edit::Set(pending.clone()),
                ..owners_write
            },
            Self::Request { by, of } => Edits {
                owner: Edit::Set(by.clone()),
                checkpoint_owner: Edit::Set(of.clone()),
                ..none
            },
            Self::Withdraw { to } => Edits {
                owner: Edit::Set(to.clone()),
                checkpoint_owner: Edit::Remove,
                ..none
            },
            Self::PassOn { checkpoint, facts } => Edits {
                checkpoint_owner: Edit::Remove,
                token: Edit::Remove,
                facts: facts.clone(),
                ..owners_write.with_last_checkpoint(checkpoint.as_ref())
            },
            Self::Refuse { owner } => Edits {
                owner: Edit::Set(owner.clone()),
                checkpoint_owner: Edit::Remove,
                ..owners_write
            },
            Self::Release { checkpoint, facts } => Edits {
                facts: facts.clone(),
                ..owners_write
                    .with_last_checkpoint(checkpoint.as_ref())
                    .without_owner()
            },
            Self::End { children, facts } => {
                let edits = Edits {
                    facts: facts.clone(),
                    ..owners_write
                        .with_checkpoint(Checkpoint::ShardEnd)
                        .without_owner()
                };
                if children.is_empty() {
                    edits
                } else {
                    Edits {
                        children: Some(children.clone()),
                        ..edits
                    }
                }
            }
            Self::Children { children } => Edits {
                children: Some(children.clone()),
                ..owners_write
            },
            Self::HashRange { range } => Edits {
                hash_range: Edit::Set(*range),
                ..none
            },
            Self::Facts { facts } => Edits {
                facts: Some(facts.clone()),
                ..owners_write
            },
            Self::Pause { at } => Edits {
                paused: Edit::Set(*at),
                ..none
            },
            Self::Resume => Edits {
                paused: Edit::Remove,
                ..none
            },
            Self::Assign { to } => Edits {
                assigned: Edit::Set(to.clone()),
                ..none
            },
            Self::Unassign => Edits {
                assigned: Edit::Remove,
                ..none
            },
            Self::Seek { to, facts } => Edits {
                facts: Some(facts.clone()),
                ..owners_write.with_checkpoint(to.clone())
            },
        }
    }

    /// Whether the change sets the checkpoint.
    #[must_use]
    pub fn moves_checkpoint(&self) -> bool {
        self.edits().checkpoint.is_some()
    }

    /// Whether the row has every value that this change sets. After a lost answer, this shows that
    /// the change was made. A change that sets nothing but the counter is held by every row; the
    /// caller has to compare the counter, too.
    #[must_use]
    pub fn is_held_by(&self, row: &Lease) -> bool {
        self.edits().are_held_by(row)
    }

    /// Prepares a checkpoint at this place, with the application's state.
    #[must_use]
    pub const fn prepare(at: Checkpoint, state: Option<Bytes>) -> Self {
        Self::Prepare {
            pending: Pending { at, state },
        }
    }
}
