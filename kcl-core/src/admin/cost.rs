use std::time::Duration;

use crate::decide::expiry::Timing;

use super::{FleetView, LeaseState, Life};

/// What a row of a lease takes in DynamoDB, in bytes, and that of a worker: see the docs of
/// `kcl-dynamo`.
const LEASE_BYTES: f64 = 410.0;
const WORKER_BYTES: f64 = 350.0;
/// What one read unit covers, in bytes.
const READ_UNIT: f64 = 4096.0;
/// The KCL's default failover time.
const FAILOVER: Duration = Duration::from_secs(10);
/// How often a worker reads the change signal of a table in DynamoDB, scans when it is alone, looks
/// for a leader of the KCL's then, and how often somebody audits.
const SIGNAL: f64 = 0.5;
const LONE_SCAN: f64 = 30.0;
const LEADER: f64 = 5.0;
const AUDIT: f64 = 60.0;

/// What an application asks of a lease table in DynamoDB in an hour in which nothing happens but
/// work: no worker comes or goes, no lease moves.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FleetCost {
    /// The workers that are not known to be dead.
    pub workers: usize,
    /// The leases that are held.
    pub held: usize,
    /// All leases.
    pub leases: usize,
    /// The shortest failover time that a worker declares; 10 s if none does.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "failover_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub failover: Duration,
    /// What for.
    pub lines: Vec<CostLine>,
}

/// A part of a [`FleetCost`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CostLine {
    /// What for.
    pub what: &'static str,
    /// Calls an hour.
    pub calls_per_hour: f64,
    /// Write units an hour.
    pub write_units_per_hour: f64,
    /// Read units an hour.
    pub read_units_per_hour: f64,
}

impl FleetCost {
    /// Write units an hour.
    #[must_use]
    pub fn write_units(&self) -> f64 {
        self.lines
            .iter()
            .map(|line| line.write_units_per_hour)
            .sum()
    }

    /// Read units an hour.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        self.lines.iter().map(|line| line.read_units_per_hour).sum()
    }
}

/// What a fleet asks of its lease table, by the rules in the docs of `kcl-dynamo`: computed from the
/// rows, not measured.
#[must_use]
pub fn cost(fleet: &FleetView) -> FleetCost {
    let alive = || fleet.workers.iter().filter(|it| it.life != Life::Dead);
    let workers = alive().count();
    let held = fleet
        .leases
        .iter()
        .filter(|view| view.state != LeaseState::Ended && view.holder.is_some())
        .count();
    let failover = alive()
        .filter_map(|worker| worker.failover)
        .min()
        .unwrap_or(FAILOVER);
    let timing = Timing::for_failover(failover);
    let unfinished = fleet
        .leases
        .iter()
        .filter(|it| it.state != LeaseState::Ended);
    let is_lone = workers == 1 && unfinished.count() == held;
    let hourly = |every: f64| 3600.0 / every;
    let renewals = hourly(timing.renew_every.as_secs_f64());
    let (count, leases) = (workers as f64, fleet.leases.len());
    let bytes = leases as f64 * LEASE_BYTES + count * WORKER_BYTES;
    let scan = (bytes / READ_UNIT).ceil();
    let mut lines = Vec::new();
    let mut line = |what, calls: f64, write, read| {
        lines.push(CostLine {
            what,
            calls_per_hour: calls,
            write_units_per_hour: calls * write,
            read_units_per_hour: calls * read,
        });
    };
    line(
        "renewals and checkpoints of held leases",
        held as f64 * renewals,
        1.0,
        0.0,
    );
    line("heartbeats of workers", count * renewals, 1.0, 0.0);
    line(
        "readings of the change signal",
        count * hourly(SIGNAL),
        0.0,
        0.5,
    );
    let every = if is_lone {
        LONE_SCAN
    } else {
        timing.look.as_secs_f64()
    };
    line("scans of all rows", count * hourly(every), 0.0, scan / 2.0);
    if is_lone {
        line("looks for a leader of the KCL", hourly(LEADER), 0.0, 0.5);
    }
    if workers > 0 {
        line("comparison with the shards", hourly(AUDIT), 0.0, scan);
    }
    FleetCost {
        workers,
        held,
        leases,
        failover,
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{LeaseView, Moved, WorkerView};
    use crate::model::{Checkpoint, Lease, LeaseKey};

    fn fleet(workers: usize, leases: usize) -> FleetView {
        let worker = |number: usize| WorkerView {
            worker: number.to_string().into(),
            life: Life::Alive,
            has_row: true,
            failover: Some(FAILOVER),
            silent: Duration::ZERO,
            dead_after: Duration::ZERO,
            counter: None,
            audits: None,
            leases: 0,
            awaited: 0,
        };
        let lease = |number: usize| LeaseView {
            lease: Lease::new(
                LeaseKey::single(number.to_string()),
                Checkpoint::TrimHorizon,
            ),
            state: LeaseState::Held,
            holder: Some("0".into()),
            awaited_by: None,
            waits_for: None,
            moved: Moved::default(),
            stuck: None,
        };
        FleetView {
            watched: Duration::ZERO,
            judged: true,
            workers: (0..workers).map(worker).collect(),
            leases: (0..leases).map(lease).collect(),
            malformed: Vec::new(),
            led_by: None,
        }
    }

    /// The figures of the docs of `kcl-dynamo`: 64 leases cost one worker 1,170 write units a minute,
    /// and 8 workers 1,440 read units.
    #[test]
    fn the_figures_are_those_of_the_docs() {
        let one = cost(&fleet(1, 64));
        assert_eq!((one.write_units() / 60.0).round(), 1170.0);
        let eight = cost(&fleet(8, 64));
        let minute = eight.read_units() / 60.0;
        assert!((1300.0..1560.0).contains(&minute), "{minute}");
        assert_eq!(
            cost(&fleet(0, 3))
                .lines
                .iter()
                .map(|it| it.read_units_per_hour)
                .sum::<f64>(),
            0.0
        );
    }
}
