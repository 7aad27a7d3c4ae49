//! The decisions of one worker about the fleet. What it is told comes in four kinds, and each may be
//! older than what it knows already:
//!
//! | told by | how old it may be | what of it is used |
//! |---|---|---|
//! | [`scanned`](Engine::scanned) | seconds: another scan may have begun later | all of it, except rows that were read on their own since |
//! | [`see`](Engine::see), [`see_worker`](Engine::see_worker) | a call: this worker may have written since | the row |
//! | [`acquired`](Engine::acquired), [`tenancy_ended`](Engine::tenancy_ended) | nothing: these are its own writes | the row, and what this worker does with it |
//! | [`settle_moves`](Engine::settle_moves) | as the rows that came before | whether requests and hand-overs are over |
//!
//! Then [`act`](Engine::act) says what to do. It may be called at any time and as often as there is
//! news: what was commanded and has not been answered is not commanded again.

use std::time::Duration;

use crate::decide::assignment::{Me, Plan, Take, is_duplicated, plan};
use crate::decide::audit::rank;
use crate::decide::bound::{LeaseDuty, is_read};
use crate::decide::expiry::Timing;
use crate::decide::hand_over::{HandOverVerdict, RefusalReason, judge_request};
use crate::decide::members::Members;
use crate::lease::WorkerRow;
use crate::model::{Capacity, Lease, LeaseKey, Moment, WorkerId};

use super::command::{FleetCommand, PendingRequest};
use super::draining::Drain;
use super::entries::{LeaseEntries, OwnTokens};
use super::lease_entry::{LeaseEntry, LeaseWork};
use super::quiet::Quiet;
use super::scan::Scan;
use super::schedule::{DueStep, Schedule};

/// The settings of a worker that concern the fleet.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// Its name.
    pub me: WorkerId,
    /// The times that follow from its failover time.
    pub timing: Timing,
    /// How many leases it may hold. What it is about to take counts too.
    pub max_leases: usize,
    /// How many requests it may have open at the same time. Each drains a shard at another worker, and
    /// too many at once would stop half of the fleet.
    pub max_moves: usize,
    /// What it declares that it can carry. `None` if it balances by count.
    pub capacity: Option<Capacity>,
    /// How often a worker of the fleet has to audit.
    pub audit_every: Duration,
    /// Its reading ends at a bound: then it looks at the table as soon as it is done with a lease,
    /// which may have been the last one.
    pub reading_ends: bool,
}

/// One worker's part in the fleet: what it knows, and what it does next.
///
/// It is told what was read and the outcome of its commands, each with the moment, and answers with
/// commands. `works` says that the worker is not stopping.
#[derive(Debug)]
pub struct Engine {
    pub(super) settings: FleetSettings,
    /// What is known about each lease. The loop reads it, and tells it of answers that concern one
    /// lease alone.
    pub leases: LeaseEntries,
    /// The rows of the workers, and which of them are alive.
    pub members: Members,
    /// When it scans, audits and takes leases.
    pub schedule: Schedule,
    /// The evidence in the last scan that a KCL leader assigns the leases, if there is any.
    pub(super) led: Option<String>,
    /// Whether the last scan has shown that KCL workers may hold leases of the table.
    pub(super) may_share: bool,
    /// Whether KCL workers can start on a table of this kind.
    pub(super) may_join: bool,
    /// Whether the fleet is quiet.
    pub(super) quiet: Quiet,
    /// Whether the last scan has shown a malformed row: its repair is not announced, so scans
    /// continue.
    pub(super) has_malformed: bool,
    /// The number of audits of all other workers, as last seen.
    audits: u64,
    /// When it last took, or tried to take, a lease from a live KCL worker. A KCL worker does so
    /// once in twice the failover time, and so does this one.
    stole: Option<Moment>,
    /// Since when its plans say that the loads are uneven, and that others are to do something about
    /// it.
    uneven_since: Option<Moment>,
    /// The operator's drain of this worker, if others take over from it.
    pub(super) drain: Option<Drain>,
    /// Whether the previous process with this name left gracefully. Then nobody works on the leases
    /// that it kept, and they are adopted without waiting for them to stand still.
    pub former_left: bool,
}

/// Another live process uses this worker's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameIsTaken;

impl Engine {
    /// Creates the engine of a worker that knows nothing yet.
    #[must_use]
    pub fn new(settings: FleetSettings) -> Self {
        Self {
            schedule: Schedule::new(settings.timing.look, settings.audit_every),
            members: Members::attentive(settings.timing.failover / 2),
            settings,
            leases: LeaseEntries::default(),
            led: None,
            may_share: false,
            may_join: false,
            quiet: Quiet::default(),
            has_malformed: false,
            audits: 0,
            stole: None,
            uneven_since: None,
            drain: None,
            former_left: false,
        }
    }

    /// How many more leases this worker may hold.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.led.is_some() || self.drain.is_some() {
            return 0;
        }
        self.settings
            .max_leases
            .saturating_sub(self.leases.engaged())
    }
}

/// Input from the table.
impl Engine {
    /// Adds a scan of the whole table, unless one that began later was added before. Returns
    /// whether it was added.
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
        self.may_share = foreign.may_share || !foreign.answering.is_empty();
        self.may_join = foreign.may_join;
        self.members.see_answering(foreign.answering);
        self.led = foreign.leading;
        self.has_malformed = !malformed.is_empty();
        self.members.look(&leases, &workers, begun, ended, timing);
        let patience = self.patience();
        self.leases
            .scan(leases, (begun, ended), me, timing.look, patience);
        true
    }

    /// The evidence that a KCL leader assigns the leases, if there is any.
    #[must_use]
    pub fn led(&self) -> Option<&str> {
        self.led.as_deref()
    }

    /// Adds a row that was read on its own or returned by a write.
    pub fn see(&mut self, row: Lease, at: Moment) {
        self.members.see(&row, at);
        self.leases.see(row, at);
    }

    /// Adds the row of a worker that was read on its own; `None` if it does not exist.
    pub fn see_worker(&mut self, worker: &WorkerId, row: Option<WorkerRow>, at: Moment) {
        match row {
            Some(row) => self.members.see_worker(&row, at),
            None => self.members.see_no_worker(worker, at),
        }
    }

    /// Whether another worker's audit has been seen since the last call. This worker's own audits
    /// are counted elsewhere.
    fn has_new_audit(&mut self) -> bool {
        let audits = self
            .members
            .rows()
            .filter(|row| row.worker != self.settings.me)
            .map(|row| row.audits)
            .sum();
        let new = audits > self.audits;
        self.audits = audits;
        new
    }

    /// The leases for which no row may be created: this worker is working on them, or their rows
    /// existed a short while ago.
    pub fn known_of_late(&self, now: Moment) -> impl Iterator<Item = &LeaseKey> {
        let of_late = self.leases.there_of_late(now, self.patience());
        self.leases.engaged_keys().chain(of_late)
    }
}

/// Commands.
impl Engine {
    /// Plans from the rows as they were read at `seen`, at the moment `now`. What the last plan
    /// scheduled for later is dropped.
    pub fn act(
        &mut self,
        seen: Moment,
        now: Moment,
        works: bool,
        tokens: &dyn OwnTokens,
    ) -> Result<Vec<FleetCommand>, NameIsTaken> {
        let plan = self.plan(seen, works, tokens)?;
        let idle = plan.is_idle();
        self.uneven_since = plan.uneven.then(|| self.uneven_since.unwrap_or(seen));
        let mut commands = vec![FleetCommand::TellLeft(plan.left)];
        for key in plan.give_back {
            // The row must not be used until the answer is there.
            if let Some(row) = self.withhold(&key, now) {
                let kill = self.kill_first(&row);
                commands.push(FleetCommand::GiveBack { row, kill });
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
            // Not refused: the end of this request is no reason not to make another one.
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
            commands.extend(self.members.reap(&worker).map(FleetCommand::Reap));
        }
        for key in plan.unassign {
            commands.extend(self.leases.unassign(&key).map(FleetCommand::Unassign));
        }
        let pace = self.choose_pace(idle, self.has_others(), seen);
        self.schedule.seen(seen, pace);
        Ok(commands)
    }

    /// The plan by the rows as they were read at `seen`. Before it, the rows are searched for a
    /// second process with this worker's name: nothing may be done on its leases.
    fn plan(&self, seen: Moment, works: bool, tokens: &dyn OwnTokens) -> Result<Plan, NameIsTaken> {
        let me = Me {
            id: &self.settings.me,
            room: self.room(),
            max_moves: self.settings.max_moves,
            leaving: !works,
            passive: self.led.is_some(),
            stole: self.stole,
            capacity: self.settings.capacity,
            uneven_since: self.uneven_since,
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
        Ok(plan(&me, members, seen, &self.settings.timing))
    }

    /// The leases to take at `now`. A worker that was paused takes nothing until it has scanned
    /// again.
    pub fn takes(&mut self, now: Moment, works: bool) -> Vec<FleetCommand> {
        let due = self.schedule.due_takes(now);
        if !works || !self.members.is_watching(now, &self.settings.timing) {
            return Vec::new();
        }
        due.into_iter()
            .filter_map(|Take { key, rank, .. }| {
                if self.holder_has_moved(&key, now) {
                    return None;
                }
                let row = self.begin(&key, true)?;
                // A worker that comes before this one may have taken it already.
                let look_first = rank > 0;
                let kill = self.kill_first(&row);
                Some(FleetCommand::Take {
                    row,
                    look_first,
                    kill,
                })
            })
            .collect()
    }

    /// Begins to take a lease, and returns its row. `None` if this worker is already working on it,
    /// or needs room for it and has none.
    fn begin(&mut self, key: &LeaseKey, needs_room: bool) -> Option<Lease> {
        let row = self.leases.row(key)?.clone();
        if self.leases.is_engaged(key) || (needs_room && self.room() == 0) {
            return None;
        }
        self.leases.take(key);
        Some(row)
    }

    /// The row of a lease, which is then not used again until it has been read again.
    fn withhold(&mut self, key: &LeaseKey, now: Moment) -> Option<Lease> {
        let row = self.leases.row(key)?.clone();
        self.leases.forget(key, now);
        Some(row)
    }

    /// Whether there is a lease that does not belong to this worker, another worker, or a row that
    /// may be one.
    fn has_others(&self) -> bool {
        let is_another = |row: &Lease, entry: &LeaseEntry| {
            !row.checkpoint.is_shard_end() && entry.work() == LeaseWork::Nothing
        };
        self.leases
            .known()
            .any(|(row, entry)| is_another(row, entry))
            || self
                .members
                .rows()
                .any(|row| row.worker != self.settings.me)
            || self.has_malformed
            || !self.leases.is_whole()
    }

    /// What is due at `now`.
    #[must_use]
    pub fn due(&self, now: Moment) -> Option<DueStep> {
        self.schedule.due(now, || self.rank(now))
    }

    /// When the next step is due.
    #[must_use]
    pub fn next_wakeup(&self, now: Moment) -> Option<Moment> {
        let scheduled = self.schedule.next_wakeup(|| self.rank(now));
        scheduled.into_iter().chain(self.quiet.next_reading()).min()
    }

    /// This worker's rank in the order in which live workers audit.
    fn rank(&self, now: Moment) -> usize {
        let live = self.members.live(now, &self.settings.timing);
        rank(&live, &self.settings.me)
    }
}

/// Requests, and leases that are left to other workers.
impl Engine {
    /// The requests for leases of this worker, according to the rows as read at `seen`. A requester
    /// may die while a lease is drained: a lease that is handed over to a dead worker is not read
    /// until others find out. A lease that was requested and is not any more is named once.
    pub fn pending(&mut self, seen: Moment, works: bool) -> Vec<PendingRequest> {
        if self.has_new_audit() {
            self.schedule.saw_audit(seen);
        }
        let timing = &self.settings.timing;
        let judges = works && self.members.is_watching(seen, timing);
        let is_dead = |by: &&WorkerId| judges && self.members.is_dead(by, seen, timing);
        let me = &self.settings.me;
        self.leases
            .asked_of(me)
            .into_iter()
            .map(|row| PendingRequest {
                refuse: row
                    .owner
                    .as_ref()
                    .filter(|by| *by != me && is_dead(by))
                    .cloned(),
                row,
            })
            .collect()
    }

    /// The leases of this worker whose shards an operator has paused, each once: they are drained
    /// and freed, and nobody takes them before they are resumed.
    pub fn newly_paused(&mut self) -> Vec<LeaseKey> {
        self.leases.newly_paused(&self.settings.me)
    }

    /// How to answer a request for a lease of this worker. `is_read` says that the requester's row
    /// has just been read, so that there is nothing more to find out.
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

    /// Requests without an answer: the owner may have missed the change signal.
    pub fn unanswered(&self, now: Moment) -> impl Iterator<Item = &LeaseKey> {
        let look = self.settings.timing.look;
        self.leases
            .requests()
            .filter(move |(_, request)| now.since(request.since) >= look)
            .map(|(key, _)| key)
    }

    /// Ends the requests and hand-overs that are over according to rows read on their own at `now`,
    /// or according to a scan (`is_scan`), which may be as stale as the previous one.
    pub fn settle_moves(&mut self, now: Moment, is_scan: bool) {
        let slack = if is_scan {
            self.settings.timing.look
        } else {
            Duration::ZERO
        };
        self.leases.settle_moves(&self.settings.me, now, slack);
    }

    /// Whether a shard that this worker has not reached for long is left to others, which is so if
    /// there are any.
    #[must_use]
    pub fn leaves_to_others(&self, now: Moment, works: bool) -> bool {
        let live = self.members.live(now, &self.settings.timing);
        let drained = self.members.drained(&live);
        let takes = |worker: &&WorkerId| **worker != self.settings.me && !drained.contains(*worker);
        works && live.iter().any(|worker| takes(&worker))
    }

    /// Whether this worker has read its whole share up to the bound.
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
        // A row that was never seen to change may be left over from a crash: it is taken when it
        // expires.
        let is_kept = self.members.lease(row).is_kept(&self.members);
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
