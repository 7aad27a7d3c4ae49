//! Simulates fleets of workers that each carry out their own plans from their own view: each scans
//! at its own times, sees slightly stale rows, and may or may not get the announcements of others.
//! Nothing else coordinates them.

mod node;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Capacity, Moment, WorkerId};

use node::{Manner, TestNode};
use table::{PAST, TestTable};

const STEP: Duration = Duration::from_millis(50);
const SEEDS: u64 = 4;

/// A fleet on one table, and a seed for what differs between its workers.
#[derive(Debug)]
pub(super) struct TestFleet {
    table: TestTable,
    nodes: Vec<TestNode>,
    now: Moment,
    seed: u64,
    hears: bool,
    /// How many percent a measurement is off at most.
    pub(super) noise: u64,
}

/// What is asked of fleets with loads.
impl TestFleet {
    /// A fleet without workers whose shards carry so many bytes a second.
    pub(super) fn with_loads(loads: Vec<u64>, seed: u64) -> Self {
        let mut fleet = Self::new(loads.len(), seed);
        let keys = fleet.table.now.leases.keys().cloned();
        fleet.table.arrives = keys.zip(loads).collect();
        fleet
    }

    pub(super) fn joins_declaring(&mut self, id: &str, capacity: Option<Capacity>) {
        let manner = Manner {
            capacity,
            ..self.manner(10)
        };
        self.joins_with(id, manner);
    }

    /// It multiplies what it measures by a thousandth of this.
    pub(super) fn lies(&mut self, id: &str, thousandths: u64) {
        let liar = self.nodes.iter_mut().find(|node| node.id.as_str() == id);
        liar.expect("a worker").lies = thousandths;
    }

    /// What each worker carries.
    pub(super) fn carried(&self) -> BTreeMap<WorkerId, u64> {
        let carried = |node: &TestNode| node.held.keys().map(|key| self.table.arrives[key]).sum();
        self.nodes
            .iter()
            .map(|node| (node.id.clone(), carried(node)))
            .collect()
    }

    /// How many leases were handed over.
    pub(super) const fn moves(&self) -> usize {
        self.table.claims
    }

    pub(super) fn assert_all_held(&self) {
        let held: usize = self.nodes.iter().map(|node| node.held.len()).sum();
        assert_eq!(held, self.table.now.leases.len());
        assert_eq!(self.table.taken_over, 0);
    }

    /// What each shard carries goes up or down by up to so many percent, and back towards where it
    /// was.
    pub(super) fn wander(&mut self, percent: u64) {
        let usual = self
            .table
            .usual
            .get_or_insert_with(|| self.table.arrives.clone())
            .clone();
        for (key, usual) in usual {
            let now = self.table.arrives[&key].midpoint(usual);
            let by = 100 - percent + self.random(2 * percent + 1);
            self.table.arrives.insert(key, now * by / 100);
        }
    }
}

impl TestFleet {
    fn new(leases: usize, seed: u64) -> Self {
        // Half of the fleets get announcements of changes, the others see them only by scans.
        Self {
            table: TestTable::new(leases),
            nodes: Vec::new(),
            now: Moment::default(),
            seed,
            hears: seed.is_multiple_of(2),
            noise: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn manner(&mut self, failover: u64) -> Manner {
        let failover = Duration::from_secs(failover);
        let mut millis = |below| Duration::from_millis(self.random(below));
        let (phase, drain) = (millis(2000), millis(1000));
        let lag = self.random(PAST as u64 / 2) as usize;
        Manner {
            failover,
            lag,
            phase,
            drain,
            room: usize::MAX,
            capacity: None,
            hears: self.hears,
        }
    }

    fn joins(&mut self, id: &str) {
        let manner = self.manner(10);
        self.joins_with(id, manner);
    }

    fn joins_with(&mut self, id: &str, manner: Manner) {
        let node = TestNode::start(id, manner, &mut self.table, self.now);
        self.nodes.push(node);
    }

    fn dies(&mut self, id: &str) {
        self.nodes.retain(|node| node.id.as_str() != id);
    }

    fn leaves(&mut self, id: &str) {
        self.nodes
            .iter_mut()
            .filter(|node| node.id.as_str() == id)
            .for_each(|node| node.leaving = true);
    }

    pub(super) fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.run_step();
        }
    }

    fn run_step(&mut self) {
        self.table.off = self.noise;
        for place in 0..self.nodes.len() {
            // Now and then, one worker misses its turn and another gets two.
            let turn = (place + usize::from(self.random(20) == 0)) % self.nodes.len();
            self.nodes[turn].step(&mut self.table, self.now);
        }
        self.nodes.retain(|node| !node.gone);
        if self.table.changed {
            self.check();
        }
        self.table.step_ends();
        self.now = self.now + STEP;
    }

    /// What holds at every moment: each lease is processed by at most one worker, the one that the
    /// row names.
    fn check(&self) {
        let mut holders = BTreeMap::new();
        for node in &self.nodes {
            for (key, held) in &node.held {
                if self.table.now.leases[key].token == held.token {
                    assert_eq!(holders.insert(key, &node.id), None, "{key} has two owners");
                }
            }
        }
    }

    /// How many leases each worker holds, in descending order.
    fn holds(&self) -> Vec<usize> {
        let mut holds: Vec<_> = self.nodes.iter().map(|node| node.held.len()).collect();
        holds.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        holds
    }

    /// All leases are processed, and workers differ by at most one.
    fn assert_balanced(&self, what: &str) {
        let holds = self.holds();
        assert_eq!(
            holds.iter().sum::<usize>(),
            self.table.now.leases.len(),
            "{what}: {holds:?}"
        );
        assert!(holds[0] - holds[holds.len() - 1] <= 1, "{what}: {holds:?}");
        let pending = self
            .table
            .now
            .leases
            .values()
            .filter(|row| row.hand_over_pending())
            .count();
        assert_eq!(pending, 0, "{what}: requests are open");
    }

    /// Nothing moves any more.
    pub(super) fn assert_calm(&mut self, what: &str) {
        let owners = |fleet: &Self| -> Vec<Option<WorkerId>> {
            fleet
                .table
                .now
                .leases
                .values()
                .map(|row| row.owner.clone())
                .collect()
        };
        let (before, announced) = (owners(self), self.table.announced.len());
        self.run(30);
        assert_eq!(
            (owners(self), self.table.announced.len()),
            (before, announced),
            "{what}: a calm fleet moves leases"
        );
    }
}

/// Fleets of `workers` that have settled on 64 leases, one for each seed.
fn settled(workers: usize) -> impl Iterator<Item = (TestFleet, String)> {
    (0..SEEDS).map(move |seed| {
        let mut fleet = TestFleet::new(64, seed);
        for worker in 0..workers {
            fleet.joins(&format!("w{worker}"));
        }
        fleet.run(40);
        let what = format!("{workers} workers, seed {seed}");
        fleet.assert_balanced(&what);
        (fleet, what)
    })
}

/// The fewest moves that balance what workers hold when `joining` more come.
fn fewest_moves(holds: &[usize], joining: usize) -> usize {
    let workers = holds.len() + joining;
    let (share, more) = (
        holds.iter().sum::<usize>() / workers,
        holds.iter().sum::<usize>() % workers,
    );
    holds
        .iter()
        .enumerate()
        .map(|(place, holds)| holds.saturating_sub(share + usize::from(place < more)))
        .sum()
}

#[test]
fn a_fleet_shares_an_empty_table_and_then_rests() {
    for workers in [1, 2, 3, 7] {
        for (mut fleet, what) in settled(workers) {
            fleet.assert_calm(&what);
            assert_eq!(fleet.table.taken_over, 0, "{what}");
        }
    }
}

#[test]
fn workers_that_join_get_their_share_with_the_fewest_moves() {
    for (workers, joining) in [(1, 1), (3, 1), (3, 2), (1, 3), (5, 3)] {
        for (mut fleet, what) in settled(workers) {
            let what = format!("{joining} join {what}");
            let (fewest, before) = (fewest_moves(&fleet.holds(), joining), fleet.table.claims);
            (0..joining).for_each(|worker| fleet.joins(&format!("new{worker}")));
            fleet.run(40);
            fleet.assert_balanced(&what);
            assert_eq!(fleet.table.claims - before, fewest, "{what}");
            assert_eq!(fleet.table.taken_over, 0, "{what}");
            fleet.assert_calm(&what);
        }
    }
}

#[test]
fn leases_of_a_dead_worker_are_shared_within_the_failover_time() {
    for (mut fleet, what) in settled(4) {
        let moves = fleet.table.claims;
        fleet.dies("w1");
        fleet.run(11);
        let left = fleet.table.now.leases.values().filter(|row| {
            row.actual_owner()
                .is_some_and(|owner| owner.as_str() == "w1")
        });
        assert_eq!(left.count(), 0, "{what}");
        fleet.run(30);
        fleet.assert_balanced(&what);
        // The worker that sees first that they have expired also takes what the plan gives to
        // others, because sooner is better than fewer moves. Of 16 leases it then hands over 10 or
        // 11.
        assert!(
            fleet.table.claims - moves <= 11,
            "{what}: {} moves",
            fleet.table.claims - moves
        );
        assert!(
            !fleet.table.now.workers.contains_key(&"w1".into()),
            "{what}: its row is left"
        );
        fleet.assert_calm(&what);
    }
}

#[test]
fn what_a_leaving_worker_held_is_shared_by_the_others() {
    for (mut fleet, what) in settled(4) {
        let moves = fleet.table.claims;
        fleet.leaves("w1");
        fleet.run(if fleet.hears { 2 } else { 4 });
        assert!(
            fleet
                .table
                .now
                .leases
                .values()
                .all(|row| row.owner.is_some()),
            "{what}"
        );
        fleet.run(30);
        fleet.assert_balanced(&what);
        // Without announcements, the worker that scans first takes everything.
        let most = if fleet.hears { 0 } else { 11 };
        assert!(
            fleet.table.claims - moves <= most,
            "{what}: {} moves",
            fleet.table.claims - moves
        );
        assert_eq!(fleet.table.taken_over, 0, "{what}");
        fleet.assert_calm(&what);
    }
}

#[test]
fn a_death_while_receiving_leases_leaves_a_balanced_fleet() {
    for (mut fleet, what) in settled(3) {
        fleet.joins("new");
        for _ in 0..fleet.random(60) {
            fleet.run_step();
        }
        fleet.dies("new");
        fleet.run(90);
        fleet.assert_balanced(&what);
        fleet.assert_calm(&what);
    }
}

#[test]
fn a_death_while_handing_leases_over_leaves_a_balanced_fleet() {
    for (mut fleet, what) in settled(3) {
        fleet.joins("new");
        for _ in 0..fleet.random(60) {
            fleet.run_step();
        }
        fleet.dies("w0");
        fleet.run(90);
        fleet.assert_balanced(&what);
        fleet.assert_calm(&what);
    }
}

/// A worker at its limit never requests what the plan means for it.
#[test]
fn the_others_share_what_a_worker_at_its_cap_leaves() {
    for seed in 0..SEEDS {
        let mut fleet = TestFleet::new(64, seed);
        let manner = Manner {
            room: 5,
            ..fleet.manner(10)
        };
        fleet.joins_with("capped", manner);
        fleet.joins("w0");
        fleet.run(30);
        fleet.joins("w1");
        fleet.joins("w2");
        fleet.run(120);
        assert_eq!(fleet.holds(), [20, 20, 19, 5], "seed {seed}");
        fleet.assert_calm(&format!("seed {seed}"));
    }
}

/// If the longer of both failover times did not count, workers with the short one would take leases
/// from those with the long one for ever.
#[test]
fn different_failover_times_cause_no_takeovers() {
    for seed in 0..SEEDS {
        let mut fleet = TestFleet::new(8, seed);
        for (worker, failover) in [(0, 10), (1, 3), (2, 30), (3, 3)] {
            let manner = fleet.manner(failover);
            fleet.joins_with(&format!("w{worker}"), manner);
        }
        fleet.run(120);
        fleet.assert_balanced(&format!("seed {seed}"));
        assert_eq!(fleet.table.taken_over, 0, "seed {seed}");
        fleet.assert_calm(&format!("seed {seed}"));
    }
}
