//! `move`. The steps are in [`moving`](super::moving).

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::{FleetView, Life, unassign};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use serde::Serialize;

use super::chosen::{HeldLease, chosen, keys, names, refused};
use super::moving::Moving;
use super::pause::to_change;
use super::watching::{Patience, found};
use crate::arguments::{OutputArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint, Progress, TextTable, count};
use crate::table_at::OpenTable;

/// Moves leases to a worker: it requests them, and their owners hand them over.
///
/// Each owner drains the shard and stores how far it is before it hands the lease over, so nothing is
/// read twice. The worker keeps the lease for a minute, whatever the balance says; after that it may be
/// moved again like any other. If the worker then has two leases more than others, the balance moves
/// another one in return. A move that is not done in time is taken back. It needs workers of this
/// framework, of a version that knows moves: what a Java worker holds is refused.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl move billing shardId-000000000003 --to worker-7 --lease-table dynamo
  kcl move billing shardId-000000000003 shardId-000000000004 --to worker-7
  kcl move billing shardId-000000000003 --undo

Exit codes: 0 moved, 1 refused, or not moved within --wait and taken back, 3 it failed.")]
pub(crate) struct MoveOptions {
    #[command(flatten)]
    table: TableArguments,
    /// The shards, or the leases as `kcl leases` shows them.
    #[arg(required = true, value_name = "SHARD|LEASE")]
    leases: Vec<String>,
    /// The worker that is to have them.
    #[arg(long, value_name = "WORKER", required_unless_present = "undo")]
    to: Option<String>,
    /// Takes moves back that are not done, as those of an earlier `kcl move` that was interrupted.
    #[arg(long, conflicts_with = "to")]
    undo: bool,
    /// Waits for at most this long until the worker has the leases.
    #[arg(long, value_name = "SPAN", value_parser = parse::span, default_value = "1m")]
    wait: Duration,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct MoveDocument<'a> {
    application: &'a str,
    lease_table: String,
    /// The worker.
    to: &'a str,
    /// The leases that it has now.
    moved: Vec<String>,
    /// Those that it does not have. Their moves were taken back.
    not_moved: Vec<HeldLease>,
}

#[derive(Debug, Serialize)]
struct UndoDocument<'a> {
    application: &'a str,
    lease_table: String,
    /// The leases whose moves were taken back.
    unassigned: Vec<String>,
}

impl MoveOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = to_change(&self.table).await?;
        let Some(to) = self.to.as_deref().map(WorkerId::from) else {
            return self.undo(&table).await;
        };
        let fleet = found(&table, Patience::UntilJudged).await?;
        let keys = keys(&chosen(&self.leases, &fleet)?);
        if is_dead(&fleet, &to) {
            eprintln!("refused: worker {to} is dead: expected one that is alive");
            return Ok(Ended::WithFindings);
        }
        let moving = Moving {
            table: Arc::clone(&table.table),
            leases: keys,
            to,
            wait: self.wait,
        };
        let all = moving.leases.len();
        let progress = Progress::new("moving the leases", all);
        let show = |left: usize| progress.at(all - left, all);
        // A signal ends this program: then the moves go on.
        let moved = moving.run(std::future::pending(), show).await;
        drop(progress);
        match moved {
            Ok(elsewhere) => self.say(&table, &moving, &elsewhere),
            Err(error) => refused(error),
        }
    }

    async fn undo(&self, table: &OpenTable) -> Result<Ended, Failure> {
        let fleet = found(table, Patience::NONE).await?;
        let mut leases = chosen(&self.leases, &fleet)?;
        leases.retain(|lease| lease.assigned_to.is_some());
        let keys = keys(&leases);
        if let Err(error) = unassign(&*table.table, &keys).await {
            return refused(error);
        }
        if self.output.json {
            Output::json(&UndoDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                unassigned: names(&keys),
            })?;
        } else if keys.is_empty() {
            Output::now("None of these leases is being moved.")?;
        } else {
            Output::now(&format!(
                "Took back the move of {} of {}.",
                count(keys.len(), "lease", "leases"),
                table.application
            ))?;
        }
        Ok(Ended::Well)
    }

    fn say(
        &self,
        table: &OpenTable,
        moving: &Moving,
        elsewhere: &[Lease],
    ) -> Result<Ended, Failure> {
        let (keys, to) = (&moving.leases, &moving.to);
        let is_there = |key: &&LeaseKey| !elsewhere.iter().any(|lease| lease.key == **key);
        let there: Vec<LeaseKey> = keys.iter().filter(is_there).cloned().collect();
        let not_moved = elsewhere.iter().map(HeldLease::of);
        if self.output.json {
            Output::json(&MoveDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                to: to.as_str(),
                moved: names(&there),
                not_moved: not_moved.collect(),
            })?;
        } else {
            let (mut out, paint) = (Output::default(), Paint::of_output());
            if !elsewhere.is_empty() {
                let mut rows = TextTable::new(paint, ["LEASE", "NOT MOVED, HELD BY"]);
                not_moved.for_each(|lease| rows.row(lease.cells()));
                out.text(&rows);
                out.line(format_args!(
                    "These moves are taken back: {to} holds as many leases as it may, cannot read \
                     the shards or has ended, or the holders have not drained them in time.",
                ));
            }
            out.line(format_args!(
                "Moved {} of {} to {to}.",
                count(there.len(), "lease", "leases"),
                table.application,
            ));
            out.write()?;
        }
        Ok(if elsewhere.is_empty() {
            Ended::Well
        } else {
            Ended::WithFindings
        })
    }
}

/// Whether a worker was watched for long enough to know that it is dead.
pub(super) fn is_dead(fleet: &FleetView, worker: &WorkerId) -> bool {
    let found = fleet.workers.iter().find(|view| view.worker == *worker);
    found.is_some_and(|view| view.life == Life::Dead)
}
