//! Properties of every plan, whatever the fleet looks like: tested on several thousand fleets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::fleet::{LeaseEntries, OwnTokens};
use crate::decide::members::Members;
use crate::lease::WorkerRow;
use crate::model::{Checkpoint, Lease, LeaseKey, Moment, WorkerId};

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
        Self { live, rows, asked }
    }

    fn plan(&self, worker: &WorkerId, room: usize, max_moves: usize) -> Plan {
        let (timing, now) = (Timing::for_failover(F), Moment::from_origin(F));
        let workers: Vec<_> = self
            .live
            .iter()
            .map(|id| WorkerRow::new(id.clone(), "1".into(), F))
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
            leaving: false,
            passive: false,
            stole: None,
            former_left: false,
            leases: &leases,
            tokens: &AllOwn,
        };
        plan(&me, &members, now, &timing)
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

fn fleets() -> impl Iterator<Item = (ScannedFleet, Numbers)> {
    (0..FLEETS).map(|seed| {
        let mut numbers = Numbers(seed);
        (ScannedFleet::random(&mut numbers), numbers)
    })
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
    for (fleet, _) in fleets() {
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
    for (fleet, mut numbers) in fleets() {
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
    for (mut fleet, mut numbers) in fleets().step_by(6) {
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
