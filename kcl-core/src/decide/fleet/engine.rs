use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::assignment::{Me, Plan, Take, is_duplicated, plan};
use crate::decide::audit::rank;
use crate::decide::bound::{LeaseDuty, is_read};
use crate::decide::expiry::Timing;
use crate::decide::hand_over::{HandOverVerdict, RefusalReason, judge_request};
use crate::decide::members::Members;
use crate::lease::WorkerRow;
use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::command::{FleetCommand, PendingRequest};
use super::entries::{LeaseEntries, OwnTokens};
use super::lease_entry::{LeaseEntry, LeaseWork};
use super::scan::Scan;
use super::schedule::{DueStep, Schedule};

/// What a worker is set to.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// Its name.
    pub me: WorkerId,
    /// The times that follow from its failover time.
    pub timing: Timing,
    /// How many leases it may hold.
    pub max_leases: usize,
    /// How many requests it may have open at the same time.
    pub max_moves: usize,
    /// How often somebody audits.
    pub audit_every: Duration,
    /// Its reading ends at a bound.
    pub reading_ends: bool,
}

/// One worker's part in the fleet: what it knows, and what it does next.
///
/// It is told what was read and what became of what it has commanded, each with the moment, and
/// answers with commands. `works` says that the worker is not stopping.
#[derive(Debug)]
pub struct Engine {
    pub(super) settings: FleetSettings,
    /// What is known of each lease.
    pub leases: LeaseEntries,
    /// The rows of the workers.
    workers: BTreeMap<WorkerId, WorkerRow>,
    /// Who is alive.
    pub members: Members,
    /// When it scans, audits and takes.
    pub schedule: Schedule,
    /// What shows that a KCL leader assigns the leases, as the last scan has shown it.
    led: Option<String>,
    /// Whether the last scan has shown a row that cannot be read: when it is repaired, nobody
    /// announces it.
    has_malformed: bool,
    /// Audits of all other workers, as they were seen last.
    audits: u64,
    /// When it last took, or tried to take, a lease from a live KCL worker.
    stole: Option<Moment>,
    /// The previous process with this name left gracefully.
    pub former_left: bool,
}

/// Another live process uses this worker's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameIsTaken;

impl Engine {
    /// A worker that knows nothing yet.
    #[must_use]
    pub fn new(settings: FleetSettings) -> Self {
        Self {
            schedule: Schedule::new(settings.timing.look, settings.audit_every),
            settings,
            leases: LeaseEntries::default(),
            workers: BTreeMap::new(),
            members: Members::default(),
            led: None,
            has_malformed: false,
            audits: 0,
            stole: None,
            former_left: false,
        }
    }

    /// How many more leases this worker may hold.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.led.is_some() {
            return 0;
        }
        self.settings
            .max_leases
            .saturating_sub(self.leases.engaged())
    }
}

/// What was read.
impl Engine {
    /// Takes in a scan of the whole table, unless a scan that began later was taken in before.
    /// Whether it was taken in.
    pub fn scanned(&mut self, scan: Scan) -> bool {
        if !self.schedule.is_news(scan.begun) {
            return false;
        }
        let (me, timing) = (&self.settings.me, &self.settings.timing);
        let Scan {
            leases,
            workers,
            malformed,
            foreign,
            begun,
            ended,
        } = scan;
        self.members.see_answering(foreign.answering);
        self.led = foreign.leading;
        self.has_malformed = !malformed.is_empty();
        self.members.look(&leases, &workers, begun, ended, timing);
        let patience = self.patience();
        self.leases
            .scan(leases, (begun, ended), me, timing.look, patience);
        self.workers = workers
            .into_iter()
            .map(|row| (row.worker.clone(), row))
            .collect();
        true
    }

    /// What shows that a KCL leader assigns the leases, if anything does.
    #[must_use]
    pub fn led(&self) -> Option<&str> {
        self.led.as_deref()
    }

    /// How long a row that somebody deleted is left to its holder: it puts the row back with its
    /// next write, or not at all.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let timing = &self.settings.timing;
        let failover = self
            .workers
            .values()
            .map(|row| row.failover)
            .fold(timing.failover, Duration::max);
        let holder = Timing::for_failover(failover);
        holder.renew_every + holder.call_limit + timing.look
    }

    /// Takes in a row that was read by itself, or returned by a write.
    pub fn see(&mut self, row: Lease, at: Moment) {
        self.members.see(&row, at);
        self.leases.see(row, at);
    }

    /// Takes in that the row of a worker was read by itself, or was not there.
    pub fn see_worker(&mut self, worker: &WorkerId, row: Option<WorkerRow>, at: Moment) {
        if let Some(row) = row {
            self.members.see_worker(&row, at);
            self.workers.insert(worker.clone(), row);
        } else {
            self.members.see_no_worker(worker, at);
            self.workers.remove(worker);
        }
    }

    /// Whether an audit of anybody else's has been seen since this was asked last. Its own are
    /// known, and from when they count.
    fn has_new_audit(&mut self) -> bool {
        let audits = self
            .workers
            .values()
            .filter(|row| row.worker != self.settings.me)
            .map(|row| row.audits)
            .sum();
        let new = audits > self.audits;
        self.audits = audits;
        new
    }

    /// The leases that a new row may not be created for: this worker has to do with them, or their
    /// rows were there a short while ago.
    pub fn known_of_late(&self, now: Moment) -> impl Iterator<Item = &LeaseKey> {
        let of_late = self.leases.there_of_late(now, self.patience());
        self.leases.engaged_keys().chain(of_late)
    }
}

/// What to do.
impl Engine {
    /// Rows were taken in, as they were read at `seen`; it is `now`. What the last plan put off is
    /// void.
    pub fn act(
        &mut self,
        seen: Moment,
        now: Moment,
        works: bool,
        tokens: &dyn OwnTokens,
    ) -> Result<Vec<FleetCommand>, NameIsTaken> {
        let plan = self.plan(seen, works, tokens)?;
        let mut commands = vec![FleetCommand::TellLeft(plan.left)];
        for key in plan.give_back {
            // Until the answer is there it is no row to act on.
            if let Some(row) = self.withhold(&key, now) {
                commands.push(FleetCommand::GiveBack(row));
            }
        }
        for key in plan.claim {
            if let Some(row) = self.begin(&key, false) {
                commands.push(FleetCommand::Claim(row));
            }
        }
        let now = now.max(seen);
        self.schedule.plan(plan.take);
        commands.extend(self.takes(now, works));
        for ask in plan.withdraw {
            // Not one that was refused: its end is no reason not to ask again.
            if let Some(row) = self.withhold(&ask.key, now) {
                self.leases.end_request(&ask.key);
                commands.push(FleetCommand::Withdraw { row, of: ask.of });
            }
        }
        for ask in plan.request {
            if let Some(row) = self.leases.row(&ask.key).cloned() {
                self.leases.request(&ask.key, ask.of.clone(), now);
                commands.push(FleetCommand::Request { row, of: ask.of });
            }
        }
        if let Some(row) = plan.steal.and_then(|ask| self.begin(&ask.key, true)) {
            self.stole = Some(seen);
            commands.push(FleetCommand::Steal(row));
        }
        for worker in plan.reap {
            commands.extend(self.workers.remove(&worker).map(FleetCommand::Reap));
        }
        let others = self.has_others();
        self.schedule.seen(seen, others);
        Ok(commands)
    }

    fn plan(&self, seen: Moment, works: bool, tokens: &dyn OwnTokens) -> Result<Plan, NameIsTaken> {
        let me = Me {
            id: &self.settings.me,
            room: self.room(),
            max_moves: self.settings.max_moves,
            leaving: !works,
            passive: self.led.is_some(),
            stole: self.stole,
            former_left: self.former_left,
            leases: &self.leases,
            tokens,
        };
        let members = &self.members;
        if self
            .leases
            .rows()
            .any(|row| is_duplicated(members.lease(row), &me))
        {
            return Err(NameIsTaken);
        }
        Ok(plan(
            &me,
            &self.workers,
            members,
            seen,
            &self.settings.timing,
        ))
    }

    /// What is to be taken at `now`. A worker that was paused has nothing to go by until it has
    /// scanned again.
    pub fn takes(&mut self, now: Moment, works: bool) -> Vec<FleetCommand> {
        let due = self.schedule.due_takes(now);
        if !works || !self.members.is_watching(now, &self.settings.timing) {
            return Vec::new();
        }
        due.into_iter()
            .filter_map(|Take { key, rank, .. }| {
                let row = self.begin(&key, true)?;
                // Somebody who comes before this worker may have it already.
                let look_first = rank > 0;
                Some(FleetCommand::Take { row, look_first })
            })
            .collect()
    }

    /// Begins to take a lease: its row, unless this worker has to do with it already, or needs room
    /// for it and has none.
    fn begin(&mut self, key: &LeaseKey, needs_room: bool) -> Option<Lease> {
        let row = self.leases.row(key)?.clone();
        if self.leases.is_engaged(key) || (needs_room && self.room() == 0) {
            return None;
        }
        self.leases.take(key);
        Some(row)
    }

    /// The row of a lease, which is not acted on until it is read again.
    fn withhold(&mut self, key: &LeaseKey, now: Moment) -> Option<Lease> {
        let row = self.leases.row(key)?.clone();
        self.leases.forget(key, now);
        Some(row)
    }

    /// Whether there is a lease that is not this worker's, another worker, or something that may
    /// be one.
    fn has_others(&self) -> bool {
        let is_another = |row: &Lease, entry: &LeaseEntry| {
            !row.checkpoint.is_shard_end() && entry.work() == LeaseWork::Nothing
        };
        self.leases
            .known()
            .any(|(row, entry)| is_another(row, entry))
            || self
                .workers
                .keys()
                .any(|worker| *worker != self.settings.me)
            || self.has_malformed
            || !self.leases.is_whole()
    }

    /// What it is time for at `now`.
    #[must_use]
    pub fn due(&self, now: Moment) -> Option<DueStep> {
        self.schedule.due(now, || self.rank(now))
    }

    /// When there is something to do by the clock.
    #[must_use]
    pub fn next_wakeup(&self, now: Moment) -> Option<Moment> {
        self.schedule.next_wakeup(|| self.rank(now))
    }

    /// How many live workers audit before this one.
    fn rank(&self, now: Moment) -> usize {
        let live = self.members.live(now, &self.settings.timing);
        rank(&live, &self.settings.me)
    }
}

/// Requests, and leases that are left to others.
impl Engine {
    /// The requests for leases of this worker's that the rows show, as they were read at `seen`.
    /// The requester may die while a lease is drained: what is handed over to the dead is read by
    /// nobody until others find out.
    pub fn pending(&mut self, seen: Moment, works: bool) -> Vec<PendingRequest> {
        if self.has_new_audit() {
            self.schedule.saw_audit(seen);
        }
        let timing = &self.settings.timing;
        let judges = works && self.members.is_watching(seen, timing);
        let is_dead = |by: &&WorkerId| judges && self.members.is_dead(by, seen, timing);
        self.leases
            .rows()
            .filter(|row| row.checkpoint_owner.as_ref() == Some(&self.settings.me))
            .map(|row| PendingRequest {
                refuse: row.owner.as_ref().filter(is_dead).cloned(),
                row: row.clone(),
            })
            .collect()
    }

    /// How to answer a request for a lease of this worker's. `is_read`: the requester's row has just
    /// been read, and there is nothing more to find out.
    #[must_use]
    pub fn answer(
        &self,
        lease: &LeaseKey,
        by: &WorkerId,
        is_read: bool,
        now: Moment,
        works: bool,
    ) -> HandOverVerdict {
        let cooling = self.leases.is_refused(lease, now);
        let timing = &self.settings.timing;
        match judge_request(by, &self.members, cooling, !works, now, timing) {
            HandOverVerdict::AskTable if is_read => {
                HandOverVerdict::Refuse(RefusalReason::NotAlive)
            }
            verdict => verdict,
        }
    }

    /// Requests that nobody answers: perhaps the owner has missed the change signal.
    pub fn unanswered(&self, now: Moment) -> impl Iterator<Item = &LeaseKey> {
        let look = self.settings.timing.look;
        self.leases
            .requests()
            .filter(move |(_, request)| now.since(request.since) >= look)
            .map(|(key, _)| key)
    }

    /// Which requests and hand-overs are over, by rows that were read by themselves at `now`, or by
    /// a scan (`is_scan`), which may be as old as the one before it.
    pub fn settle_moves(&mut self, now: Moment, is_scan: bool) {
        let slack = if is_scan {
            self.settings.timing.look
        } else {
            Duration::ZERO
        };
        self.leases.settle_moves(&self.settings.me, now, slack);
    }

    /// Whether a shard that has been out of this worker's reach for long is left to others: if there
    /// are any.
    #[must_use]
    pub fn leaves_to_others(&self, now: Moment, works: bool) -> bool {
        let live = self.members.live(now, &self.settings.timing);
        works && live.iter().any(|worker| *worker != self.settings.me)
    }

    /// Whether everything is read up to the bound of a reading that ends, as far as it is this
    /// worker's.
    #[must_use]
    pub fn is_read(&self, now: Moment) -> bool {
        let rows: Vec<&Lease> = self.leases.rows().collect();
        is_read(&rows, |row| self.duty(row, now))
    }

    fn duty(&self, row: &Lease, now: Moment) -> LeaseDuty {
        if self.leases.is_engaged(&row.key) {
            return LeaseDuty::Mine;
        }
        if self.leases.get(&row.key).is_some_and(LeaseEntry::is_read) {
            return LeaseDuty::Done;
        }
        // A row that has only been seen to be there may be what a crash has left: it is taken when
        // it expires.
        let is_kept = self.members.lease(row).moves() > 0;
        let lives = |owner: &WorkerId| {
            *owner != self.settings.me && !self.members.is_dead(owner, now, &self.settings.timing)
        };
        if is_kept && row.actual_owner().is_some_and(lives) {
            LeaseDuty::Others
        } else {
            LeaseDuty::Mine
        }
    }
}

#[cfg(test)]
#[path = "engine_test.rs"]
mod tests;
