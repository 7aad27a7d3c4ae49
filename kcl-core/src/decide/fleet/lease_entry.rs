use std::time::Duration;

use crate::model::{Lease, Moment, WorkerId};

use super::cool_down::CoolDown;
use super::entries::OwnTokens;
use super::request::OwnRequest;

/// How long a lease is neither requested nor handed over after a request for it was refused.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What this worker knows about one lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseEntry {
    /// Its newest known row.
    pub(super) row: Option<Lease>,
    /// When the row was last read on its own, written by this worker, or found missing, unless a
    /// scan that began later has shown it since.
    pub(super) read_at: Option<Moment>,
    /// When the row was last seen to exist.
    pub(super) there_at: Option<Moment>,
    /// What this worker has to do with it.
    pub(super) work: LeaseWork,
    /// This worker's request for it.
    pub(super) request: Option<OwnRequest>,
    /// This worker's hand-over of it, until it is seen to be claimed.
    pub(super) handed_over: Option<HandedOver>,
    /// How long it is left alone after a failure here.
    pub(super) cool_down: Option<CoolDown>,
    /// Until when it is not requested or handed over, after a request was refused.
    pub(super) refused_until: Option<Moment>,
    /// Whether it was read up to the bound, and is not taken again in this run.
    pub(super) is_read: bool,
    /// Whether its consumer was told to drain the shard because it is paused.
    pub(super) obeys_pause: bool,
    /// Whether its consumer was told to drain the shard because the worker is drained, and the lease was
    /// not seen with another worker since.
    pub(super) is_given_up: bool,
    /// Whether the end of its assignment was sent and is not answered.
    pub(super) is_unassigning: bool,
    /// Whether another worker requests it of this one.
    pub(super) is_asked: bool,
    /// Whether its writer was told that the row is not as it should be.
    pub(super) is_doubted: bool,
}

/// What a worker is doing with a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseWork {
    /// Nothing.
    #[default]
    Nothing,
    /// It is being taken or claimed.
    Taking,
    /// A writer keeps it. Without a consumer, it is being given back.
    Held {
        /// Whether a consumer processes it.
        consumed: bool,
    },
    /// This worker no longer holds it, but a handler has not returned yet.
    HandlerLeft,
}

/// A lease that this worker handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// The counter that the hand-over wrote.
    pub counter: u64,
    /// When it was acknowledged.
    pub at: Moment,
}

impl LeaseEntry {
    /// What this worker has to do with it.
    #[must_use]
    pub const fn work(&self) -> LeaseWork {
        self.work
    }

    /// This worker's request for it, from when it is sent until it is seen to be over.
    #[must_use]
    pub const fn request(&self) -> Option<&OwnRequest> {
        self.request.as_ref()
    }

    /// Whether it was read up to the bound.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether this worker processes it, is taking it, or leaves it alone for now.
    #[must_use]
    pub fn is_busy(&self, now: Moment) -> bool {
        self.work != LeaseWork::Nothing
            || self.is_read
            || self.cool_down.is_some_and(|cool_down| cool_down.lasts(now))
    }

    /// Whether a request for it was refused a short while ago.
    #[must_use]
    pub fn is_refused(&self, now: Moment) -> bool {
        self.refused_until.is_some_and(|until| now < until)
    }

    /// This worker's hand-over, if the row is still as that has left it.
    #[must_use]
    pub fn handed_over(&self, row: &Lease) -> Option<HandedOver> {
        self.handed_over
            .filter(|handed_over| handed_over.counter == row.counter && row.token.is_none())
    }

    /// Whether this worker has to drain the shard because an operator has paused it, and has not
    /// begun to. A shard that is being taken is not drained before it is held.
    pub(super) fn begins_to_obey_pause(&mut self, me: &WorkerId) -> bool {
        let is_held = self.work == (LeaseWork::Held { consumed: true });
        let is_paused = |row: &Lease| row.is_paused() && row.actual_owner() == Some(me);
        let obeys = is_held && self.row.as_ref().is_some_and(is_paused);
        !std::mem::replace(&mut self.obeys_pause, obeys) && obeys
    }

    /// Whether what was given up is over: the lease is with another worker, or nobody may take it.
    pub(super) fn is_given_away(&self, me: &WorkerId) -> bool {
        let Some(row) = &self.row else {
            // Either it is being read again, or it is gone.
            return self.read_at.is_none();
        };
        let is_anothers = row.actual_owner().is_some_and(|owner| owner != me);
        let is_idle = self.work == LeaseWork::Nothing;
        is_idle && (is_anothers || row.is_paused() || row.checkpoint.is_shard_end())
    }

    /// Whether the row of a lease that this worker holds is missing or another tenancy's, and its
    /// writer was not told so.
    pub(super) fn begins_to_be_doubted(&mut self, tokens: &dyn OwnTokens) -> bool {
        let is_held = matches!(self.work, LeaseWork::Held { .. });
        let is_ours = |row: &Lease| tokens.is_ours(row) && !tokens.is_abandoned(row);
        let is_doubted = is_held && !self.row.as_ref().is_some_and(is_ours);
        !std::mem::replace(&mut self.is_doubted, is_doubted) && is_doubted
    }

    pub(super) fn refuse(&mut self, now: Moment) {
        self.refused_until = Some(now + REFUSED_FOR);
    }

    /// Forgets a refusal that is long over. Not immediately, because a slow scan may be judged by
    /// an earlier moment.
    pub(super) fn forget_refusal(&mut self, now: Moment) {
        self.refused_until = self
            .refused_until
            .filter(|until| now < *until + REFUSED_FOR);
    }

    /// Adds the row from a scan, or that it was missing there. A row that was read on its own has
    /// priority.
    pub(super) fn take_in(&mut self, scanned: Option<Lease>, me: &WorkerId) {
        let keeps = self.read_at.is_some()
            && match (&self.row, &scanned) {
                (Some(known), Some(seen)) => !is_newer(seen, known, me),
                // It was read, and not there, or it is not known what it is; or the scan is from
                // before it was made.
                _ => true,
            };
        if !keeps {
            self.row = scanned;
        }
    }

    /// Whether nothing relevant is known.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a row from a scan replaces the known one, whenever that was read. A request does not
/// change the counter; acting on one that was already withdrawn only costs a write that conflicts.
fn is_newer(seen: &Lease, known: &Lease, me: &WorkerId) -> bool {
    let asked = |row: &Lease| row.checkpoint_owner.as_ref() == Some(me);
    let is_request = asked(seen) && !asked(known) && known.owner.as_ref() == Some(me);
    seen.counter > known.counter || seen.counter == known.counter && is_request
}
