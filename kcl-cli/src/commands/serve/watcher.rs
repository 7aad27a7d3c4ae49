//! The one observer of an application.
//!
//! A page or a scraper that read the table itself would multiply the cost of a look by the number
//! of those who look, and each of them would begin without the observations that tell the living
//! from the dead. So one observer never stops watching, and everybody reads its last [`Snapshot`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kcl_core::admin::{Finding, FleetView, LeaseView, Observer, StreamView, check};
use kcl_core::model::{LeaseKey, Moment, Timestamp};
use kcl_core::{Clock as _, SystemClock};
use tokio::sync::watch;

use super::happening::{HappeningKind, happened};
use super::history::{History, Sample};
use super::lag_round::LagState;
use super::scale::{ScaleRules, measured, wanted};
use super::snapshot::{Snapshot, Totals};
use crate::commands::check::{AGAIN, is_of_a_moment};
use crate::commands::watching::is_empty;
use crate::failure::Failure;
use crate::table_at::OpenTable;

/// The pause between two looks at the workers of which it is not known yet whether they are alive.
const PROBE: Duration = Duration::from_millis(400);
/// Rates, and what has "moved of late", are those of the last ten seconds or so: less would
/// flicker, more would show a stop too late.
const RATE: Duration = Duration::from_secs(10);
/// For how long a measured capacity of a worker is believed. It can be measured only when the
/// workers have more to do than they can, which may be once a day.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// How much a new measurement counts beside the old ones: a fifth, so that one odd round does not
/// scale a fleet.
const NEW: f64 = 0.2;

/// The one observer of an application: it looks at the table at a fixed pace, however many pages
/// and scrapers ask, and publishes what it has seen as a [`Snapshot`].
pub(super) struct Watcher {
    /// For messages; the observer has a handle of its own.
    table: Arc<OpenTable>,
    /// What has been seen of the rows since the beginning.
    observer: Observer,
    /// The pace of looks.
    every: Duration,
    /// The pace of samples in the history.
    sample_every: Duration,
    /// What `/scale` goes by.
    rules: ScaleRules,
    /// The last measurement of the lag, or why there is none.
    lag: watch::Receiver<LagState>,
    /// Where each look is published. Readers that are slow skip looks and never hold one up.
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// What is remembered beside the rows.
    seen: Seen,
}

/// What is remembered from look to look. Its size follows the table's, not the time.
#[derive(Debug, Default)]
struct Seen {
    /// The leases some seconds ago, for what has moved of late.
    earlier: Option<(Moment, Arc<FleetView>)>,
    /// The same, more recent: it takes the place of the earlier one when it is old enough.
    later: Option<(Moment, Arc<FleetView>)>,
    /// When each lease was last seen with another checkpoint. Leases that are gone are forgotten.
    checkpointed: BTreeMap<LeaseKey, Timestamp>,
    /// How many leases stored a checkpoint, look by look.
    checkpoints: VecDeque<(Moment, usize)>,
    /// Since when findings of a moment have been there.
    doubted: BTreeMap<(String, String), Moment>,
    /// What a page draws of the past.
    history: History,
    /// When the last sample was taken.
    sampled: Option<Moment>,
    /// What is counted from the beginning.
    totals: Totals,
    /// The last round of asking the stream that was taken in.
    round: Option<Timestamp>,
    /// What a worker was seen to get through, smoothed, and when that was last measured.
    capacity: Option<(Moment, f64)>,
}

impl Watcher {
    /// Looks for the first time. The receiver has what that look has shown.
    ///
    /// # Errors
    /// The table cannot be read, or has no row of the application.
    pub(super) async fn start(
        table: Arc<OpenTable>,
        every: Duration,
        sample_every: Duration,
        stuck_after: Duration,
        rules: ScaleRules,
        lag: watch::Receiver<LagState>,
    ) -> Result<(Self, watch::Receiver<Arc<Snapshot>>), Failure> {
        let mut observer = Observer::new(Arc::clone(&table.table)).stuck_after(stuck_after);
        let begun = SystemClock.now();
        let fleet = observer.look().await.map_err(|error| table.failed(error))?;
        if is_empty(&fleet) {
            return Err(Failure::of(table.nothing_found().await));
        }
        let mut seen = Seen::default();
        let lag_now = lag.borrow().clone();
        let now = SystemClock.now();
        let mut first = seen.take_in(None, fleet, lag_now, now, sample_every, &rules);
        first.took = now.since(begun);
        first.render(&table, every);
        let (snapshots, receiver) = watch::channel(Arc::new(first));
        let watcher = Self {
            table,
            observer,
            every,
            sample_every,
            rules,
            lag,
            snapshots,
            seen,
        };
        Ok((watcher, receiver))
    }

    /// Looks until it is dropped. What fails is shown, and tried again at the same pace.
    ///
    /// It waits at least as long as the last look took, so a table that is slow is read half of the
    /// time at most.
    pub(super) async fn run(mut self) {
        let mut took = self.snapshots.borrow().took;
        loop {
            // A look that takes long does not become a busy loop.
            self.wait(self.every.max(took)).await;
            let begun = SystemClock.now();
            // Cloned before the look: a guard of the channel must not live over an await, as
            // readers would wait for it.
            let before = Arc::clone(&*self.snapshots.borrow());
            let looked = self.observer.look().await;
            let now = SystemClock.now();
            took = now.since(begun);
            self.seen.totals.looks += 1;
            let mut snapshot = match looked {
                Ok(fleet) => {
                    let lag = self.lag.borrow().clone();
                    let (every, rules) = (self.sample_every, &self.rules);
                    self.seen
                        .take_in(Some(&before.fleet), fleet, lag, now, every, rules)
                }
                Err(error) => {
                    self.seen.totals.looks_failed += 1;
                    Snapshot {
                        error: Some(self.table.failed(error).chain()),
                        totals: self.seen.totals,
                        ..Snapshot::clone(&before)
                    }
                }
            };
            snapshot.took = took;
            snapshot.render(&self.table, self.every);
            self.snapshots.send_replace(Arc::new(snapshot));
        }
    }

    /// Waits, and looks meanwhile at the workers that are not judged yet. That a probe fails shows
    /// in the next look.
    ///
    /// The probes find a dead worker in time even if the looks are far apart.
    async fn wait(&mut self, pause: Duration) {
        let next = SystemClock.now() + pause;
        while SystemClock.now() < next {
            let soon = (SystemClock.now() + PROBE).min(next);
            SystemClock.sleep_until(soon).await;
            if soon < next && self.observer.probe().await.is_err() {
                SystemClock.sleep_until(next).await;
            }
        }
    }
}

impl Seen {
    /// Turns a look into a snapshot. Everything that is derived from the past is brought up to date
    /// here, in one place, so that a failed look changes nothing of it.
    fn take_in(
        &mut self,
        before: Option<&FleetView>,
        mut fleet: FleetView,
        lag: LagState,
        now: Moment,
        sample_every: Duration,
        rules: &ScaleRules,
    ) -> Snapshot {
        let wall = SystemClock.wall();
        self.moved(&mut fleet);
        if let Some(before) = before {
            self.compare(before, &fleet, now, wall);
        }
        let fleet = Arc::new(fleet);
        self.remember(&fleet, now);
        let found = match &lag {
            Ok(round) => {
                let view = round.of.as_ref().ok().map(|of| &of.view);
                self.confirmed(&fleet, view, &round.lags, now)
            }
            // Without the stream the rows alone are judged, as by `kcl check` without
            // `--ask-stream`.
            Err(_) => self.confirmed(&fleet, None, &[], now),
        };
        if let Ok(round) = &lag
            && self.round != Some(round.at)
        {
            // Looks are more frequent than rounds: each round is counted once.
            self.round = Some(round.at);
            self.totals.get_records += round.asked.get_records;
            self.totals.get_shard_iterator += round.asked.get_shard_iterator;
            let demand = Snapshot::demand(&fleet, &lag, None);
            self.capacity(measured(&demand, rules), now);
        }
        if self.sampled.is_none_or(|at| now.since(at) >= sample_every) {
            self.sampled = Some(now);
            let figures = lag
                .as_ref()
                .map(|round| round.figures())
                .unwrap_or_default();
            self.history.sample(Sample {
                at: wall.as_millis(),
                max_behind_seconds: figures.max_behind_seconds,
                median_behind_seconds: figures.median_behind_seconds,
                checkpoints_per_second: self.checkpoint_rate(now),
            });
        }
        let capacity = self.capacity.map(|(_, seen)| seen);
        Snapshot {
            wanted: wanted(&Snapshot::demand(&fleet, &lag, capacity), rules),
            fleet,
            looked_at: wall,
            took: Duration::ZERO,
            error: None,
            findings: Arc::new(found),
            lag,
            checkpointed: Arc::new(self.checkpointed.clone()),
            history: Arc::new(self.history.clone()),
            totals: self.totals,
            live: "".into(),
        }
    }

    /// Says of each lease what has moved in the last seconds: the observer says it since it began,
    /// which here may be weeks ago.
    fn moved(&self, fleet: &mut FleetView) {
        let Some((_, earlier)) = self.earlier.as_ref().or(self.later.as_ref()) else {
            return;
        };
        let old: BTreeMap<&LeaseKey, &LeaseView> = earlier
            .leases
            .iter()
            .map(|it| (&it.lease.key, it))
            .collect();
        for view in &mut fleet.leases {
            let was = old.get(&view.lease.key).map(|it| &it.lease);
            let lease = &view.lease;
            view.moved.new = was.is_none();
            view.moved.renewed = was.is_some_and(|was| was.counter != lease.counter);
            view.moved.checkpoint = was.is_some_and(|was| was.checkpoint != lease.checkpoint);
            view.moved.holder = was.is_some_and(|was| was.actual_owner() != lease.actual_owner());
        }
    }

    /// Keeps the leases for what is said to have moved, ten to twenty seconds from now.
    fn remember(&mut self, fleet: &Arc<FleetView>, now: Moment) {
        let is_due = |(at, _): &(Moment, Arc<FleetView>)| now.since(*at) >= RATE;
        if self.later.as_ref().is_none_or(is_due) {
            let before = self.later.replace((now, Arc::clone(fleet)));
            self.earlier = before.or_else(|| self.earlier.take());
        }
    }

    /// What happened from one look to the next.
    ///
    /// The happenings are counted and kept; checkpoints are counted at most once per lease and
    /// look.
    fn compare(&mut self, before: &FleetView, fleet: &FleetView, now: Moment, wall: Timestamp) {
        for what in happened(before, fleet) {
            let leases = what.leases as u64;
            match what.kind {
                HappeningKind::HandedOver => self.totals.hand_overs += leases,
                HappeningKind::TakenOver => self.totals.take_overs += leases,
                _ => {}
            }
            self.history.happened(wall, what);
        }
        let old: BTreeMap<&LeaseKey, &LeaseView> =
            before.leases.iter().map(|it| (&it.lease.key, it)).collect();
        let mut stored = 0;
        for view in &fleet.leases {
            let key = &view.lease.key;
            if old
                .get(key)
                .is_some_and(|was| was.lease.checkpoint != view.lease.checkpoint)
            {
                stored += 1;
                self.checkpointed.insert(key.clone(), wall);
            }
        }
        self.totals.checkpoints += stored as u64;
        self.checkpoints.push_back((now, stored));
        while self
            .checkpoints
            .front()
            .is_some_and(|(at, _)| now.since(*at) >= RATE)
        {
            self.checkpoints.pop_front();
        }
        // Only then: as many are new as are gone is rare, and what is kept too long is a few bytes.
        if fleet.leases.len() != old.len() {
            let there: std::collections::BTreeSet<&LeaseKey> =
                fleet.leases.iter().map(|it| &it.lease.key).collect();
            self.checkpointed.retain(|key, _| there.contains(key));
        }
    }

    /// Checkpoints per second over the last ten seconds, as far as looks can tell: two checkpoints
    /// of one lease between two looks count as one.
    fn checkpoint_rate(&self, now: Moment) -> f64 {
        let Some((first, _)) = self.checkpoints.front() else {
            return 0.0;
        };
        // What the first look has shown was stored before it.
        let later = self.checkpoints.iter().skip(1);
        let stored: usize = later.map(|(_, stored)| stored).sum();
        stored as f64 / now.since(*first).max(Duration::from_secs(1)).as_secs_f64()
    }

    /// The findings, those of a moment only if they have been there for a while.
    ///
    /// `kcl check` looks a second time after a pause; here the next looks come anyway.
    fn confirmed(
        &mut self,
        fleet: &FleetView,
        stream: Option<&StreamView>,
        lags: &[kcl_core::admin::LeaseLag],
        now: Moment,
    ) -> Vec<Finding> {
        let mut found = check(fleet, stream, lags);
        let named = |it: &Finding| (it.about.clone(), it.says.clone());
        let before = std::mem::take(&mut self.doubted);
        self.doubted = found
            .iter()
            .filter(|it| is_of_a_moment(it.kind))
            .map(|it| (named(it), before.get(&named(it)).copied().unwrap_or(now)))
            .collect();
        found.retain(|it| {
            let since = self.doubted.get(&named(it));
            since.is_none_or(|since| now.since(*since) >= AGAIN)
        });
        found
    }

    /// Takes in what a worker was seen to get through, and forgets what is too old.
    fn capacity(&mut self, seen: Option<f64>, now: Moment) {
        if let Some(seen) = seen {
            let before = self.capacity.map_or(seen, |(_, before)| before);
            self.capacity = Some((now, before * (1.0 - NEW) + seen * NEW));
        }
        self.capacity = self.capacity.filter(|(at, _)| now.since(*at) < REMEMBERED);
    }
}
