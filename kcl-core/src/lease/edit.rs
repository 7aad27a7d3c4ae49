//! A change of a row as a table carries it out: each attribute is kept, set or removed.
//!
//! Whoever implements a table needs this and [`Expect`](super::Expect), and nothing of the
//! protocol. In DynamoDB an [`Edits`] is one update expression, in SQL one `UPDATE`.

use std::collections::BTreeSet;

use crate::model::{
    Assignee, Checkpoint, Facts, HashKeyRange, Lease, Pending, ShardId, Throughput, Timestamp,
    Token, WorkerId,
};

/// What a change does to one attribute of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Keeps it as it is.
    #[default]
    Keep,
    /// Sets it to this value.
    Set(T),
    /// Removes it.
    Remove,
}

impl<T: Clone + PartialEq> Edit<T> {
    /// For tables that hold rows as values.
    fn apply(&self, attribute: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *attribute = Some(value.clone()),
            Self::Remove => *attribute = None,
        }
    }

    /// Whether the attribute is as this edit leaves it.
    fn is_held_by(&self, attribute: Option<&T>) -> bool {
        match self {
            Self::Keep => true,
            Self::Set(value) => attribute == Some(value),
            Self::Remove => attribute.is_none(),
        }
    }
}

/// What a change does to `leaseCounter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterEdit {
    /// Keeps it as it is: the write is no heartbeat of the owner.
    #[default]
    Keep,
    /// Adds one. Relative, so that the table need not know the value; the condition names the one
    /// before.
    Next,
}

/// What a change does to `ownerSwitchesSinceCheckpoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwitchesEdit {
    /// Keeps it as it is.
    #[default]
    Keep,
    /// Adds one. Relative, because a Java worker may have changed it since the row was read.
    AddOne,
    /// Sets it to 0. With every committed checkpoint: the shard makes progress.
    Zero,
}

/// A change of a row, attribute by attribute. A table carries it out in one write, with nothing
/// between the check of the condition and the write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edits {
    /// `leaseCounter`.
    pub counter: CounterEdit,
    /// `leaseOwner`.
    pub owner: Edit<WorkerId>,
    /// `checkpointOwner`.
    pub checkpoint_owner: Edit<WorkerId>,
    /// The token of the tenancy.
    pub token: Edit<Token>,
    /// `ownerSwitchesSinceCheckpoint`.
    pub switches: SwitchesEdit,
    /// `checkpoint` and `checkpointSubSequenceNumber`; never removed. Both are set together: a
    /// number from one checkpoint and a sub-sequence number from another would be a position that
    /// nobody has stored.
    pub checkpoint: Option<Checkpoint>,
    /// The three pending attributes.
    pub pending: Edit<Pending>,
    /// `childShardIds`, a set: its order has no meaning. Never removed.
    pub children: Option<Vec<ShardId>>,
    /// `startingHashKey` and `endingHashKey`.
    pub hash_range: Edit<HashKeyRange>,
    /// When an operator paused the shard. Not one of the facts, because owners write those from
    /// what they have read, and would undo a pause that came meanwhile.
    pub paused: Edit<Timestamp>,
    /// The worker that an operator moves the lease to. For the same reason it is not one of the facts.
    pub assigned: Edit<Assignee>,
    /// `throughputKBps`, and the records beside it. Never removed. It is measured anew for each try
    /// of a write, so it says nothing about which write was applied.
    pub throughput: Option<Throughput>,
    /// The attributes that this crate adds to the KCL's, all of them. Never removed.
    pub facts: Option<Facts>,
}

impl Edits {
    /// A committed checkpoint also removes the prepared one and resets the count of owner switches.
    pub(super) fn with_checkpoint(self, to: Checkpoint) -> Self {
        Self {
            checkpoint: Some(to),
            pending: Edit::Remove,
            switches: SwitchesEdit::Zero,
            ..self
        }
    }

    /// Adds the last checkpoint of a tenancy. Without one, the stored checkpoint stays, and the
    /// prepared one with it.
    pub(super) fn with_last_checkpoint(self, to: Option<&Checkpoint>) -> Self {
        match to {
            Some(to) => self.with_checkpoint(to.clone()),
            None => self,
        }
    }

    /// Free: all three attributes go, because any of them left behind would be a row that no step
    /// of the protocol explains.
    pub(super) fn without_owner(self) -> Self {
        Self {
            owner: Edit::Remove,
            checkpoint_owner: Edit::Remove,
            token: Edit::Remove,
            ..self
        }
    }

    /// Applies the edits to a row in memory.
    pub fn apply(&self, row: &mut Lease) {
        if self.counter == CounterEdit::Next {
            row.counter += 1;
        }
        self.owner.apply(&mut row.owner);
        self.checkpoint_owner.apply(&mut row.checkpoint_owner);
        self.token.apply(&mut row.token);
        match self.switches {
            SwitchesEdit::Keep => {}
            SwitchesEdit::AddOne => row.owner_switches += 1,
            SwitchesEdit::Zero => row.owner_switches = 0,
        }
        if let Some(checkpoint) = &self.checkpoint {
            row.checkpoint = checkpoint.clone();
        }
        self.pending.apply(&mut row.pending);
        if let Some(children) = &self.children {
            row.children.clone_from(children);
        }
        self.hash_range.apply(&mut row.hash_range);
        self.paused.apply(&mut row.paused_at);
        self.assigned.apply(&mut row.assigned_to);
        if let Some(throughput) = self.throughput {
            row.throughput = Some(throughput);
        }
        if let Some(facts) = &self.facts {
            row.facts = facts.clone();
        }
    }

    /// Whether the row already has every value that the edits set. Counters are not compared: they
    /// show that *some* write happened, not which one. Nor is the throughput: a write whose answer
    /// was lost must be recognised although the shard carries something else by now.
    #[must_use]
    pub fn are_held_by(&self, row: &Lease) -> bool {
        self.owner.is_held_by(row.owner.as_ref())
            && self
                .checkpoint_owner
                .is_held_by(row.checkpoint_owner.as_ref())
            && self.token.is_held_by(row.token.as_ref())
            && self
                .checkpoint
                .as_ref()
                .is_none_or(|checkpoint| *checkpoint == row.checkpoint)
            && self.pending.is_held_by(row.pending.as_ref())
            && self
                .children
                .as_ref()
                .is_none_or(|children| same_set(children, &row.children))
            && self.hash_range.is_held_by(row.hash_range.as_ref())
            && self.paused.is_held_by(row.paused_at.as_ref())
            && self.assigned.is_held_by(row.assigned_to.as_ref())
            && self.facts.as_ref().is_none_or(|facts| *facts == row.facts)
    }
}

/// Whether both lists contain the same shards: a table may store them as a set and return them in
/// another order.
fn same_set(a: &[ShardId], b: &[ShardId]) -> bool {
    a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>()
}

#[cfg(test)]
#[path = "edit_test.rs"]
mod tests;
