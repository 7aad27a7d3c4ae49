use std::time::Duration;

use crate::model::{Lease, Moment, WorkerId};

use super::cool_down::CoolDown;
use super::request::OwnRequest;

/// How long a lease is neither asked for nor handed over after a request for it was refused.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What this worker knows of one lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseEntry {
    /// Its row, as new as it is known.
    pub(super) row: Option<Lease>,
    /// When the row was last read by itself, written by this worker, or found to be gone; not when
    /// a scan that began later has shown it.
    pub(super) read_at: Option<Moment>,
    /// When the row was last seen to be there.
    pub(super) there_at: Option<Moment>,
    /// What this worker has to do with it.
    pub(super) work: LeaseWork,
    /// This worker's request for it.
    pub(super) request: Option<OwnRequest>,
    /// This worker has handed it over, and has not seen it claimed.
    pub(super) handed_over: Option<HandedOver>,
    /// It went wrong here.
    pub(super) cool_down: Option<CoolDown>,
    /// A request for it was refused, by this worker or to it.
    pub(super) refused_until: Option<Moment>,
    /// It was read up to the bound of the reading: it is not taken in this run any more.
    pub(super) is_read: bool,
}

/// What a worker has to do with a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseWork {
    /// Nothing.
    #[default]
    Nothing,
    /// It is being taken or claimed.
    Taking,
    /// A writer keeps it. Without a consumer it is being given back.
    Held {
        /// A consumer works on it.
        consumed: bool,
    },
    /// It is not ours any more, and a handler has not returned.
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

    /// Whether it was read up to the bound of the reading.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether this worker is at work on it, is taking it, or leaves it alone for now for its own
    /// sake.
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

    /// This worker's hand-over, if the row is as that has left it.
    #[must_use]
    pub fn handed_over(&self, row: &Lease) -> Option<HandedOver> {
        self.handed_over
            .filter(|handed_over| handed_over.counter == row.counter && row.token.is_none())
    }

    pub(super) fn refuse(&mut self, now: Moment) {
        self.refused_until = Some(now + REFUSED_FOR);
    }

    /// Forgets a refusal that is long over. Not at once: what is judged at an earlier moment, by a
    /// scan that took long, still goes by it.
    pub(super) fn forget_refusal(&mut self, now: Moment) {
        self.refused_until = self
            .refused_until
            .filter(|until| now < *until + REFUSED_FOR);
    }

    /// The row as a scan has shown it, or that it was not there. A row that was read by itself goes
    /// before it.
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

    /// Whether nothing is known that matters.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a row of a scan goes before the one that is known, whenever it was read. A request moves
/// no counter; one that was withdrawn before the row was read costs an answer that the table
/// refuses.
fn is_newer(seen: &Lease, known: &Lease, me: &WorkerId) -> bool {
    let asked = |row: &Lease| row.checkpoint_owner.as_ref() == Some(me);
    let is_request = asked(seen) && !asked(known) && known.owner.as_ref() == Some(me);
    seen.counter > known.counter || seen.counter == known.counter && is_request
}
