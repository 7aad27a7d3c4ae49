//! One lease over time. What can be told from two readings of a row:
//!
//! ```text
//!   counter grew, same token           its holder renewed it: alive
//!   counter grew, new token            another worker took or claimed it: that one is alive
//!   token gone, owner named            handed over, or taken by a KCL worker
//!   owner changed, same counter        a request or a withdrawal: nobody's sign of life
//!   counter fell, same token           an older reading, from another replica: ignored
//! ```
//!
//! KCL workers write no token and know nothing of this one's, so their takes have to be told apart
//! by the attributes that they do write: the counter and the count of owner switches.

use std::time::Duration;

use crate::model::{Assignee, Lease, Moment, Token, WorkerId};

/// How long a hand-over can be pending: the KCL forces one after 30 s, and an owner of this
/// framework answers long before. If the counter still grows after that, it is increased by a
/// worker that does not know hand-overs, and that is the one named as owner. A KCL 1.x or 2.x
/// worker that takes a lease keeps the attribute of a pending hand-over, and would otherwise never
/// be seen as its owner.
const PENDING_LIMIT: Duration = Duration::from_secs(30);

/// A lease, as an observer has seen it.
#[derive(Clone, Debug)]
pub(super) struct LeaseObservation {
    /// As last seen. Only its growth matters.
    pub(super) counter: u64,
    /// As last seen. `None` if the lease is free, handed over, or held by a KCL worker.
    pub(super) token: Option<Token>,
    /// `leaseOwner`: the holder, or the requester.
    pub(super) owner: Option<WorkerId>,
    /// `checkpointOwner`: the holder during a hand-over.
    checkpoint_owner: Option<WorkerId>,
    /// The owner switches. A take adds one, a renewal none, a checkpoint sets it to 0.
    switches: u64,
    /// When this pair of owners was first seen. It limits how long a pending hand-over is believed.
    named: Moment,
    /// When another worker was first seen to hold it than before, unless it was paused in between.
    /// `None` if none was: nobody knows how long the first one that was seen has held it.
    pub(super) moved: Option<Moment>,
    /// It is free since it was paused.
    freed_by_pause: bool,
    /// When another worker was first seen to hold it than before, however it came to it.
    pub(super) arrived: Option<Moment>,
    /// When the counter was first seen at this value, or when all ages started again. The lease
    /// expires counted from here, by this observer's clock.
    pub(super) since: Moment,
    /// The worker that an operator has assigned it to, and when that was first seen.
    pub(super) assigned: Option<(Assignee, Moment)>,
    /// How many times the counter was seen to grow under this token. Two under this worker's own
    /// name, and not by this process, show a second process with its id.
    pub(super) moves: u32,
    /// A worker of this framework handed it over, and the receiver has not claimed it. Being named
    /// in it says nothing about the receiver's life.
    pub(super) handed_over: bool,
    /// Its holder does not know tokens. It is judged by the whole failover time, as the KCL does.
    pub(super) foreign: bool,
    /// The same, and proven: the holder was seen to increase the counter. A missing token alone is
    /// no proof: a lease that was handed over has none either.
    pub(super) proven: bool,
    /// It was taken while a hand-over was pending, by a worker that left the hand-over in the row:
    /// the hand-over is void.
    pub(super) usurped: bool,
    /// Its shard is at its end. The KCL leaves the name of the last owner in such a row.
    finished: bool,
}

/// What the reading of a row has shown.
#[derive(Debug, Default)]
pub(super) struct ReadingResult {
    /// The worker for which this was evidence of life. The writer, not whoever the row names.
    pub(super) life: Option<WorkerId>,
    /// Whether the row names another worker than before. Then the fleet is not calm, and planned
    /// moves of others may be under way.
    pub(super) renamed: bool,
}

impl LeaseObservation {
    /// The first reading: the holder of the lease counts as alive, as nothing else is known yet. If
    /// it is not, its counter does not grow, and the evidence expires like any other.
    pub(super) fn first(row: &Lease, at: Moment) -> (Self, ReadingResult) {
        let sight = Self {
            counter: row.counter,
            token: row.token.clone(),
            owner: row.owner.clone(),
            checkpoint_owner: row.checkpoint_owner.clone(),
            switches: row.owner_switches,
            named: at,
            moved: None,
            freed_by_pause: row.is_paused() && row.actual_owner().is_none(),
            arrived: None,
            assigned: row.assigned_to.clone().map(|to| (to, at)),
            since: at,
            moves: 0,
            handed_over: false,
            foreign: row.token.is_none() && row.actual_owner().is_some(),
            proven: false,
            usurped: false,
            finished: row.checkpoint.is_shard_end(),
        };
        let life = sight.holder(at).cloned();
        (
            sight,
            ReadingResult {
                life,
                renamed: true,
            },
        )
    }

    /// Another reading. One that is older than what was seen before is ignored.
    pub(super) fn take_in(&mut self, row: &Lease, at: Moment) -> ReadingResult {
        let same_names =
            (&self.owner, &self.checkpoint_owner) == (&row.owner, &row.checkpoint_owner);
        if self.is_older(row) {
            return ReadingResult::default();
        }
        self.see_assignment(row, at);
        self.finished = row.checkpoint.is_shard_end();
        if same_names && self.is_of(row) {
            return ReadingResult::default();
        }
        let before = self.clone();
        if self.counter != row.counter || self.token != row.token {
            self.since = at;
            self.counter = row.counter;
        }
        if !same_names {
            self.owner.clone_from(&row.owner);
            self.checkpoint_owner.clone_from(&row.checkpoint_owner);
            self.named = at;
        }
        let grown = row.counter > before.counter;
        // Every take adds one owner switch, and every take by a worker of this framework also
        // writes a new token.
        let switched = row.owner_switches > before.switches;
        let taken = before.token == row.token && grown && switched;
        // The same if the table now shows no token, because the stored one is not the owner's: the
        // only write between the two readings was a take, and a take by a worker of this framework
        // always leaves a token.
        let taken_without = before.token.is_some()
            && row.token.is_none()
            && row.actual_owner().is_some()
            && row.counter == before.counter + 1
            && switched;
        self.switches = row.owner_switches;
        self.usurped = taken
            || (self.usurped
                && before.checkpoint_owner == self.checkpoint_owner
                && before.token == row.token);
        self.usurped &= self.checkpoint_owner.is_some();
        let holder_changed = before.holder(at) != self.holder(at);
        if holder_changed {
            self.arrived = Some(at);
        }
        // What a pause has freed is taken by whoever looks first when it is resumed, often by one
        // worker for all of it: that must not rest there.
        if holder_changed && !before.freed_by_pause {
            self.moved = Some(at).filter(|_| !row.is_paused());
        }
        self.freed_by_pause =
            self.holder(at).is_none() && (before.freed_by_pause || row.is_paused());
        if before.token == row.token {
            // Counter changes by an earlier holder say nothing about the current one.
            self.moves = if holder_changed {
                0
            } else {
                self.moves + u32::from(grown)
            };
            // A tenancy of this framework begins with a new token: a worker that holds a lease
            // under another worker's token does not know tokens. Nor does one that increases the
            // counter of a lease without a token.
            self.proven |=
                grown && (self.token.is_none() || holder_changed || taken || self.is_void(at));
            self.proven &= self.owner.is_some();
            self.foreign = (self.foreign || self.proven) && self.owner.is_some();
            self.handed_over &= !grown;
        } else {
            self.token.clone_from(&row.token);
            self.moves = 0;
            self.proven = taken_without;
            let held = row.token.is_none() && row.actual_owner().is_some();
            self.handed_over =
                held && !taken_without && !row.hand_over_pending() && before.token.is_some();
            self.foreign = held && !self.handed_over;
        }
        // A lower counter belongs to a recreated row, or to a reading from before a change of
        // owner: it is no evidence of life.
        let wrote = row.counter > before.counter
            // Without a token, the writer is unknown; but a worker that was named before and still
            // is has renewed the lease.
            && (row.token.is_some() || taken_without || (before.token.is_none() && !holder_changed));
        ReadingResult {
            life: if wrote {
                self.holder(at).cloned()
            } else {
                None
            },
            renamed: !same_names,
        }
    }

    /// An assignment is made without a change of the counter.
    fn see_assignment(&mut self, row: &Lease, at: Moment) {
        let before = self.assigned.take();
        let kept = before.filter(|(to, _)| Some(to) == row.assigned_to.as_ref());
        self.assigned = kept.or_else(|| Some((row.assigned_to.clone()?, at)));
    }

    /// A lower counter under the same token is an old reading. Without a token, it may be a row
    /// that another framework has recreated. Eventually consistent reads may go back, and must not
    /// restart an age.
    fn is_older(&self, row: &Lease) -> bool {
        self.token.is_some() && self.token == row.token && row.counter < self.counter
    }

    /// Whether this is the row that was seen last.
    pub(super) fn is_of(&self, row: &Lease) -> bool {
        self.counter == row.counter && self.token == row.token
    }

    /// Whether it names a worker that does not know tokens and that may still be there: the row of a
    /// finished shard names one for days, and shows it only while the counter moves.
    pub(super) fn shows_foreign(&self, now: Moment, silence: Duration) -> bool {
        self.foreign && !(self.finished && now.since(self.since) >= silence)
    }

    /// The worker that holds it: while a hand-over is pending, the previous owner.
    pub(super) fn holder(&self, at: Moment) -> Option<&WorkerId> {
        let pending = self
            .checkpoint_owner
            .as_ref()
            .filter(|_| !self.usurped && !self.is_void(at));
        pending
            .or(self.owner.as_ref())
            .or(self.checkpoint_owner.as_ref())
    }

    /// Whether a hand-over has been pending for longer than is possible. By the observer's clock,
    /// from when the pair of names was first seen.
    fn is_void(&self, at: Moment) -> bool {
        self.checkpoint_owner.is_some() && at.since(self.named) >= PENDING_LIMIT
    }
}
