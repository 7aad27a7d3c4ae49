//! `drain`.

use std::time::Duration;

use clap::Args;
use kcl_core::SystemClock;
use kcl_core::admin::{LeftBehind, left_behind, undrain};
use kcl_core::model::WorkerId;
use serde::Serialize;

use super::chosen::{keys, names, refused};
use super::draining::{NotDrained, begin_drain, leases_of};
use super::pause::to_change;
use super::watching::{Patience, found};
use crate::arguments::{OutputArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint, Progress, TextTable, count};
use crate::table_at::OpenTable;

/// Drains a worker: it gives all its leases to the others, and takes none until `kcl drain --undo`.
///
/// It drains its shards a batch at a time, stores how far it is, and frees their leases, which the
/// others share as at a stop; its process goes on without leases. A process that is started again under
/// its name is not drained. The last worker that is not drained cannot be drained: the command refuses
/// that, and if it remains alone later, it takes leases again. Leases that no other worker has room
/// for, or can read, stay free, and the command says which. A Java worker is refused.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl drain billing worker-7 --lease-table dynamo
  kcl drain billing worker-7 --undo

Exit codes: 0 drained, and others have its leases, 1 refused, or not so within --wait (the drain goes
on), 3 it failed.")]
pub(crate) struct DrainOptions {
    #[command(flatten)]
    table: TableArguments,
    /// The worker.
    #[arg(value_name = "WORKER")]
    worker: String,
    /// Ends the drain: the worker takes leases again.
    #[arg(long)]
    undo: bool,
    /// Waits for at most this long until others have its leases.
    #[arg(long, value_name = "SPAN", value_parser = parse::span, default_value = "2m")]
    wait: Duration,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct DrainDocument<'a> {
    application: &'a str,
    lease_table: String,
    worker: &'a str,
    /// Whether it is drained now.
    draining: bool,
    /// The leases that it still holds.
    held: Vec<String>,
    /// The leases that it has freed and that nobody has taken.
    free: Vec<String>,
}

impl DrainOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = to_change(&self.table).await?;
        let worker = WorkerId::from(self.worker.as_str());
        if self.undo {
            return match undrain(&*table.table, &worker).await {
                Ok(_) => self.say(&table, &LeftBehind::default()),
                Err(error) => refused(error),
            };
        }
        let fleet = found(&table, Patience::UntilJudged).await?;
        match begin_drain(&table, &fleet, &worker).await {
            Ok(()) => {}
            Err(NotDrained::Fleet(why)) => {
                eprintln!("refused: {why}");
                return Ok(Ended::WithFindings);
            }
            Err(NotDrained::Steer(error)) => return refused(error),
        }
        let all = leases_of(&fleet, &worker);
        let progress = Progress::new("draining the worker", all);
        let show = |left: usize| progress.at(all.saturating_sub(left), all.max(left));
        let left = left_behind(&*table.table, &worker, self.wait, &SystemClock, show).await;
        drop(progress);
        self.say(&table, &left.map_err(|error| table.failed(error))?)
    }

    fn say(&self, table: &OpenTable, left: &LeftBehind) -> Result<Ended, Failure> {
        let application = &table.application;
        if self.output.json {
            Output::json(&DrainDocument {
                application,
                lease_table: table.place.to_string(),
                worker: &self.worker,
                draining: !self.undo,
                held: names(&keys(&left.held)),
                free: names(&keys(&left.free)),
            })?;
        } else {
            let (mut out, paint) = (Output::default(), Paint::of_output());
            let mut rows = TextTable::new(paint, ["LEASE", "STATE"]);
            for lease in &left.held {
                rows.row([lease.key.to_string(), "still held".to_owned()]);
            }
            for lease in &left.free {
                rows.row([lease.key.to_string(), "free: nobody takes it".to_owned()]);
            }
            if !rows.is_empty() {
                out.text(&rows);
            }
            if !left.held.is_empty() {
                out.line(format_args!(
                    "{} still held: {} drains them, or a handler of it does not return. The drain \
                     goes on.",
                    count(left.held.len(), "lease is", "leases are"),
                    self.worker
                ));
            }
            if !left.free.is_empty() {
                out.line(format_args!(
                    "{} free, and not read: the other workers hold as many leases as they may, or \
                     cannot read the shards. `kcl drain {application} {} --undo` lets it take them \
                     again.",
                    count(left.free.len(), "lease is", "leases are"),
                    self.worker
                ));
            }
            out.line(if self.undo {
                format!("{} of {application} takes leases again.", self.worker)
            } else {
                format!(
                    "{worker} of {application} is drained; `kcl drain {application} {worker} --undo` \
                     ends it.",
                    worker = self.worker
                )
            });
            out.write()?;
        }
        Ok(if left.is_empty() {
            Ended::Well
        } else {
            Ended::WithFindings
        })
    }
}
