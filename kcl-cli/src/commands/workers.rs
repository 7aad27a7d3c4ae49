use clap::Args;
use kcl_core::admin::WorkerView;
use serde::Serialize;

use super::status::workers;
use super::watching::{Patience, found, hint};
use crate::arguments::{OutputArguments, TableArguments, WatchArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint};

/// Lists the workers: who is alive, and how many leases each holds.
///
/// It watches until that is known of each: a moment if all are alive, 9/10 of the failover time if
/// one is dead.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl workers billing --lease-table dynamo
  kcl workers billing --watch-for 0s      those that the table names, without a word on their lives")]
pub(crate) struct WorkersOptions {
    #[command(flatten)]
    table: TableArguments,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct WorkersDocument<'a> {
    application: &'a str,
    lease_table: String,
    watched_seconds: f64,
    judged: bool,
    workers: &'a [WorkerView],
}

impl WorkersOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found(&table, Patience::UntilJudged.or(&self.watch)).await?;
        if self.output.json {
            Output::json(&WorkersDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                watched_seconds: fleet.watched.as_secs_f64(),
                judged: fleet.judged,
                workers: &fleet.workers,
            })?;
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
