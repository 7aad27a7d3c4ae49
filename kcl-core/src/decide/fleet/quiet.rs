//! A quiet fleet: heartbeats hold every lease, nothing is to be moved, and the change signal tells as
//! soon as that is over. Then nothing in the table has to be looked for, and it is scanned seldom.
//!
//! ```text
//!    busy: a scan each fifth of the failover time
//!     |  ^
//!     |  |  a change is heard of, a worker's row is another process's or gone, or stands still for half
//!     |  |  the failover time, a scan fails, the signal is not heard
//!     v  |
//!    quiet: a scan each 30 s, and the row of one other worker is read once in each of its beats
//!
//!    busy becomes quiet once no change was seen or heard of for a failover time
//! ```
//!
//! What nobody has announced (a worker died between its write and its word) a scan finds, later than in a
//! busy fleet: it tells the others, who look as seldom. Where a KCL may start, which announces nothing,
//! one worker scans more often for all. Workers with different failover times are never quiet: who has
//! the longer one would notice a death too late for the others.

use crate::lease::{Error, KeepAlive, WorkerRow};
use crate::model::{Lease, Moment, Token, WorkerId};

use super::engine::Engine;
use super::lease_entry::{LeaseEntry, LeaseWork};
use super::neighbour::Neighbour;
use super::schedule::ScanPace;

/// What this worker knows of whether its fleet is quiet.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    /// Whether the heartbeats of this worker hold its leases, and the counters of leases do not matter.
    pub(super) relies_on_heartbeats: bool,
    /// Whether the change signal is heard.
    pub(super) hears: bool,
    /// When this worker last had a reason to look. `None` before it first had one.
    disturbed: Option<Moment>,
    /// The worker that it watches while all is quiet.
    neighbour: Option<Neighbour>,
    /// The process that it has told the others of because its row stood still.
    told_of: Option<Token>,
    /// Whether the last scan has shown that a KCL may hold leases.
    shows_kcl: bool,
}

impl Quiet {
    /// When the row of the neighbour is to be read.
    pub(super) fn next_reading(&self) -> Option<Moment> {
        self.neighbour.as_ref()?.next()
    }
}

/// What the reading of the neighbour's row has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// It lives, or it was not read, or somebody else is watched by now.
    Lives,
    /// It stands still.
    StandsStill,
    /// The row is gone, of another process, or its marks are not as they were.
    HasChanged,
}

impl Engine {
    /// Notes that something has changed, or may have: the table is scanned as often as in a busy fleet
    /// until nothing has for a while.
    pub fn disturb(&mut self, at: Moment) {
        self.quiet.disturbed = Some(at);
        self.quiet.neighbour = None;
        if self.members.is_quiet {
            self.members.is_quiet = false;
            self.schedule.hurry(at);
        }
    }

    /// Whether the fleet is quiet, as far as this worker knows.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.members.is_quiet
    }

    /// Notes whether the change signal is heard.
    pub fn hears(&mut self, hears: bool, at: Moment) {
        self.quiet.hears = hears;
        if !hears {
            self.disturb(at);
        }
    }

    /// The worker whose row is to be read now, if one is. It is told of by
    /// [`saw_neighbour`](Self::saw_neighbour).
    pub fn neighbour_to_read(&mut self, now: Moment) -> Option<WorkerId> {
        let neighbour = self.quiet.neighbour.as_mut()?;
        let is_due = neighbour.next().is_some_and(|at| at <= now);
        is_due.then(|| {
            neighbour.is_asked();
            neighbour.worker().clone()
        })
    }

    /// Takes in the row of the neighbour as it was read at this moment, or that it could not be read.
    pub fn saw_neighbour(
        &mut self,
        worker: &WorkerId,
        row: Result<Option<WorkerRow>, Error>,
        at: Moment,
    ) -> NeighbourState {
        let seen = row.as_ref().ok().and_then(Option::as_ref);
        let neighbour = self.quiet.neighbour.as_mut();
        let is_watched = neighbour.is_some_and(|neighbour| {
            let is_it = neighbour.worker() == worker;
            if is_it {
                neighbour.was_read(seen, at);
            }
            is_it
        });
        let Ok(row) = row else {
            return NeighbourState::Lives;
        };
        let before = self.members.rows().find(|row| row.worker == *worker);
        let is_same = |now: &WorkerRow| {
            before.is_some_and(|before| before.incarnation == now.incarnation) && self.beats(now)
        };
        let has_changed = !row.as_ref().is_some_and(is_same);
        self.see_worker(worker, row, at);
        if has_changed || self.members.calm(at).is_zero() {
            self.disturb(at);
            return NeighbourState::HasChanged;
        }
        if is_watched && self.stands_still(worker, at) {
            self.disturb(at);
            return NeighbourState::StandsStill;
        }
        NeighbourState::Lives
    }

    /// Whether a row has stood still for so long that others have to look, too.
    fn stands_still(&self, worker: &WorkerId, at: Moment) -> bool {
        let still = self.members.stands_still(worker, at);
        still.is_some_and(|still| still >= self.settings.timing.failover / 2)
    }

    /// The rows that the others are told to look at after a scan and its plan, because nobody else may
    /// have said what it shows: that of this worker, if the fleet `was_quiet` or a KCL has begun; and that
    /// of the worker that comes next, once, if it stands still.
    pub fn whom_to_tell_of(&mut self, was_quiet: bool, now: Moment) -> Vec<WorkerId> {
        let shows_kcl = self.kcl_may_share(now);
        let was_shown = std::mem::replace(&mut self.quiet.shows_kcl, shows_kcl);
        let is_new = shows_kcl && !was_shown;
        let mut told = Vec::new();
        if is_new || (was_quiet && !self.is_quiet()) {
            told.push(self.settings.me.clone());
        }
        let next = Neighbour::of(&self.settings.me, self.members.rows()).cloned();
        let still = next.filter(|next| self.stands_still(&next.worker, now));
        let process = still.as_ref().map(|next| next.incarnation.clone());
        if std::mem::replace(&mut self.quiet.told_of, process.clone()) != process {
            told.extend(still.map(|next| next.worker));
        }
        told
    }

    /// How often the table has to be scanned after a plan from the rows as they were read at `seen`, and
    /// who is watched. The plan may have been `idle`, and there may be `others`.
    pub(super) fn choose_pace(&mut self, idle: bool, others: bool, seen: Moment) -> ScanPace {
        let pace = if !others {
            ScanPace::Alone
        } else if self.has_come_to_rest(idle, seen) {
            ScanPace::Quiet
        } else {
            ScanPace::Busy
        };
        self.members.is_quiet = pace == ScanPace::Quiet;
        let next = (pace == ScanPace::Quiet)
            .then(|| Neighbour::of(&self.settings.me, self.members.rows()))
            .flatten();
        let kept = self.quiet.neighbour.take();
        self.quiet.neighbour = next.map(|row| match kept {
            Some(kept) if *kept.worker() == row.worker => kept,
            _ => Neighbour::new(row, seen),
        });
        pace
    }

    fn has_come_to_rest(&self, idle: bool, seen: Moment) -> bool {
        let failover = self.settings.timing.failover;
        let is_settled = self.members.calm(seen) >= failover
            && self
                .quiet
                .disturbed
                .is_none_or(|at| seen.since(at) >= failover);
        let is_ours_alone = self.led.is_none() && !self.may_share && !self.has_malformed;
        is_settled
            && is_ours_alone
            && self.quiet.relies_on_heartbeats
            && self.quiet.hears
            && !self.settings.reading_ends
            && self.drain.is_none()
            && idle
            && self.leases.is_whole()
            && self.leases.requests().next().is_none()
            && self
                .members
                .rows()
                .all(|row| self.beats(row) && self.has_shown_life(row, seen))
            && self
                .leases
                .known()
                .all(|(row, entry)| self.stays(row, entry))
    }

    /// Whether a row was seen to move since the scan before. Whoever watches that worker may be dead too,
    /// or may not see it.
    fn has_shown_life(&self, row: &WorkerRow, seen: Moment) -> bool {
        let life = self.members.last_life(&row.worker);
        life.is_some_and(|life| seen.since(life) < self.settings.timing.failover)
    }

    /// Whether this worker goes on as all others do, and its row shows it.
    fn beats(&self, row: &WorkerRow) -> bool {
        row.keep_alive == KeepAlive::Heartbeats
            && row.failover == self.settings.timing.failover
            && !row.leaving
            && !row.is_draining()
    }

    /// Whether nothing will become of a lease unless somebody announces it.
    fn stays(&self, row: &Lease, entry: &LeaseEntry) -> bool {
        if row.checkpoint.is_shard_end() {
            return entry.work() == LeaseWork::Nothing;
        }
        if row.hand_over_pending() || row.assigned_to.is_some() {
            return false;
        }
        match entry.work() {
            LeaseWork::Held { consumed } => consumed,
            LeaseWork::Nothing if row.owner.is_none() => row.is_paused(),
            LeaseWork::Nothing => self
                .members
                .lease(row)
                .held_by_heartbeats_of(&self.members)
                .is_some_and(|holder| holder.worker != self.settings.me),
            LeaseWork::Taking | LeaseWork::HandlerLeft => false,
        }
    }
}

#[cfg(test)]
#[path = "quiet_test.rs"]
mod tests;
