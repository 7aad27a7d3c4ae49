//! Properties of every plan, whatever the fleet looks like: tested on several thousand fleets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::fleet::{LeaseEntries, OwnTokens};
use crate::decide::members::Members;
use crate::lease::WorkerRow;
use crate::model::{Capacity, Checkpoint, Lease, LeaseKey, Moment, Throughput, WorkerId};

use super::{Me, Plan, plan};

const FLEETS: u64 = 3000;
const F: Duration = Duration::from_secs(10);

/// A pseudo-random sequence that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Every tenancy is this process's.
#[derive(Debug)]
pub(super) struct AllOwn;

impl OwnTokens for AllOwn {
    fn is_ours(&self, _: &Lease) -> bool {
        true
    }

    fn is_abandoned(&self, _: &Lease) -> bool {
        false
    }
}

/// A fleet, as seen by one scan.
#[derive(Debug)]
struct ScannedFleet {
    live: Vec<WorkerId>,
    rows: Vec<Lease>,
    /// The owners of the leases that are requested.
    asked: BTreeMap<LeaseKey, WorkerId>,
    /// What each worker declares that it can carry, if the fleet balances by load.
    capacities: Option<BTreeMap<WorkerId, Capacity>>,
}

impl ScannedFleet {
    /// Leases that are held, free, finished, requested and handed over, by workers of which the
    /// last may hold none.
    fn random(numbers: &mut Numbers) -> Self {
        let live: Vec<_> = (0..=numbers.below(6))
            .map(|worker| WorkerId::from(format!("w{worker}")))
            .collect();
        // Some hold many.
        let owner = |numbers: &mut Numbers| {
            let most = 1 + numbers.below(live.len());
            live[numbers.below(most)].clone()
        };
        let rows: Vec<_> = (0..numbers.below(40))
            .map(|shard| {
                let mut row = Lease::new(
                    LeaseKey::single(format!("shardId-{shard:012}")),
                    Checkpoint::TrimHorizon,
                );
                row.counter = 7;
                match numbers.below(12) {
                    0 => {}
                    1 => row.checkpoint = Checkpoint::ShardEnd,
                    2 => row.owner = Some(owner(numbers)),
                    3 => {
                        let (holder, asks) = (owner(numbers), owner(numbers));
                        row = row.owned_by(asks.clone(), "t".into());
                        row.checkpoint_owner = (asks != holder).then_some(holder);
                    }
                    _ => row = row.owned_by(owner(numbers), "t".into()),
                }
                row
            })
            .collect();
        let mut asked = BTreeMap::new();
        for row in &rows {
            if let Some(of) = &row.checkpoint_owner {
                asked.insert(row.key.clone(), of.clone());
            }
        }
        Self {
            live,
            rows,
            asked,
            capacities: None,
        }
    }

    /// The same, of workers that balance by load and can carry as much, while nothing is known of
    /// the loads.
    fn declaring(mut self) -> Self {
        let one = |id: &WorkerId| (id.clone(), Capacity::of_cores(1));
        self.capacities = Some(self.live.iter().map(one).collect());
        self
    }

    /// The same, of unlike workers and with loads of all kinds: nothing, next to nothing, much, and
    /// what is not known.
    fn loaded(self, numbers: &mut Numbers) -> Self {
        let mut fleet = self.declaring();
        for capacity in fleet.capacities.iter_mut().flat_map(BTreeMap::values_mut) {
            *capacity = Capacity::of_cores([1, 1, 2, 4][numbers.below(4)]);
        }
        for row in &mut fleet.rows {
            let most = [1, 20_000, 200_000, 1_000_000][numbers.below(4)];
            row.throughput = (numbers.below(8) > 0).then(|| Throughput {
                bytes: numbers.below(most) as u64,
                records: 0,
            });
        }
        fleet
    }

    fn plan(&self, worker: &WorkerId, room: usize, max_moves: usize) -> Plan {
        let (timing, now) = (Timing::for_failover(F), Moment::from_origin(F));
        let workers: Vec<_> = self
            .live
            .iter()
            .map(|id| WorkerRow {
                capacity: self.capacity(id),
                ..WorkerRow::new(id.clone(), "1".into(), F)
            })
            .collect();
        let mut members = Members::default();
        members.look(&self.rows, &workers, now, now, &timing);
        let mut leases = LeaseEntries::default();
        for row in &self.rows {
            leases.see(row.clone(), now);
        }
        for (key, of) in &self.asked {
            if self.row(key).owner.as_ref() == Some(worker) {
                leases.request(key, of.clone(), Moment::default());
            }
        }
        let me = Me {
            id: worker,
            room,
            max_moves,
            capacity: self.capacity(worker),
            uneven_since: None,
            leaving: false,
            passive: false,
            stole: None,
            former_left: false,
            leases: &leases,
            tokens: &AllOwn,
        };
        plan(&me, &members, now, &timing)
    }

    fn capacity(&self, worker: &WorkerId) -> Option<Capacity> {
        self.capacities.as_ref()?.get(worker).copied()
    }

    fn row(&self, key: &LeaseKey) -> &Lease {
        self.rows
            .iter()
            .find(|row| row.key == *key)
            .expect("a row of the fleet")
    }

    /// How many leases each worker should have.
    fn loads(&self) -> BTreeMap<&WorkerId, usize> {
        let mut loads: BTreeMap<_, _> = self.live.iter().map(|worker| (worker, 0)).collect();
        let unfinished = self
            .rows
            .iter()
            .filter(|row| !row.checkpoint.is_shard_end());
        unfinished
            .filter_map(|row| row.owner.as_ref())
            .for_each(|owner| *loads.entry(owner).or_default() += 1);
        loads
    }

    /// Carries out the first thing that a plan gives its worker to do.
    fn carry_out(&mut self, worker: &WorkerId, plan: &Plan) {
        let firsts = plan
            .take
            .iter()
            .filter(|take| take.rank == 0)
            .map(|take| &take.key);
        for key in firsts.chain(plan.request.iter().map(|ask| &ask.key)) {
            let row = self
                .rows
                .iter_mut()
                .find(|row| row.key == *key)
                .expect("a row of the fleet");
            row.owner = Some(worker.clone());
            row.checkpoint_owner = None;
            row.token = Some("t".into());
            self.asked.remove(key);
        }
        for ask in &plan.withdraw {
            let row = self
                .rows
                .iter_mut()
                .find(|row| row.key == ask.key)
                .expect("a row of the fleet");
            row.owner = row.checkpoint_owner.take();
            self.asked.remove(&ask.key);
        }
    }
}

/// Half of them balance by load, and nothing is known of the loads.
fn fleets() -> impl Iterator<Item = (ScannedFleet, Numbers)> {
    (0..FLEETS).map(|seed| {
        let mut numbers = Numbers(seed);
        let fleet = ScannedFleet::random(&mut numbers);
        let by_load = seed / 6 % 2 == 1;
        let fleet = if by_load { fleet.declaring() } else { fleet };
        (fleet, numbers)
    })
}

/// The first third of them, with loads.
fn loaded_fleets() -> impl Iterator<Item = (ScannedFleet, Numbers)> {
    (0..FLEETS / 3).map(|seed| {
        let mut numbers = Numbers(seed);
        let fleet = ScannedFleet::random(&mut numbers);
        (fleet.loaded(&mut numbers), numbers)
    })
}

/// With nothing known of the loads, the plans are those of a fleet that balances by count.
#[test]
fn a_fleet_without_loads_balances_by_count() {
    for (fleet, _) in fleets().step_by(3) {
        let mut other = ScannedFleet {
            capacities: None,
            rows: fleet.rows.clone(),
            live: fleet.live.clone(),
            asked: fleet.asked.clone(),
        };
        let by_count: Vec<_> = other.live.iter().map(|id| other.plan(id, 9, 9)).collect();
        other = other.declaring();
        let by_load: Vec<_> = other.live.iter().map(|id| other.plan(id, 9, 9)).collect();
        assert_eq!(by_count, by_load);
    }
}

/// Of the same view, from which all make their moves, the fleet has come to rest after a few plans
/// of each worker.
#[test]
fn a_loaded_fleet_comes_to_rest_in_a_few_plans() {
    let (mut most, mut sum) = (0, 0);
    for (mut fleet, _) in loaded_fleets() {
        fleet.rows.retain(|row| {
            row.checkpoint_owner.is_none() && (row.owner.is_none() || row.token.is_some())
        });
        fleet.asked.clear();
        let mut rounds = 0;
        loop {
            let live = fleet.live.clone();
            let plans: Vec<_> = live.iter().map(|id| fleet.plan(id, 100, 100)).collect();
            if plans.iter().all(|plan| *plan == Plan::default()) {
                break;
            }
            for (worker, plan) in live.iter().zip(&plans) {
                fleet.carry_out(worker, plan);
            }
            rounds += 1;
            assert!(rounds <= 8, "{:?} {:?}", fleet.rows, fleet.capacities);
        }
        most = most.max(rounds);
        sum += rounds;
    }
    println!("at most {most} plans of each worker, {sum} in all fleets");
}

/// A lease is requested only from an owner that has at least two more, and only if it can be handed
/// over.
#[test]
fn nobody_requests_what_an_owner_need_not_or_cannot_hand_over() {
    for (fleet, _) in fleets() {
        let loads = fleet.loads();
        for worker in &fleet.live {
            for ask in fleet.plan(worker, 100, 100).request {
                let row = fleet.row(&ask.key);
                assert!(
                    row.owner.as_ref() == Some(&ask.of)
                        && row.checkpoint_owner.is_none()
                        && row.token.is_some()
                );
                assert!(!row.checkpoint.is_shard_end());
                assert!(
                    loads[&ask.of] >= loads[worker] + 2,
                    "{worker} asks {} of {loads:?}",
                    ask.of
                );
            }
        }
    }
}

#[test]
fn workers_with_the_same_view_take_and_ask_for_different_leases() {
    for (fleet, _) in fleets().chain(loaded_fleets()) {
        let mut keys = BTreeSet::new();
        for worker in &fleet.live {
            let plan = fleet.plan(worker, 100, 100);
            let firsts = plan
                .take
                .into_iter()
                .filter(|take| take.rank == 0)
                .map(|take| take.key);
            for key in firsts.chain(plan.request.into_iter().map(|ask| ask.key)) {
                assert!(keys.insert(key.clone()), "{key} is meant for two");
            }
        }
    }
}

#[test]
fn executed_plans_balance_the_fleet_and_then_nothing_is_planned() {
    for (mut fleet, _) in fleets() {
        // Leases that are pending or handed over cannot move, so the workers may differ by more
        // than one until that is finished.
        fleet.rows.retain(|row| {
            row.checkpoint_owner.is_none() && (row.owner.is_none() || row.token.is_some())
        });
        fleet.asked.clear();
        let plans: Vec<_> = fleet
            .live
            .iter()
            .map(|worker| (worker.clone(), fleet.plan(worker, 100, 100)))
            .collect();
        plans
            .iter()
            .for_each(|(worker, plan)| fleet.carry_out(worker, plan));
        let loads: Vec<_> = fleet.loads().into_values().collect();
        assert!(
            loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1,
            "{loads:?}"
        );
        for worker in &fleet.live {
            assert_eq!(fleet.plan(worker, 100, 100), Plan::default());
        }
    }
}

#[test]
fn no_plan_goes_beyond_the_room_or_the_number_of_requests() {
    for (fleet, mut numbers) in fleets().chain(loaded_fleets()) {
        let (room, most) = (numbers.below(8), numbers.below(5));
        for worker in &fleet.live {
            let plan = fleet.plan(worker, room, most);
            let open = fleet
                .asked
                .keys()
                .filter(|key| fleet.row(key).owner.as_ref() == Some(worker))
                .count()
                - plan.withdraw.len();
            let firsts = plan.take.iter().filter(|take| take.rank == 0).count();
            assert!(plan.claim.len() + plan.take.len() <= room, "{plan:?}");
            assert!(
                plan.claim.len() + firsts + open + plan.request.len()
                    <= room.max(plan.claim.len() + firsts),
                "{plan:?}"
            );
            assert!(
                plan.request.is_empty() || open + plan.request.len() <= most,
                "{plan:?}"
            );
        }
    }
}

/// Workers see different fleets: each knows only some of the workers that have joined. They take
/// turns, in any order, and each does one thing at a time.
#[test]
fn it_ends_whatever_workers_see_of_each_other() {
    let mut longest = 0;
    // Who does not know half of the workers may take another capacity for the median: here all have
    // the same. Nor does it know whose a lease is that an unknown worker has asked for, which is so
    // for seconds, and not for ever as here.
    let alike = |(fleet, numbers): (ScannedFleet, _)| {
        let mut fleet = fleet.declaring();
        fleet.rows.retain(|row| row.checkpoint_owner.is_none());
        fleet.asked.clear();
        (fleet, numbers)
    };
    let loaded = loaded_fleets().step_by(2).map(alike);
    for (mut fleet, mut numbers) in fleets().step_by(6).chain(loaded) {
        fleet
            .rows
            .retain(|row| row.owner.is_none() || row.token.is_some());
        let leases = fleet.rows.len();
        let (mut moves, mut idle) = (0, 0);
        while idle < 40 {
            let all = fleet.live.clone();
            let worker = all[numbers.below(all.len())].clone();
            fleet
                .live
                .retain(|other| *other == worker || numbers.below(2) == 0);
            let mut plan = fleet.plan(&worker, 100, 100);
            fleet.live = all;
            plan.take.truncate(1);
            plan.request.truncate(usize::from(
                plan.take.is_empty() && plan.withdraw.is_empty(),
            ));
            let acts = plan.take.iter().any(|take| take.rank == 0)
                || !plan.request.is_empty()
                || !plan.withdraw.is_empty();
            fleet.carry_out(&worker, &plan);
            (moves, idle) = if acts {
                (moves + 1, 0)
            } else {
                (moves, idle + 1)
            };
            assert!(moves <= 4 * leases, "it does not end: {:?}", fleet.loads());
        }
        longest = longest.max(moves);
    }
    assert!(longest >= 15, "only {longest} moves were tried");
}
