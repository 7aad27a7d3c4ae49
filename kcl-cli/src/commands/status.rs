use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::{FleetView, LeaseState, Life, Stuck};
use serde::Serialize;

use super::watching::{Patience, found, hint, life};
use crate::arguments::{OutputArguments, TableArguments, WatchArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint, TextTable, count, span};
use crate::table_at::OpenTable;

/// Shows an application in one screen: its workers, its leases, what is stuck and why, what moved.
///
/// The table is watched for a moment, so that it shows who writes to it. That is too short to call
/// a worker dead: --judge watches for as long as workers watch each other.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl status billing --lease-table dynamo
  kcl status billing --lease-table sqlite:leases.sqlite --judge
  kcl status billing --json | jq '.leases_by_state'")]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    table: TableArguments,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// A command that people run again and again answers within two seconds, whatever it finds.
const A_MOMENT: Duration = Duration::from_millis(600);
/// So many stuck leases are listed; `kcl leases --stuck` lists all.
const LISTED: usize = 20;

/// The JSON of `kcl status`.
#[derive(Debug, Serialize)]
struct StatusDocument<'a> {
    application: &'a str,
    lease_table: String,
    #[serde(flatten)]
    summary: Summary<'a>,
}

/// A fleet in few words.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    watched_seconds: f64,
    judged: bool,
    workers: &'a [kcl_core::admin::WorkerView],
    leases: usize,
    leases_by_state: BTreeMap<LeaseState, usize>,
    waiting_for_parents: usize,
    stuck: Vec<StuckLease<'a>>,
    malformed: &'a [kcl_core::lease::MalformedRow],
    led_by: Option<&'a str>,
    moved: MovedCounts,
}

#[derive(Debug, Serialize)]
struct StuckLease<'a> {
    lease: String,
    #[serde(flatten)]
    why: &'a Stuck,
    says: String,
}

/// How many leases changed while the table was watched.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct MovedCounts {
    renewed: usize,
    checkpoint: usize,
    holder: usize,
    new: usize,
}

impl StatusOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found(&table, Patience::For(A_MOMENT).or(&self.watch)).await?;
        let summary = Summary::of(&fleet);
        if self.output.json {
            Output::json(&StatusDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                summary,
            })?;
            return Ok(Ended::Well);
        }
        let mut out = Output::default();
        say(&mut out, &table, &fleet, &summary);
        out.write()?;
        Ok(Ended::Well)
    }
}

impl<'a> Summary<'a> {
    pub(super) fn of(fleet: &'a FleetView) -> Self {
        let mut leases_by_state = BTreeMap::new();
        let mut moved = MovedCounts::default();
        for lease in &fleet.leases {
            *leases_by_state.entry(lease.state).or_default() += 1;
            moved.renewed += usize::from(lease.moved.renewed);
            moved.checkpoint += usize::from(lease.moved.checkpoint);
            moved.holder += usize::from(lease.moved.holder);
            moved.new += usize::from(lease.moved.new);
        }
        let waits = fleet
            .leases
            .iter()
            .filter(|lease| lease.waits_for.is_some());
        let stuck = fleet.stuck().map(|(lease, why)| StuckLease {
            lease: lease.lease.key.to_string(),
            why,
            says: why.to_string(),
        });
        Self {
            watched_seconds: fleet.watched.as_secs_f64(),
            judged: fleet.judged,
            workers: &fleet.workers,
            leases: fleet.leases.len(),
            leases_by_state,
            waiting_for_parents: waits.count(),
            stuck: stuck.collect(),
            malformed: &fleet.malformed,
            led_by: fleet.led_by.as_deref(),
            moved,
        }
    }
}

/// The status for people.
pub(super) fn say(out: &mut Output, table: &OpenTable, fleet: &FleetView, summary: &Summary<'_>) {
    let paint = Paint::of_output();
    out.line(format_args!(
        "{} in {}, watched for {}",
        paint.bold(&table.application),
        table.place,
        span(fleet.watched)
    ));
    let states: Vec<String> = summary
        .leases_by_state
        .iter()
        .map(|(state, leases)| format!("{leases} {state}"))
        .collect();
    let states = if states.is_empty() {
        String::new()
    } else {
        format!(": {}", states.join(", "))
    };
    out.line(format_args!(
        "{}{states}",
        count(summary.leases, "lease", "leases")
    ));
    if summary.waiting_for_parents > 0 {
        out.line(format_args!(
            "{} for a parent shard to be finished",
            count(summary.waiting_for_parents, "lease waits", "leases wait")
        ));
    }
    let moved = summary.moved;
    out.line(format_args!(
        "moved meanwhile: {} renewed, {} checkpointed, {} changed hands, {} new",
        moved.renewed, moved.checkpoint, moved.holder, moved.new
    ));
    if let Some(what) = summary.led_by {
        out.line(paint.bad(&format!(
            "another framework gives the leases of this table away ({what}): no worker of ours \
             takes any"
        )));
    }
    out.line("");
    out.text(workers(paint, fleet));
    troubles(out, paint, fleet, summary);
    if let Some(hint) = hint(fleet, &format!("kcl status {}", table.application)) {
        out.line("");
        out.line(hint);
    }
}

/// The workers as a table, or that there are none.
pub(super) fn workers(paint: Paint, fleet: &FleetView) -> String {
    if fleet.workers.is_empty() {
        return format!(
            "{}\n",
            paint.bad("No worker has a row, and no unfinished lease has an owner.")
        );
    }
    let head = [
        "WORKER", "LIFE", "LEASES", "AWAITED", "SILENT", "FAILOVER", "ROW",
    ];
    let mut table = TextTable::new(paint, head);
    for worker in &fleet.workers {
        let row = if worker.has_row { "yes" } else { "none" };
        table.row([
            worker.worker.to_string(),
            life(paint, worker),
            worker.leases.to_string(),
            worker.awaited.to_string(),
            if worker.life == Life::Alive && worker.silent.is_zero() {
                String::new()
            } else {
                span(worker.silent)
            },
            worker.failover.map(span).unwrap_or_default(),
            row.to_owned(),
        ]);
    }
    table.to_string()
}

fn troubles(out: &mut Output, paint: Paint, fleet: &FleetView, summary: &Summary<'_>) {
    if !summary.stuck.is_empty() {
        out.line("");
        let mut table = TextTable::new(paint, ["STUCK", "WHY"]);
        for stuck in summary.stuck.iter().take(LISTED) {
            table.row([stuck.lease.clone(), stuck.says.clone()]);
        }
        out.text(&table);
        if summary.stuck.len() > LISTED {
            out.line(format_args!(
                "and {} more: `kcl leases --stuck` lists all",
                summary.stuck.len() - LISTED
            ));
        }
    }
    if !fleet.malformed.is_empty() {
        out.line("");
        for row in fleet.malformed.iter().take(LISTED) {
            out.line(format_args!("{}: {row}", paint.bad("malformed")));
        }
    }
}
