use bytes::Bytes;

use crate::model::{Checkpoint, Facts, HashKeyRange, Lease, Pending, ShardId, Token, WorkerId};

use super::Error;
use super::edit::{CounterEdit, Edit, Edits, SwitchesEdit};

/// What one attribute of a row must be for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Match<T> {
    /// Anything, or nothing.
    #[default]
    Any,
    /// Exactly this.
    Is(T),
    /// Not there.
    Absent,
}

impl<T: PartialEq> Match<T> {
    /// The value if there is one, else its absence.
    pub fn exactly(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Is)
    }

    fn holds(&self, value: Option<&T>) -> bool {
        match self {
            Self::Any => true,
            Self::Is(expected) => value == Some(expected),
            Self::Absent => value.is_none(),
        }
    }
}

/// The condition of a write. All of it must hold, and the row must exist: no update and no delete
/// ever creates a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expect {
    /// `leaseCounter`.
    pub counter: Option<u64>,
    /// The tenancy.
    pub token: Match<Token>,
    /// `leaseOwner`.
    pub owner: Match<WorkerId>,
    /// `checkpointOwner`.
    pub checkpoint_owner: Match<WorkerId>,
    /// The stored checkpoint with its sub-sequence number.
    pub checkpoint: Option<Checkpoint>,
    /// The checkpoint is anything but the shard's end.
    pub not_ended: bool,
}

impl Expect {
    /// Whether the row is as expected.
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
    }

    /// The row, if there is one and it is as expected.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the row that stands there, if there is one.
    pub fn check<'a>(&self, row: Option<&'a Lease>) -> Result<&'a Lease, Error> {
        row.filter(|row| self.holds(row))
            .ok_or_else(|| Error::conflict(row.cloned()))
    }
}

/// What a write does to a row. Use [`Write`](super::Write) to get it together with its condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A free or expired lease becomes mine.
    Take {
        /// Who takes it.
        owner: WorkerId,
        /// The new tenancy.
        token: Token,
    },
    /// A lease that was passed on to me becomes mine.
    Claim {
        /// The new tenancy.
        token: Token,
    },
    /// A heartbeat.
    Renew,
    /// Progress; removes what was prepared.
    Checkpoint {
        /// The new checkpoint.
        to: Checkpoint,
        /// The facts, where the checkpoint changes them.
        facts: Option<Facts>,
    },
    /// The first half of a two-phase checkpoint.
    Prepare {
        /// What is prepared.
        pending: Pending,
    },
    /// `by` asks the owner for the lease.
    Request {
        /// Who asks.
        by: WorkerId,
        /// Whom it asks.
        of: WorkerId,
    },
    /// The request is taken back: the lease is `to`'s again.
    Withdraw {
        /// Whom was asked.
        to: WorkerId,
    },
    /// The owner hands the lease to who asked for it.
    PassOn {
        /// The last checkpoint, if it is not stored yet.
        checkpoint: Option<Checkpoint>,
        /// The facts, where the checkpoint changes them.
        facts: Option<Facts>,
    },
    /// The owner keeps the lease that was asked for.
    Refuse {
        /// The owner.
        owner: WorkerId,
    },
    /// The owner gives the lease up: it is free at once.
    Release {
        /// The last checkpoint, if it is not stored yet.
        checkpoint: Option<Checkpoint>,
        /// The facts, where the checkpoint changes them.
        facts: Option<Facts>,
    },
    /// The shard is done: the final checkpoint, the children, and no owner any more.
    End {
        /// The shards that follow.
        children: Vec<ShardId>,
        /// The facts, where the end changes them.
        facts: Option<Facts>,
    },
    /// The shards that follow, known before the shard is done.
    Children {
        /// The shards that follow.
        children: Vec<ShardId>,
    },
    /// A hash key range that an old row lacks. Says nothing of ownership, so the counter stays.
    HashRange {
        /// The range.
        range: HashKeyRange,
    },
    /// Facts that a row of somebody else's making lacks.
    Facts {
        /// The facts.
        facts: Facts,
    },
}

impl Change {
    /// The same change attribute by attribute: what a table has to carry out, and all that it has
    /// to know of a change.
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
        }
    }

    /// Whether the change sets the checkpoint.
    #[must_use]
    pub fn moves_checkpoint(&self) -> bool {
        self.edits().checkpoint.is_some()
    }

    /// Whether the row holds everything that this change sets: what tells, after a lost answer,
    /// that it happened.
    #[must_use]
    pub fn is_held_by(&self, row: &Lease) -> bool {
        self.edits().are_held_by(row)
    }

    /// The prepared checkpoint at this place.
    #[must_use]
    pub const fn prepare(at: Checkpoint, state: Option<Bytes>) -> Self {
        Self::Prepare {
            pending: Pending { at, state },
        }
    }
}
