//! Fleets of any size, for benchmarks of the decisions of one worker.
//!
//! A benchmark of a plan needs a fleet that has been watched for a while: who is alive is judged by
//! counters that moved between scans, and an observer that has seen one scan decides nothing. So a
//! fleet here is not only rows, it has also been scanned six times at the pace of a real worker, on
//! a clock that is only a number.

use std::time::Duration;

use crate::decide::assignment::{Me, plan};
use crate::decide::expiry::Timing;
use crate::decide::fleet::{LeaseEntries, OwnTokens};
use crate::decide::members::Members;
use crate::lease::WorkerRow;
use crate::model::{Checkpoint, Lease, LeaseKey, Moment, WorkerId};

/// How the leases of a fleet are distributed, from the cheapest plan to the most expensive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetScene {
    /// Each worker holds its share. This is the plan that a worker makes nearly always, so it must
    /// cost next to nothing.
    Calm,
    /// The same, but one worker has just joined and holds none: it requests its share from many
    /// owners.
    OneCame,
    /// Half of the workers hold all leases, and the others have just joined, as after a deployment
    /// that doubles the fleet. Many workers request leases at once and must not all pick the same
    /// ones.
    HalfCame,
    /// One worker holds all leases, and the others have just joined: the most unequal fleet there
    /// is.
    OneHasAll,
    /// One worker is dead, and its leases are expiring: every other worker takes a part of them.
    OneDied,
    /// All leases are free, as after a cold start: the largest number of candidates for one plan.
    AllFree,
}

/// A fleet as seen by its last worker, which is one of those without leases if there are any.
///
/// It is built once, outside of what is measured; [`plan`](Self::plan) is the measured part.
#[derive(Debug)]
pub struct SeenFleet {
    /// What the worker knows of each lease, as after its last scan.
    leases: LeaseEntries,
    /// The rows of the workers, and who is alive, as judged from all scans.
    members: Members,
    /// The worker that makes the plan.
    me: WorkerId,
    /// The time of the last scan; the plan is made at the same moment.
    now: Moment,
    /// The times of the KCL's default failover time, 10 s.
    timing: Timing,
}

impl SeenFleet {
    /// Creates a fleet of this many `workers`, at least two, with this many `leases`.
    ///
    /// Leases are dealt out in turn, so that each owner has the same number of them or one more.
    /// All rows are new; only the observations of them are old.
    #[must_use]
    pub fn new(leases: usize, workers: usize, scene: FleetScene) -> Self {
        let failover = Duration::from_secs(10);
        let timing = Timing::for_failover(failover);
        let id = |worker: usize| WorkerId::from(format!("worker-{worker:03}"));
        let owners = match scene {
            FleetScene::Calm | FleetScene::OneDied => workers,
            FleetScene::OneCame => workers - 1,
            FleetScene::HalfCame => workers / 2,
            FleetScene::OneHasAll => 1,
            FleetScene::AllFree => 0,
        };
        let mut rows: Vec<_> = (0..leases)
            .map(|lease| {
                let key = LeaseKey::single(format!("shardId-{lease:012}"));
                let row = Lease::new(key, Checkpoint::TrimHorizon);
                match lease.checked_rem(owners) {
                    Some(owner) => row.owned_by(id(owner), format!("token-{lease}").into()),
                    None => row,
                }
            })
            .collect();
        let mut workers: Vec<_> = (0..workers)
            .map(|worker| WorkerRow::new(id(worker), "process".into(), failover))
            .collect();
        let dead = (scene == FleetScene::OneDied).then(|| id(0));
        let (mut members, mut now) = (Members::default(), Moment::from_origin(failover));
        // As many scans as it takes for a dead worker's leases to expire.
        for _ in 0..6 {
            now = now + timing.look;
            // Workers without leases join only now.
            let old = &workers[..if owners == 0 { workers.len() } else { owners }];
            members.look(&rows, old, now, now, &timing);
            for row in &mut rows {
                row.counter += u64::from(row.owner != dead);
            }
            for row in &mut workers {
                row.counter += u64::from(dead.as_ref() != Some(&row.worker));
            }
        }
        now = now + timing.look;
        members.look(&rows, &workers, now, now, &timing);
        let me = id(workers.len() - 1);
        let mut leases = LeaseEntries::default();
        let held: Vec<_> = rows
            .iter()
            .filter(|row| row.owner.as_ref() == Some(&me))
            .map(|row| row.key.clone())
            .collect();
        leases.scan(rows, (now, now), &me, timing.look, timing.failover);
        for key in held {
            leases.hold(&key, true);
        }
        Self {
            leases,
            members,
            me,
            now,
            timing,
        }
    }

    /// Makes one plan, and returns how many leases it takes or requests. Returning the number keeps
    /// the optimiser from leaving the work out.
    ///
    /// A plan may contain at most 8 requests, the default of a worker.
    ///
    /// The worker has room for any number of leases, is not leaving, and knows of no Java worker:
    /// the limits of a fleet with other settings would only make the plan shorter.
    #[must_use]
    pub fn plan(&self) -> usize {
        let me = Me {
            id: &self.me,
            room: usize::MAX,
            max_moves: 8,
            capacity: None,
            uneven_since: None,
            leaving: false,
            passive: false,
            stole: None,
            former_left: false,
            leases: &self.leases,
            tokens: &NoOtherProcess,
        };
        let plan = plan(&me, &self.members, self.now, &self.timing);
        plan.take.len() + plan.request.len()
    }
}

/// Every tenancy is this process's, so no lease of the worker looks as if a second process with the
/// same id held it. That check is not what the benchmarks measure.
#[derive(Debug)]
struct NoOtherProcess;

impl OwnTokens for NoOtherProcess {
    fn is_ours(&self, _: &Lease) -> bool {
        true
    }

    fn is_abandoned(&self, _: &Lease) -> bool {
        false
    }
}
