//! What a fleet asks of its table while nothing happens, computed from its size.
//!
//! ```text
//!   per held lease    a renewal every F/3, which a checkpoint replaces,    1 write unit
//!                     unless heartbeats hold the lease
//!   per worker        a heartbeat every F/3                                1 write unit
//!                     the change signal every 0.65 s, or F/5 if less       1/2 read unit
//!                     a scan every F/5, or every 30 s in a quiet fleet     rows / 4 KB / 2
//!                     in a quiet fleet, the row of another worker in       1/2 read unit
//!                     each of its heartbeats, and a KCL's row every 5 s
//!   per application   in a quiet fleet, a scan every 5 s by one worker     rows / 4 KB / 2
//!                     an audit every minute, strongly consistent           rows / 4 KB
//! ```
//!
//! A fleet is quiet while heartbeats hold every lease. What scans cost grows with leases times workers,
//! as each worker scans all rows. That is the figure to look at before a fleet is made larger. Prices
//! are left out: they differ by region and change.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::expiry::Timing;

use super::{FleetView, Life};

/// What a lease takes in DynamoDB, in bytes, with its attribute names: see the docs of
/// `kcl-dynamo`.
const LEASE_BYTES: f64 = 410.0;
/// What the row of a worker takes, in bytes.
const WORKER_BYTES: f64 = 350.0;
/// What one read unit covers, in bytes. A strongly consistent read takes one for this much, an
/// eventual one half of it. Within a scan the bytes of a page are added up first.
const READ_UNIT: f64 = 4096.0;
/// The KCL's default failover time.
const FAILOVER: Duration = Duration::from_secs(10);
/// How often a worker reads the change signal of a table in DynamoDB, in seconds, unless a fifth of
/// its failover time is less.
const SIGNAL: f64 = 0.65;
/// How often a worker scans that is alone and holds everything, or whose fleet is quiet, in seconds.
const SELDOM: f64 = 30.0;
/// How often such a worker reads a row by which a KCL shows itself, in seconds: it would otherwise
/// hear of one only with its next scan.
const KCL_ROW: f64 = 5.0;
/// How often one worker scans for all, to see a KCL that starts: where heartbeats hold the leases.
const WATCHFUL: f64 = 5.0;
/// How often a worker of the fleet compares the leases with the shards, in seconds: the default of
/// [`Settings::audit_every`](crate::worker::Settings::audit_every).
const AUDIT: f64 = 60.0;

/// What an application asks of a lease table in DynamoDB in an hour in which nothing happens but
/// work: no worker comes or goes, no lease moves. Checkpoints of leases that heartbeats hold are not in
/// it, since the table does not show how many there will be. Where a lease is renewed, a checkpoint is a
/// renewal, so a lease with records costs no more than an idle one unless it stores a checkpoint more
/// often than every third of the failover time.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::admin::{Observer, cost};
/// use kcl_core::lease::LeaseTable;
/// use kcl_core::model::{Checkpoint, Lease, LeaseKey, WorkerId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::lease::Error> {
/// let table = MemoryLeaseTable::new();
/// let mut lease = Lease::new(LeaseKey::single("shardId-000000000000"), Checkpoint::TrimHorizon);
/// lease.owner = Some(WorkerId::new("one"));
/// table.create(&lease).await?;
///
/// let fleet = Observer::new(Arc::new(table)).look().await?;
/// let cost = cost(&fleet);
/// // One lease and one worker, each with a write every third of 10 s.
/// assert_eq!(cost.write_units().round(), 2160.0);
/// for line in &cost.lines {
///     println!("{:>10.0} calls an hour: {}", line.calls_per_hour, line.what);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FleetCost {
    /// The workers that are not known to be dead. One that is not judged counts, so a single look
    /// is enough for an estimate.
    pub workers: usize,
    /// The leases that are held.
    pub held: usize,
    /// Those of them that heartbeats hold: their checkpoints come on top, each a write.
    pub held_by_heartbeats: usize,
    /// All leases. Finished ones, too: scans read them.
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
    /// What for. A sentence for people; the order of the lines is fixed.
    pub what: &'static str,
    /// Calls an hour. A scan of several pages counts as one.
    pub calls_per_hour: f64,
    /// Write units an hour. A row stays below 1 KB, so each write takes one.
    pub write_units_per_hour: f64,
    /// Read units an hour.
    pub read_units_per_hour: f64,
}

impl FleetCost {
    /// Write units an hour. The sum over all lines.
    #[must_use]
    pub fn write_units(&self) -> f64 {
        self.lines
            .iter()
            .map(|line| line.write_units_per_hour)
            .sum()
    }

    /// Read units an hour. The sum over all lines.
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
    let holders = || fleet.unfinished().filter_map(|view| view.holder.as_ref());
    let held = holders().count();
    let by_heartbeats: BTreeSet<_> = alive()
        .filter(|worker| worker.heartbeats)
        .map(|worker| &worker.worker)
        .collect();
    let renewed = holders().filter(|of| !by_heartbeats.contains(of)).count();
    let failover = alive()
        .filter_map(|worker| worker.failover)
        .min()
        .unwrap_or(FAILOVER);
    let timing = Timing::for_failover(failover);
    // What nobody holds is looked at as often as in a fleet that moves leases.
    let is_all_held = fleet.unfinished().count() == held;
    let is_lone = workers == 1 && is_all_held;
    let is_alike = alive().all(|it| it.failover == Some(failover) && !it.draining);
    let relies = by_heartbeats.len() == workers;
    let is_quiet = workers > 1 && is_all_held && relies && is_alike;
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
        "renewals of leases without heartbeats",
        renewed as f64 * renewals,
        1.0,
        0.0,
    );
    line("heartbeats of workers", count * renewals, 1.0, 0.0);
    line(
        "readings of the change signal",
        count * hourly(SIGNAL.min(timing.look.as_secs_f64())),
        0.0,
        0.5,
    );
    let watchful = WATCHFUL
        .min(failover.as_secs_f64() / 2.0)
        .max(timing.look.as_secs_f64());
    let scans = if !(is_lone || is_quiet) {
        count * hourly(timing.look.as_secs_f64())
    } else if relies {
        hourly(watchful) + (count - 1.0) * hourly(SELDOM)
    } else {
        count * hourly(SELDOM)
    };
    line("scans of all rows", scans, 0.0, scan / 2.0);
    if is_quiet {
        line(
            "readings of another worker's row",
            count * renewals,
            0.0,
            0.5,
        );
    }
    // Who scans more often than that reads no such row.
    let seldom = if relies { count - 1.0 } else { count };
    if (is_lone || is_quiet) && seldom > 0.0 {
        line("looks for a KCL", seldom * hourly(KCL_ROW), 0.0, 0.5);
    }
    if workers > 0 {
        line("comparison with the shards", hourly(AUDIT), 0.0, scan);
    }
    FleetCost {
        workers,
        held,
        held_by_heartbeats: held - renewed,
        leases,
        failover,
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{LeaseState, LeaseView, Moved, WorkerView};
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
            draining: false,
            heartbeats: false,
            audits: None,
            behind: None,
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
            lag: None,
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

    /// The figures of the docs of `kcl-dynamo`: 64 leases cost one worker 1,170 write units a minute, or
    /// 18 where heartbeats hold them, and 8 workers 590 read units, or 1,340 where they are renewed.
    #[test]
    fn the_figures_are_those_of_the_docs() {
        let one = cost(&fleet(1, 64));
        assert_eq!((one.write_units() / 60.0).round(), 1170.0);
        let mut held = fleet(1, 64);
        held.workers[0].heartbeats = true;
        assert_eq!((cost(&held).write_units() / 60.0).round(), 18.0);
        assert_eq!(
            (one.held_by_heartbeats, cost(&held).held_by_heartbeats),
            (0, 64)
        );
        let mut eight = fleet(8, 64);
        let minute = cost(&eight).read_units() / 60.0;
        assert!((1320.0..1360.0).contains(&minute), "{minute}");
        for worker in &mut eight.workers {
            worker.heartbeats = true;
        }
        let minute = cost(&eight).read_units() / 60.0;
        assert!((580.0..600.0).contains(&minute), "{minute}");
        for worker in &mut eight.workers {
            worker.failover = Some(Duration::from_secs(3));
        }
        let quick = cost(&eight);
        let minute = (quick.write_units() / 60.0, quick.read_units() / 60.0);
        assert!((890.0..930.0).contains(&minute.1), "{minute:?}");
        assert_eq!(minute.0.round(), 480.0);
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
