//! A worker without network, tasks or handlers: a step asks the pure functions what to do and does
//! it to the table at once. So a test can run many fleets for minutes of their own time.
//!
//! It leaves out what other tests show: lost answers, crashes in the middle of a write, and
//! processors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::assignment::{Me, Plan, Take, plan};
use crate::decide::expiry::Timing;
use crate::decide::fleet::{HandedOver, LeaseEntries, OwnRequest, OwnTokens};
use crate::decide::hand_over::{HandOverVerdict, judge_request};
use crate::decide::load_meter::{Intake, LoadMeter};
use crate::decide::members::Members;
use crate::lease::{WorkerRow, Write};
use crate::model::{Capacity, Lease, LeaseKey, Moment, Throughput, WorkerId};

use super::table::{Hint, TestTable};

/// How a worker does what it does: what differs between workers. They are drawn from a seed, so
/// that views differ as they do between machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Also the one that it declares in its row.
    pub(super) failover: Duration,
    /// How old what a scan shows is, in steps.
    pub(super) lag: usize,
    /// How long after its start it looks and renews for the first time.
    pub(super) phase: Duration,
    /// How long it drains a lease.
    pub(super) drain: Duration,
    /// How many leases it may hold.
    pub(super) room: usize,
    /// What it declares that it can carry.
    pub(super) capacity: Option<Capacity>,
    /// Whether it reads the rows that others announce.
    pub(super) hears: bool,
}

/// A worker: it carries out what is decided, and nothing else.
#[derive(Debug)]
pub(super) struct TestNode {
    pub(super) id: WorkerId,
    manner: Manner,
    timing: Timing,
    members: Members,
    /// The rows as it knows them: the last scan, and what it has heard or written since.
    rows: BTreeMap<LeaseKey, Lease>,
    /// The same of workers.
    workers: BTreeMap<WorkerId, WorkerRow>,
    /// Its own row, as it last wrote it.
    row: WorkerRow,
    /// Each lease as its last write left it.
    pub(super) held: BTreeMap<LeaseKey, Lease>,
    /// What it measures of each lease: when it did so last, and what it had taken in by then.
    meters: BTreeMap<LeaseKey, (LoadMeter, Moment, Intake)>,
    /// By how many thousandths it multiplies that.
    pub(super) lies: u64,
    /// Since when its plans are uneven.
    uneven_since: Option<Moment>,
    /// Leases that it gives up, and until when it drains them.
    draining: BTreeMap<LeaseKey, Moment>,
    /// Leases that were refused to it, for a minute.
    refused: BTreeMap<LeaseKey, Moment>,
    /// Its open requests.
    asked: BTreeMap<LeaseKey, OwnRequest>,
    /// What it has handed over and may have to take back.
    handed_over: BTreeMap<LeaseKey, HandedOver>,
    /// What the last plan has scheduled. A new plan replaces all of it.
    takes: Vec<Take>,
    next_look: Moment,
    next_renewal: Moment,
    /// How many of the announcements it has read.
    heard: usize,
    /// Set by the test; the next step marks its row.
    pub(super) leaving: bool,
    /// It has given up its last lease and deleted its row.
    pub(super) gone: bool,
}

/// The tenancies of a worker are those of the leases that it holds.
#[derive(Debug)]
struct NodeTokens<'a>(&'a BTreeMap<LeaseKey, Lease>);

impl OwnTokens for NodeTokens<'_> {
    fn is_ours(&self, row: &Lease) -> bool {
        self.0
            .get(&row.key)
            .is_some_and(|held| held.token == row.token)
    }

    fn is_abandoned(&self, _: &Lease) -> bool {
        false
    }
}

/// The cool-down after a refusal, as in the worker.
const MINUTE: Duration = Duration::from_secs(60);

impl TestNode {
    /// It joins with a row and without a lease.
    pub(super) fn start(id: &str, manner: Manner, table: &mut TestTable, now: Moment) -> Self {
        let mut row = WorkerRow::new(id.into(), table.token().into(), manner.failover);
        row.capacity = manner.capacity;
        table.write_worker(&id.into(), Some(row.clone()));
        table.announce_worker(&id.into());
        Self {
            id: id.into(),
            manner,
            timing: Timing::for_failover(manner.failover),
            members: Members::default(),
            rows: BTreeMap::new(),
            workers: BTreeMap::new(),
            row,
            held: BTreeMap::new(),
            meters: BTreeMap::new(),
            lies: 1000,
            uneven_since: None,
            draining: BTreeMap::new(),
            refused: BTreeMap::new(),
            asked: BTreeMap::new(),
            handed_over: BTreeMap::new(),
            takes: Vec::new(),
            next_look: now + manner.phase,
            next_renewal: now + manner.phase,
            heard: table.announced.len(),
            leaving: false,
            gone: false,
        }
    }

    /// In the order of the real loop: heartbeat, scan, hints, plan, due takes, requests of others.
    pub(super) fn step(&mut self, table: &mut TestTable, now: Moment) {
        if self.leaving && !self.row.leaving {
            self.beat(table, self.row.leaving());
            table.announce_worker(&self.id);
        }
        if now >= self.next_renewal {
            self.next_renewal = now + self.timing.renew_every;
            self.beat(table, self.row.next());
            for (key, held) in self.held.clone() {
                let carried = self.measure(&held, table, now);
                let renewal = Write::renew(&held).with_throughput(carried);
                self.keep(&key, table.write(&key, &renewal));
            }
            self.meters.retain(|key, _| self.held.contains_key(key));
        }
        let mut judges = false;
        if now >= self.next_look {
            self.next_look = now + self.timing.look;
            let seen = table.as_of(self.manner.lag);
            self.workers = seen.workers;
            let workers: Vec<_> = self.workers.values().cloned().collect();
            let rows: Vec<_> = seen.leases.into_values().collect();
            self.members.look(&rows, &workers, now, now, &self.timing);
            // What it wrote itself it knows better than an old reading.
            self.rows = rows
                .into_iter()
                .map(|row| {
                    (
                        row.key.clone(),
                        self.held.get(&row.key).cloned().unwrap_or(row),
                    )
                })
                .collect();
            judges = true;
        }
        if self.manner.hears && self.heard < table.announced.len() {
            for key in table.announced[self.heard..]
                .iter()
                .collect::<BTreeSet<_>>()
            {
                match key {
                    Hint::Lease(key) => {
                        let row = &table.now.leases[key];
                        self.members.see(row, now);
                        self.rows.insert(key.clone(), row.clone());
                    }
                    Hint::Worker(id) => match table.now.workers.get(id) {
                        Some(row) => self.members.see_worker(row, now),
                        None => self.members.see_no_worker(id, now),
                    },
                }
            }
            self.heard = table.announced.len();
            judges = true;
        }
        if judges {
            let plan = self.plan(now);
            self.carry_out(plan, table, now);
        }
        self.take_what_is_due(table, now);
        self.answer_requests(table, now);
        if self.leaving && self.held.is_empty() {
            table.write_worker(&self.id, None);
            table.announce_worker(&self.id);
            self.gone = true;
        }
    }

    /// What a lease carries, as the worker measures it by what it has taken in since it did so last.
    fn measure(&mut self, held: &Lease, table: &mut TestTable, now: Moment) -> Option<Throughput> {
        if table.arrives.is_empty() {
            return None;
        }
        let new = || (LoadMeter::new(held.throughput), now, Intake::default());
        let (meter, at, intake) = self.meters.entry(held.key.clone()).or_insert_with(new);
        let millis = u64::try_from(now.since(*at).as_millis()).expect("a while");
        intake.bytes += table.takes_in(&held.key, millis);
        *at = now;
        let mut carried = meter.measure(*intake, now, true)?;
        if self.lies != 1000 {
            carried.bytes = (carried.bytes / 1000).saturating_mul(self.lies);
        }
        Some(carried)
    }

    /// Writes its row, unless somebody has deleted it.
    fn beat(&mut self, table: &mut TestTable, row: WorkerRow) {
        if table.now.workers.get(&self.id) == Some(&self.row) {
            table.write_worker(&self.id, Some(row.clone()));
            self.row = row;
        }
    }

    /// The result of a write on a lease that it holds or has just acquired. After a conflict the
    /// lease is lost.
    fn keep(&mut self, key: &LeaseKey, written: Result<Lease, Lease>) {
        let row = match written {
            Ok(row) => {
                self.held.insert(key.clone(), row.clone());
                row
            }
            Err(row) => {
                // Only who asks changes a row that I hold, and no condition of a renewal is on
                // that.
                self.held.remove(key);
                row
            }
        };
        self.rows.insert(key.clone(), row);
    }

    /// Puts together what it knows and asks for a plan. A request that a later row does not show
    /// any more was refused.
    fn plan(&mut self, now: Moment) -> Plan {
        self.refused.retain(|_, at| now.since(*at) < MINUTE);
        let rows = &self.rows;
        let over = |key: &LeaseKey, asked: &OwnRequest| {
            let row = rows.get(key);
            now.since(asked.since) > self.timing.look
                && row.is_none_or(|row| row.owner.as_ref() != Some(&self.id))
        };
        let refused: Vec<_> = self
            .asked
            .iter()
            .filter(|(key, asked)| over(key, asked))
            .map(|(key, _)| key.clone())
            .collect();
        for key in refused {
            self.asked.remove(&key);
            self.refused.insert(key, now);
        }
        let mut leases = LeaseEntries::default();
        for row in self.rows.values() {
            leases.see(row.clone(), now);
        }
        for key in self.held.keys() {
            leases.hold(key, true);
        }
        for (key, at) in &self.refused {
            leases.refuse(key, *at);
        }
        for (key, asked) in &self.asked {
            leases.request(key, asked.of.clone(), asked.since);
        }
        for (key, handed_over) in &self.handed_over {
            leases.hand_over(key, *handed_over);
        }
        let me = Me {
            id: &self.id,
            room: self.manner.room.saturating_sub(self.held.len()),
            max_moves: 8,
            capacity: self.manner.capacity,
            uneven_since: self.uneven_since,
            leaving: self.leaving,
            passive: false,
            stole: None,
            former_left: false,
            leases: &leases,
            tokens: &NodeTokens(&self.held),
        };
        let plan = plan(&me, &self.members, now, &self.timing);
        self.uneven_since = plan.uneven.then(|| self.uneven_since.unwrap_or(now));
        plan
    }

    /// Everything except the takes, which wait for their time.
    fn carry_out(&mut self, plan: Plan, table: &mut TestTable, now: Moment) {
        self.takes = plan.take;
        for key in plan.claim.iter().chain(&plan.give_back) {
            let write = Write::claim(&self.rows[key], self.id.clone(), table.token().into());
            self.asked.remove(key);
            if let Ok(row) = table.write_aloud(key, &write) {
                table.claims += usize::from(plan.claim.contains(key));
                self.keep(key, Ok(row));
            }
        }
        for key in plan.give_back {
            self.release(&key, table);
        }
        for ask in plan.request {
            let row = &self.rows[&ask.key];
            assert!(
                row.checkpoint_owner.is_none()
                    && row.owner.as_ref() == Some(&ask.of)
                    && ask.of != self.id
            );
            if let Ok(row) = table.write_aloud(
                &ask.key,
                &Write::request(row, self.id.clone(), ask.of.clone()),
            ) {
                self.asked.insert(
                    ask.key.clone(),
                    OwnRequest {
                        of: ask.of,
                        since: now,
                        is_sending: false,
                    },
                );
                self.rows.insert(ask.key, row);
            }
        }
        for ask in plan.withdraw {
            self.asked.remove(&ask.key);
            if let Ok(row) = table.write_aloud(
                &ask.key,
                &Write::withdraw(&self.rows[&ask.key], self.id.clone(), ask.of),
            ) {
                self.rows.insert(ask.key, row);
            }
        }
        for worker in plan.reap {
            let seen = self.workers.get(&worker);
            if table.now.workers.get(&worker) == seen {
                table.write_worker(&worker, None);
            }
        }
    }

    /// A worker that is not the first in rank takes a lease only if its row is still as it was
    /// seen.
    fn take_what_is_due(&mut self, table: &mut TestTable, now: Moment) {
        let (due, later) = std::mem::take(&mut self.takes)
            .into_iter()
            .partition(|take| take.at <= now);
        self.takes = later;
        for take in due {
            let seen = self.rows[&take.key].clone();
            if take.rank > 0 && table.now.leases[&take.key] != seen {
                continue;
            }
            let write = Write::take(&seen, self.id.clone(), table.token().into());
            if let Ok(row) = table.write_aloud(&take.key, &write) {
                table.taken_over += usize::from(seen.owner.is_some());
                self.asked.remove(&take.key);
                self.keep(&take.key, Ok(row));
            }
        }
    }

    /// An owner hears of a request by its own writes, its scans and what is announced.
    fn answer_requests(&mut self, table: &mut TestTable, now: Moment) {
        for key in self.held.keys().cloned().collect::<Vec<_>>() {
            if self.leaving {
                let due = *self
                    .draining
                    .entry(key.clone())
                    .or_insert(now + self.manner.drain);
                if now >= due {
                    self.release(&key, table);
                }
                continue;
            }
            let Some(requester) = self
                .rows
                .get(&key)
                .and_then(|row| row.owner.clone().filter(|_| row.hand_over_pending()))
            else {
                self.draining.remove(&key);
                continue;
            };
            let mut verdict =
                judge_request(&requester, &self.members, false, false, now, &self.timing);
            if verdict == HandOverVerdict::AskTable {
                match table.now.workers.get(&requester) {
                    Some(row) => self.members.see_worker(row, now),
                    None => self.members.see_no_worker(&requester, now),
                }
                verdict = judge_request(&requester, &self.members, false, false, now, &self.timing);
            }
            let held = self.held[&key].clone();
            match verdict {
                HandOverVerdict::PassOn
                    if now
                        >= *self
                            .draining
                            .entry(key.clone())
                            .or_insert(now + self.manner.drain) =>
                {
                    self.draining.remove(&key);
                    match table.write_aloud(
                        &key,
                        &Write::pass_on(&held, self.id.clone(), requester, None),
                    ) {
                        Ok(row) => {
                            self.handed_over.insert(
                                key.clone(),
                                HandedOver {
                                    counter: row.counter,
                                    at: now,
                                },
                            );
                            self.held.remove(&key);
                            self.rows.insert(key, row);
                        }
                        // It was taken back.
                        Err(row) => drop(self.rows.insert(key, row)),
                    }
                }
                HandOverVerdict::PassOn => {}
                HandOverVerdict::Refuse(_) => {
                    self.draining.remove(&key);
                    if let Ok(row) =
                        table.write_aloud(&key, &Write::refuse(&held, self.id.clone(), requester))
                    {
                        self.keep(&key, Ok(row));
                    }
                }
                HandOverVerdict::AskTable | HandOverVerdict::Release => panic!("{verdict:?}"),
            }
        }
    }

    /// Frees a lease, if it still holds it.
    fn release(&mut self, key: &LeaseKey, table: &mut TestTable) {
        let Some(held) = self.held.remove(key) else {
            return;
        };
        if let Ok(row) = table.write_aloud(key, &Write::release(&held, None)) {
            self.rows.insert(key.clone(), row);
        }
    }
}
