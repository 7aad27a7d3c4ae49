//! `workers`: who is alive, and who holds how much.
//!
//! Nobody asks a worker. It is alive if a counter that only it moves has moved while the table was
//! watched: that of its own row or, for a worker of the Java KCL, which has no such row, that of a
//! lease. The clock is the observer's own, as among workers, so clocks that disagree change
//! nothing.
//!
//! | life | what was seen |
//! |---|---|
//! | alive | a counter of its moved |
//! | leaving | its row says that it is stopping; other workers hand nothing over to it |
//! | not judged | no counter moved, but it was not watched for long enough to call it dead |
//! | dead | no counter moved for as long as other workers wait before they take its leases |
//!
//! `HELD BY` says what others judge its leases by: the heartbeats of its row, or renewals, which move
//! the counter of each lease.

use clap::Args;
use kcl_core::admin::{FleetView, WorkerView};
use serde::Serialize;

use super::status::workers;
use super::watching::{Patience, found_judged, hint};
use crate::arguments::{OutputArguments, TableArguments, WatchArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint};
use crate::table_at::OpenTable;

/// Lists the workers: which of them are alive, and how many leases each one holds.
///
/// It watches until that is known of every worker: a moment if all are alive, 4/5 of the failover
/// time if one is dead.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl workers billing --lease-table dynamo
  kcl workers billing --watch-for 0s      only their names and leases, not whether they are alive")]
pub(crate) struct WorkersOptions {
    #[command(flatten)]
    table: TableArguments,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// The JSON of `kcl workers`.
#[derive(Debug, Serialize)]
pub(super) struct WorkersDocument<'a> {
    application: &'a str,
    /// In the form of `--lease-table`.
    lease_table: String,
    /// How long the table was watched before this judgement.
    watched_seconds: f64,
    /// Whether it is known of every worker whether it is alive. A monitor that acts on a dead
    /// worker checks this first.
    judged: bool,
    /// Ordered by name: those with a row, and those that only a lease names.
    workers: &'a [WorkerView],
}

impl<'a> WorkersDocument<'a> {
    pub(super) fn new(table: &'a OpenTable, fleet: &'a FleetView) -> Self {
        Self {
            application: &table.application,
            lease_table: table.place.to_string(),
            watched_seconds: fleet.watched.as_secs_f64(),
            judged: fleet.judged,
            workers: &fleet.workers,
        }
    }
}

impl WorkersOptions {
    /// Watches and prints. A dead worker is not exit code 1: other workers take its leases, and
    /// `kcl check` is the command that says whether somebody has to act.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found_judged(
            &table,
            Patience::UntilJudged.or(&self.watch),
            self.watch.standstill.stuck_after,
        )
        .await?;
        if self.output.json {
            Output::json(&WorkersDocument::new(&table, &fleet))?;
            return Ok(Ended::Well);
        }
        let mut out = Output::default();
        out.text(workers(Paint::of_output(), &fleet));
        if let Some(hint) = hint(&fleet, &format!("kcl workers {}", table.application)) {
            out.line("");
            out.line(hint);
        }
        out.write()?;
        Ok(Ended::Well)
    }
}
