//! Fleets of any size, for benchmarks of the decisions of one worker.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::assignment::{Me, plan};
use crate::decide::expiry::Timing;
use crate::decide::fleet::{LeaseEntries, OwnTokens};
use crate::decide::members::Members;
use crate::lease::WorkerRow;
use crate::model::{Checkpoint, Lease, LeaseKey, Moment, WorkerId};

/// How the leases of a fleet are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetScene {
    /// Each worker holds its share.
    Calm,
    /// The same, but one worker has just joined and holds none.
    OneCame,
    /// Half of the workers hold all leases, and the others have just joined.
    HalfCame,
    /// One worker holds all leases, and the others have just joined.
    OneHasAll,
    /// One worker is dead, and its leases are expiring.
    OneDied,
    /// All leases are free.
    AllFree,
}

/// A fleet as seen by its last worker, which is one of those without leases if there are any.
#[derive(Debug)]
pub struct SeenFleet {
    leases: LeaseEntries,
    workers: BTreeMap<WorkerId, WorkerRow>,
    members: Members,
    me: WorkerId,
    now: Moment,
    timing: Timing,
}

impl SeenFleet {
    /// Creates a fleet of this many `workers`, at least two, with this many `leases`.
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
            workers: workers
                .into_iter()
                .map(|row| (row.worker.clone(), row))
                .collect(),
            members,
            me,
            now,
            timing,
        }
    }

    /// Makes one plan, and returns how many leases it takes or requests.
    #[must_use]
    pub fn plan(&self) -> usize {
        let me = Me {
            id: &self.me,
            room: usize::MAX,
            max_moves: 8,
            leaving: false,
            passive: false,
            stole: None,
            former_left: false,
            leases: &self.leases,
            tokens: &NoOtherProcess,
        };
        let plan = plan(&me, &self.workers, &self.members, self.now, &self.timing);
        plan.take.len() + plan.request.len()
    }
}

/// Every tenancy is this process's.
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
