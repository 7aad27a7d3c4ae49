use std::time::Duration;

use crate::model::{Lease, Moment, Token, WorkerId};

/// How long a pending hand-over is believed: the KCL forces one after 30 s, and an owner of ours
/// has answered long before. If the counter still moves then, whoever moves it does not know of
/// hand-overs, and that is the one that stands as owner.
const PENDING_LIMIT: Duration = Duration::from_secs(30);

/// One lease as an observer has seen it.
#[derive(Clone, Debug)]
pub(super) struct LeaseObservation {
    pub(super) counter: u64,
    pub(super) token: Option<Token>,
    owner: Option<WorkerId>,
    checkpoint_owner: Option<WorkerId>,
    switches: u64,
    /// When these two were first seen together.
    named: Moment,
    /// When the counter was first seen at this value, or all ages started anew.
    pub(super) since: Moment,
    /// How often the counter was seen to grow under this token.
    pub(super) moves: u32,
    /// A worker of ours handed it over, and who it was passed to has not claimed it.
    pub(super) handed_over: bool,
    /// Who holds it knows no tokens.
    pub(super) foreign: bool,
    /// The same, and that is no guess: it was seen to move the counter.
    pub(super) proven: bool,
    /// It was taken while a hand-over was pending, by somebody who left that in the row: it is
    /// void.
    pub(super) usurped: bool,
}

/// What a reading of a row has shown.
#[derive(Debug, Default)]
pub(super) struct ReadingResult {
    /// Who has shown life.
    pub(super) life: Option<WorkerId>,
    /// Whether the row names somebody else than before.
    pub(super) renamed: bool,
}

impl LeaseObservation {
    /// The first reading: whoever holds the lease counts as alive, as nothing is known against it.
    pub(super) fn first(row: &Lease, at: Moment) -> (Self, ReadingResult) {
        let sight = Self {
            counter: row.counter,
            token: row.token.clone(),
            owner: row.owner.clone(),
            checkpoint_owner: row.checkpoint_owner.clone(),
            switches: row.owner_switches,
            named: at,
            since: at,
            moves: 0,
            handed_over: false,
            foreign: row.token.is_none() && row.actual_owner().is_some(),
            proven: false,
            usurped: false,
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

    /// Another reading. One that is older than what was seen before shows nothing.
    pub(super) fn take_in(&mut self, row: &Lease, at: Moment) -> ReadingResult {
        let same_names =
            (&self.owner, &self.checkpoint_owner) == (&row.owner, &row.checkpoint_owner);
        if self.is_older(row) || (same_names && self.is_of(row)) {
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
        // Every take counts one more owner since the last checkpoint, and every one of ours brings
        // a token of its own.
        let switched = row.owner_switches > before.switches;
        let taken = before.token == row.token && grown && switched;
        // The same where the table tells that a token is not the owner's: the one write between the
        // two readings was a take, and no take of ours leaves a lease without a token.
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
        if before.token == row.token {
            // What somebody else moved before says nothing of who holds it now.
            self.moves = if holder_changed {
                0
            } else {
                self.moves + u32::from(grown)
            };
            // A tenancy of ours begins with a token of its own: whoever holds a lease under
            // another's does not know of tokens. Nor does who holds one without, and moves it.
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
        // A lower counter belongs to a row made anew, or to a reading from before a change of
        // owner: nobody's life.
        let wrote = row.counter > before.counter
            // Without a token nobody says who wrote; who stood there before and still does has
            // renewed.
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

    /// A lower counter under the same token is an old reading. Without a token it may be a row that
    /// another framework made anew.
    fn is_older(&self, row: &Lease) -> bool {
        self.token.is_some() && self.token == row.token && row.counter < self.counter
    }

    /// Whether this is the row that was seen last.
    pub(super) fn is_of(&self, row: &Lease) -> bool {
        self.counter == row.counter && self.token == row.token
    }

    /// Who works on it: while a hand-over is pending, the one who has not handed it over.
    pub(super) fn holder(&self, at: Moment) -> Option<&WorkerId> {
        let pending = self
            .checkpoint_owner
            .as_ref()
            .filter(|_| !self.usurped && !self.is_void(at));
        pending
            .or(self.owner.as_ref())
            .or(self.checkpoint_owner.as_ref())
    }

    /// Whether a hand-over has been pending for longer than it can.
    fn is_void(&self, at: Moment) -> bool {
        self.checkpoint_owner.is_some() && at.since(self.named) >= PENDING_LIMIT
    }
}
