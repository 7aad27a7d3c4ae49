use crate::model::{
    Assignee, Checkpoint, Facts, HashKeyRange, Lease, Pending, ShardId, Throughput, Timestamp,
    Token, WorkerId,
};

use super::Error;
use super::change::{Change, Expect, Match};
use super::edit::Edits;

/// A write of the lease protocol: a condition, and the change to make if it holds.
///
/// | write | condition | sets |
/// |---|---|---|
/// | [`take`](Self::take) | counter = n | owner me, counter n + 1, a new token, no checkpoint owner, one more owner switch |
/// | [`claim`](Self::claim) | counter = n, owner me, no checkpoint owner | counter n + 1, a new token |
/// | [`renew`](Self::renew) | counter = n, token | counter n + 1 |
/// | [`checkpoint`](Self::checkpoint), [`prepare`](Self::prepare) | counter = n, token, previous checkpoint | counter n + 1, and the checkpoint or the prepared one |
/// | [`request`](Self::request) | owner A, no checkpoint owner, token of A, not at the shard's end | owner me, checkpoint owner A |
/// | [`withdraw`](Self::withdraw) | owner me, checkpoint owner A, token of A | owner A, no checkpoint owner |
/// | [`pass_on`](Self::pass_on) | counter = n, token, owner B, checkpoint owner me, previous checkpoint | the checkpoint, counter n + 1, no checkpoint owner, no token |
/// | [`refuse`](Self::refuse) | counter = n, token, owner B, checkpoint owner me | owner me, counter n + 1, no checkpoint owner |
/// | [`release`](Self::release) | counter = n, token, previous checkpoint | the checkpoint, counter n + 1, no owner, no checkpoint owner, no token |
/// | [`end`](Self::end) | counter = n, token, previous checkpoint | the shard's end, the children, counter n + 1, no owner, no checkpoint owner, no token |
/// | [`children`](Self::children), [`facts`](Self::facts) | counter = n, token | counter n + 1, and the children or the facts |
/// | [`hash_range`](Self::hash_range) | the row exists | the range |
/// | [`pause`](Self::pause) | not at the shard's end | the time of the pause |
/// | [`resume`](Self::resume) | the row exists | no time of a pause |
/// | [`assign`](Self::assign) | not at the shard's end | the assignment |
/// | [`unassign`](Self::unassign) | this assignment | no assignment |
/// | [`seek`](Self::seek) | counter = n, no owner, no checkpoint owner, previous checkpoint | the checkpoint, the facts, counter n + 1 |
///
/// In the table, A is the owner from which a lease is requested, and B is the worker that requests
/// it. A lease is created with [`LeaseTable::create`](super::LeaseTable::create) (condition: no
/// row), and [`Write::delete`] is the condition of a delete (counter = n, at the shard's end). Each
/// condition implies the one that the KCL uses for the same step.
///
/// The first checkpoint of a lease that began at a time also changes the facts, whichever write
/// carries the checkpoint: that time becomes [`began_at`](crate::model::Facts::began_at).
///
/// ```
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::lease::{Error, LeaseTable, Write};
/// use kcl_core::model::{Checkpoint, Lease, LeaseKey, Token};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let table = MemoryLeaseTable::new();
/// let seen = table.create(&Lease::new(LeaseKey::single("shardId-000000000000"), Checkpoint::TrimHorizon)).await?;
///
/// // Two workers have seen the same row and both try to take the lease: one of them gets it.
/// let [mine, other] = ["mine", "other"].map(|name| Write::take(&seen, name.into(), Token::new(name)));
/// table.update(&seen.key, &mine).await?;
/// let refused = table.update(&seen.key, &other).await;
/// assert!(matches!(refused, Err(Error::Conflict { row: Some(row) }) if row.owner == Some("mine".into())));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Write {
    /// The condition.
    pub expect: Expect,
    /// The change that is made if the condition holds.
    pub change: Change,
    /// What the shard carries, as its owner has measured it. It goes along with any write of the
    /// owner, costs none of its own, and decides nothing about the write.
    pub throughput: Option<Throughput>,
}

/// The condition of every write by the owner of a lease.
fn tenancy(seen: &Lease) -> Expect {
    Expect {
        counter: Some(seen.counter),
        token: Match::exactly(seen.token.clone()),
        ..Expect::default()
    }
}

/// The same for a write that may move the checkpoint: a checkpoint that was edited from outside is
/// then noticed instead of overwritten.
fn progress(seen: &Lease) -> Expect {
    Expect {
        checkpoint: Some(seen.checkpoint.clone()),
        ..tenancy(seen)
    }
}

impl Write {
    /// Combines any condition with any change. The other constructors are the writes of the
    /// protocol, each with its own condition.
    #[must_use]
    pub const fn new(expect: Expect, change: Change) -> Self {
        Self {
            expect,
            change,
            throughput: None,
        }
    }

    /// The same write, which also stores what the shard carries. With `None`, the row keeps what it
    /// has.
    #[must_use]
    pub const fn with_throughput(mut self, throughput: Option<Throughput>) -> Self {
        self.throughput = throughput;
        self
    }

    /// All that the write sets, attribute by attribute. This is what a table carries out.
    #[must_use]
    pub fn edits(&self) -> Edits {
        Edits {
            throughput: self.throughput,
            ..self.change.edits()
        }
    }

    /// Applies the write to a row and returns the result. This is all that a table needs if it can
    /// read a row and write it back in one transaction.
    ///
    /// ```
    /// use kcl_core::lease::{Error, Write};
    /// use kcl_core::model::{Checkpoint, Lease, LeaseKey, Token};
    ///
    /// let free = Lease::new(LeaseKey::single("shardId-000000000000"), Checkpoint::TrimHorizon);
    /// let take = Write::take(&free, "me".into(), Token::new("a"));
    /// let mine = take.apply(Some(&free))?;
    /// assert_eq!((mine.owner.as_ref(), mine.counter), (Some(&"me".into()), 1));
    /// assert!(matches!(take.apply(Some(&mine)), Err(Error::Conflict { row: Some(_) })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Conflict`] if there is no row or it does not meet the condition.
    pub fn apply(&self, row: Option<&Lease>) -> Result<Lease, Error> {
        let mut after = self.expect.check(row)?.clone();
        self.edits().apply(&mut after);
        Ok(after)
    }

    /// `me` takes a lease that is free, or whose owner has sent no heartbeat for long enough.
    #[must_use]
    pub fn take(seen: &Lease, me: WorkerId, token: Token) -> Self {
        Self::new(
            Expect {
                counter: Some(seen.counter),
                ..Expect::default()
            },
            Change::Take { owner: me, token },
        )
    }

    /// `me` claims a lease that was handed over to it, and begins a new tenancy.
    #[must_use]
    pub fn claim(seen: &Lease, me: WorkerId, token: Token) -> Self {
        Self::new(
            Expect {
                counter: Some(seen.counter),
                owner: Match::Is(me),
                checkpoint_owner: Match::Absent,
                ..Expect::default()
            },
            Change::Claim { token },
        )
    }

    /// The owner's heartbeat.
    #[must_use]
    pub fn renew(held: &Lease) -> Self {
        Self::new(tenancy(held), Change::Renew)
    }

    /// The owner commits a checkpoint.
    #[must_use]
    pub fn checkpoint(held: &Lease, to: Checkpoint) -> Self {
        let facts = held.facts.passed_by(&to);
        Self::new(progress(held), Change::Checkpoint { to, facts })
    }

    /// The owner prepares a checkpoint, the first half of a two-phase checkpoint.
    #[must_use]
    pub fn prepare(held: &Lease, pending: Pending) -> Self {
        Self::new(progress(held), Change::Prepare { pending })
    }

    /// `me` requests the lease from `of`, its owner.
    #[must_use]
    pub fn request(seen: &Lease, me: WorkerId, of: WorkerId) -> Self {
        Self::new(
            Expect {
                owner: Match::Is(of.clone()),
                checkpoint_owner: Match::Absent,
                token: Match::exactly(seen.token.clone()),
                not_ended: true,
                ..Expect::default()
            },
            Change::Request { by: me, of },
        )
    }

    /// `me` withdraws its request to `of`, the owner.
    #[must_use]
    pub fn withdraw(seen: &Lease, me: WorkerId, of: WorkerId) -> Self {
        Self::new(
            Expect {
                owner: Match::Is(me),
                checkpoint_owner: Match::Is(of.clone()),
                token: Match::exactly(seen.token.clone()),
                ..Expect::default()
            },
            Change::Withdraw { to: of },
        )
    }

    /// `me`, the owner, hands the lease over to `to`, which requested it. `checkpoint` is the last
    /// checkpoint, or `None` if it is stored already.
    #[must_use]
    pub fn pass_on(
        held: &Lease,
        me: WorkerId,
        to: WorkerId,
        checkpoint: Option<Checkpoint>,
    ) -> Self {
        let facts = checkpoint
            .as_ref()
            .and_then(|last| held.facts.passed_by(last));
        Self::new(
            Expect {
                owner: Match::Is(to),
                checkpoint_owner: Match::Is(me),
                ..progress(held)
            },
            Change::PassOn { checkpoint, facts },
        )
    }

    /// `me`, the owner, refuses the request of `asked` and keeps the lease.
    #[must_use]
    pub fn refuse(held: &Lease, me: WorkerId, asked: WorkerId) -> Self {
        Self::new(
            Expect {
                owner: Match::Is(asked),
                checkpoint_owner: Match::Is(me.clone()),
                ..tenancy(held)
            },
            Change::Refuse { owner: me },
        )
    }

    /// The owner releases the lease. `checkpoint` is the last checkpoint, or `None` if it is stored
    /// already.
    #[must_use]
    pub fn release(held: &Lease, checkpoint: Option<Checkpoint>) -> Self {
        let facts = checkpoint
            .as_ref()
            .and_then(|last| held.facts.passed_by(last));
        Self::new(progress(held), Change::Release { checkpoint, facts })
    }

    /// The owner has finished the shard. `children` may be empty: then the stored ones are kept.
    #[must_use]
    pub fn end(held: &Lease, children: Vec<ShardId>) -> Self {
        let facts = held.facts.passed_by(&Checkpoint::ShardEnd);
        Self::new(progress(held), Change::End { children, facts })
    }

    /// The owner stores the child shards.
    #[must_use]
    pub fn children(held: &Lease, children: Vec<ShardId>) -> Self {
        Self::new(tenancy(held), Change::Children { children })
    }

    /// The owner adds facts to a row that lacks them.
    #[must_use]
    pub fn facts(held: &Lease, facts: Facts) -> Self {
        Self::new(tenancy(held), Change::Facts { facts })
    }

    /// Adds the hash key range to a row that lacks it, whoever holds the lease.
    #[must_use]
    pub fn hash_range(range: HashKeyRange) -> Self {
        Self::new(Expect::default(), Change::HashRange { range })
    }

    /// An operator pauses the shard, whoever holds the lease.
    #[must_use]
    pub fn pause(at: Timestamp) -> Self {
        Self::new(
            Expect {
                not_ended: true,
                ..Expect::default()
            },
            Change::Pause { at },
        )
    }

    /// An operator ends the pause of the shard.
    #[must_use]
    pub fn resume() -> Self {
        Self::new(Expect::default(), Change::Resume)
    }

    /// An operator assigns the lease to this worker, whoever holds it.
    #[must_use]
    pub fn assign(to: Assignee) -> Self {
        Self::new(
            Expect {
                not_ended: true,
                ..Expect::default()
            },
            Change::Assign { to },
        )
    }

    /// Ends this assignment, whoever holds the lease.
    #[must_use]
    pub fn unassign(of: Assignee) -> Self {
        Self::new(
            Expect {
                assigned: Match::Is(of),
                ..Expect::default()
            },
            Change::Unassign,
        )
    }

    /// An operator sets the checkpoint of a lease that is free. `start_at` is the time at which the
    /// shard is opened if `to` is `LATEST` or `AT_TIMESTAMP`.
    #[must_use]
    pub fn seek(free: &Lease, to: Checkpoint, start_at: Option<Timestamp>) -> Self {
        let facts = Facts {
            start_at,
            began_at: None,
            ..free.facts.clone()
        };
        Self::new(
            Expect {
                counter: Some(free.counter),
                owner: Match::Absent,
                checkpoint_owner: Match::Absent,
                checkpoint: Some(free.checkpoint.clone()),
                not_ended: true,
                ..Expect::default()
            },
            Change::Seek { to, facts },
        )
    }

    /// The condition for the delete of a finished lease: it has not changed since it was judged to
    /// be no longer needed.
    #[must_use]
    pub fn delete(judged: &Lease) -> Expect {
        Expect {
            counter: Some(judged.counter),
            checkpoint: Some(Checkpoint::ShardEnd),
            ..Expect::default()
        }
    }
}

#[cfg(test)]
#[path = "write_test.rs"]
mod tests;
