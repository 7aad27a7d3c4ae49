use crate::model::{Checkpoint, Facts, HashKeyRange, Lease, Pending, ShardId, Token, WorkerId};

use super::Error;
use super::change::{Change, Expect, Match};

/// A write of the protocol: a condition and a change that belong together.
///
/// | write | condition | sets |
/// |---|---|---|
/// | [`take`](Self::take) | counter = n | owner me, n + 1, a new token, no checkpoint owner, one switch more |
/// | [`claim`](Self::claim) | counter = n, owner = me, no checkpoint owner | n + 1, a new token |
/// | [`renew`](Self::renew) | counter = n, token | n + 1 |
/// | [`checkpoint`](Self::checkpoint), [`prepare`](Self::prepare) | counter = n, token, previous checkpoint | n + 1 and the checkpoint, or what is prepared |
/// | [`request`](Self::request) | owner A, no checkpoint owner, token of A, not at the shard's end | owner me, checkpoint owner A |
/// | [`withdraw`](Self::withdraw) | owner me, checkpoint owner A, token of A | owner A, no checkpoint owner |
/// | [`pass_on`](Self::pass_on) | counter = n, token, owner B, checkpoint owner me, previous checkpoint | the checkpoint, n + 1, no checkpoint owner, no token |
/// | [`refuse`](Self::refuse) | counter = n, token, owner B, checkpoint owner me | owner me, n + 1, no checkpoint owner |
/// | [`release`](Self::release) | counter = n, token, previous checkpoint | the checkpoint, n + 1, no owner, no token |
/// | [`end`](Self::end) | counter = n, token, previous checkpoint | the shard's end, the children, n + 1, no owner, no token |
/// | [`children`](Self::children), [`facts`](Self::facts) | counter = n, token | n + 1 and these |
/// | [`hash_range`](Self::hash_range) | the row exists | the range |
///
/// Owned creation is [`LeaseTable::create`](super::LeaseTable::create) (condition: no row) and
/// [`Write::delete`] gives the condition of a delete (counter = n, at the shard's end). Every
/// condition implies the one that the KCL sets for the same step.
///
/// The first checkpoint of a lease that began at a time, whichever write takes it along, also sets
/// the facts: that time is [passed](crate::model::Facts::began_at) from then on.
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
/// // Two workers have seen the same row, and both want the lease: one of them gets it.
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
    /// What must hold.
    pub expect: Expect,
    /// What is then done.
    pub change: Change,
}

/// The condition of every write of a tenancy.
fn tenancy(seen: &Lease) -> Expect {
    Expect {
        counter: Some(seen.counter),
        token: Match::exactly(seen.token.clone()),
        ..Expect::default()
    }
}

/// The same, for a write that moves the checkpoint: a value that somebody edited is noticed, not
/// overwritten.
fn progress(seen: &Lease) -> Expect {
    Expect {
        checkpoint: Some(seen.checkpoint.clone()),
        ..tenancy(seen)
    }
}

impl Write {
    /// Any change on any condition. The others are the writes of the protocol, each with the
    /// condition that belongs to it.
    #[must_use]
    pub const fn new(expect: Expect, change: Change) -> Self {
        Self { expect, change }
    }

    /// What the write makes of a row: all that a table has to do which reads a row and writes it
    /// back with nothing between.
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
    /// [`Error::Conflict`] when there is no row or it is not as expected.
    pub fn apply(&self, row: Option<&Lease>) -> Result<Lease, Error> {
        let mut after = self.expect.check(row)?.clone();
        self.change.edits().apply(&mut after);
        Ok(after)
    }

    /// `me` takes a lease that is free, or whose owner has shown no life for long enough.
    #[must_use]
    pub fn take(seen: &Lease, me: WorkerId, token: Token) -> Self {
        Self {
            expect: Expect {
                counter: Some(seen.counter),
                ..Expect::default()
            },
            change: Change::Take { owner: me, token },
        }
    }

    /// `me` begins the tenancy of a lease that was passed on to it.
    #[must_use]
    pub fn claim(seen: &Lease, me: WorkerId, token: Token) -> Self {
        Self {
            expect: Expect {
                counter: Some(seen.counter),
                owner: Match::Is(me),
                checkpoint_owner: Match::Absent,
                ..Expect::default()
            },
            change: Change::Claim { token },
        }
    }

    /// A heartbeat.
    #[must_use]
    pub fn renew(held: &Lease) -> Self {
        Self {
            expect: tenancy(held),
            change: Change::Renew,
        }
    }

    /// Progress.
    #[must_use]
    pub fn checkpoint(held: &Lease, to: Checkpoint) -> Self {
        let facts = held.facts.passed_by(&to);
        Self {
            expect: progress(held),
            change: Change::Checkpoint { to, facts },
        }
    }

    /// The first half of a two-phase checkpoint.
    #[must_use]
    pub fn prepare(held: &Lease, pending: Pending) -> Self {
        Self {
            expect: progress(held),
            change: Change::Prepare { pending },
        }
    }

    /// `me` asks `of`, the owner, for the lease.
    #[must_use]
    pub fn request(seen: &Lease, me: WorkerId, of: WorkerId) -> Self {
        Self {
            expect: Expect {
                owner: Match::Is(of.clone()),
                checkpoint_owner: Match::Absent,
                token: Match::exactly(seen.token.clone()),
                not_ended: true,
                ..Expect::default()
            },
            change: Change::Request { by: me, of },
        }
    }

    /// `me` takes back what it asked of `of`.
    #[must_use]
    pub fn withdraw(seen: &Lease, me: WorkerId, of: WorkerId) -> Self {
        Self {
            expect: Expect {
                owner: Match::Is(me),
                checkpoint_owner: Match::Is(of.clone()),
                token: Match::exactly(seen.token.clone()),
                ..Expect::default()
            },
            change: Change::Withdraw { to: of },
        }
    }

    /// `me`, the owner, hands the lease to `to`, who asked for it; `checkpoint` is the last one if
    /// it is not stored yet.
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
        Self {
            expect: Expect {
                owner: Match::Is(to),
                checkpoint_owner: Match::Is(me),
                ..progress(held)
            },
            change: Change::PassOn { checkpoint, facts },
        }
    }

    /// `me`, the owner, keeps the lease that `asked` asked for.
    #[must_use]
    pub fn refuse(held: &Lease, me: WorkerId, asked: WorkerId) -> Self {
        Self {
            expect: Expect {
                owner: Match::Is(asked),
                checkpoint_owner: Match::Is(me.clone()),
                ..tenancy(held)
            },
            change: Change::Refuse { owner: me },
        }
    }

    /// The owner gives the lease up; `checkpoint` is the last one if it is not stored yet.
    #[must_use]
    pub fn release(held: &Lease, checkpoint: Option<Checkpoint>) -> Self {
        let facts = checkpoint
            .as_ref()
            .and_then(|last| held.facts.passed_by(last));
        Self {
            expect: progress(held),
            change: Change::Release { checkpoint, facts },
        }
    }

    /// The shard is done.
    #[must_use]
    pub fn end(held: &Lease, children: Vec<ShardId>) -> Self {
        let facts = held.facts.passed_by(&Checkpoint::ShardEnd);
        Self {
            expect: progress(held),
            change: Change::End { children, facts },
        }
    }

    /// The shards that follow are known.
    #[must_use]
    pub fn children(held: &Lease, children: Vec<ShardId>) -> Self {
        Self {
            expect: tenancy(held),
            change: Change::Children { children },
        }
    }

    /// Facts for a row that lacks them.
    #[must_use]
    pub fn facts(held: &Lease, facts: Facts) -> Self {
        Self {
            expect: tenancy(held),
            change: Change::Facts { facts },
        }
    }

    /// A hash key range for a row that lacks it.
    #[must_use]
    pub fn hash_range(range: HashKeyRange) -> Self {
        Self {
            expect: Expect::default(),
            change: Change::HashRange { range },
        }
    }

    /// The condition under which a finished lease may be deleted: nothing has happened to it since
    /// it was judged.
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
