//! `status`: an application on one screen. `watch` draws the same screen again and again, and
//! `workers` shares its table.
//!
//! The table is scanned twice, and between the scans only the rows of workers are read that are not
//! known to be alive yet. So its cost is two scans, whatever the number of workers.
//!
//! What an operator looks at, from the top: is this the right application; are leases held; does
//! anything move; who is alive; what is stuck. The JSON has the same five parts.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::{FleetView, LeaseState, Life, Stuck, WorkerView};
use serde::Serialize;

use super::watching::{Patience, found_judged, hint, life};
use crate::arguments::{OutputArguments, TableArguments, WatchArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint, TextTable, count, span};
use crate::table_at::OpenTable;

/// Shows an application on one screen: its workers, its leases, which of them are stuck and why,
/// and what changed.
///
/// The table is watched for a moment, which shows who writes to it. That is too short to call a
/// worker dead; --judge watches for as long as workers watch each other.
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

/// How long `status` watches by default. People run it again and again, so it answers within two
/// seconds, scans included. With the default failover time of 10 s a worker sends a heartbeat every
/// 3.3 s, so in 600 ms about one in five is seen to write: enough to see whether anybody works at
/// all.
const A_MOMENT: Duration = Duration::from_millis(600);
/// At most this many stuck leases or malformed rows are listed, because the answer is one screen.
/// `kcl leases --stuck` lists all of them.
const LISTED: usize = 20;

/// The JSON of `kcl status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusDocument<'a> {
    /// As given on the command line; the rows are read under this name.
    application: &'a str,
    /// In the form of `--lease-table`.
    lease_table: String,
    #[serde(flatten)]
    summary: Summary<'a>,
}

impl<'a> StatusDocument<'a> {
    pub(super) fn new(table: &'a OpenTable, summary: Summary<'a>) -> Self {
        Self {
            application: &table.application,
            lease_table: table.place.to_string(),
            summary,
        }
    }
}

/// A fleet in a few figures, for people and as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    /// How long the table was watched before this judgement.
    watched_seconds: f64,
    /// Whether that was long enough to know of every worker whether it is alive.
    judged: bool,
    /// In full: there are far fewer workers than leases.
    workers: &'a [WorkerView],
    /// How many there are, malformed rows not included.
    leases: usize,
    /// How many leases are in each state. A state that no lease is in is left out.
    leases_by_state: BTreeMap<LeaseState, usize>,
    /// Leases whose shard may not be read yet, because a parent is unfinished. Many of them after a
    /// reshard are normal.
    waiting_for_parents: usize,
    /// All of them; only the text for people is cut off after [`LISTED`].
    stuck: Vec<StuckLease<'a>>,
    /// Rows that cannot be read, of leases and of workers.
    malformed: &'a [kcl_core::lease::MalformedRow],
    /// The evidence that another framework assigns the leases, such as a leader of a KCL 3.x.
    led_by: Option<&'a str>,
    /// The lag of the lease that is furthest behind, as the holders say with their heartbeats. None if
    /// it is not known of any lease.
    max_behind_seconds: Option<f64>,
    /// The leases that are to be read and of which it is not known.
    lag_unknown: usize,
    /// What changed between the first and the last reading.
    moved: MovedCounts,
}

/// A lease that is stuck, once for machines and once for people.
#[derive(Debug, Serialize)]
struct StuckLease<'a> {
    /// Its key: a shard, or stream and shard if the application reads several streams.
    lease: String,
    /// The reason, with the worker or the shard that it is about.
    #[serde(flatten)]
    why: &'a Stuck,
    /// The reason as the sentence that `kcl leases` prints.
    says: String,
}

/// How many leases changed while the table was watched. All zeros on a busy fleet mean that nobody
/// works; where heartbeats hold the leases, they are usual for a fleet without new records.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct MovedCounts {
    /// Leases whose counter grew: their holders are alive. Those without progress that heartbeats
    /// hold are not among them.
    renewed: usize,
    /// Leases with another checkpoint: records are being finished.
    checkpoint: usize,
    /// Leases with another holder. Many of them again and again mean that workers fight over
    /// leases.
    holder: usize,
    /// Leases that did not exist at the first reading, such as those of children.
    new: usize,
}

impl StatusOptions {
    /// Watches for a moment and prints. Something stuck is not exit code 1: `status` shows, and
    /// `check` judges.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found_judged(
            &table,
            Patience::For(A_MOMENT).or(&self.watch),
            self.watch.standstill.stuck_after,
        )
        .await?;
        let summary = Summary::of(&fleet);
        if self.output.json {
            Output::json(&StatusDocument::new(&table, summary))?;
            return Ok(Ended::Well);
        }
        let mut out = Output::default();
        say(&mut out, &table, &fleet, &summary);
        out.write()?;
        Ok(Ended::Well)
    }
}

impl<'a> Summary<'a> {
    /// The figures of this view. Nothing is read again.
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
        let lag = fleet.published_lag();
        Self {
            max_behind_seconds: lag.behind.map(|behind| behind.as_secs_f64()),
            lag_unknown: lag.unknown,
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

/// The status for people, from the most important to the details: where, how many leases in which
/// state, what moved, the workers, and what is wrong.
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
    out.line(lag_line(fleet));
    let moved = summary.moved;
    out.line(format_args!(
        "meanwhile: {} renewed, {} checkpointed, {} changed hands, {} new",
        moved.renewed, moved.checkpoint, moved.holder, moved.new
    ));
    if let Some(what) = summary.led_by {
        out.line(paint.bad(&format!(
            "another framework assigns the leases of this table ({what}): workers of this \
             framework take none"
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

/// How far behind the application is, as the holders of its leases say.
fn lag_line(fleet: &FleetView) -> String {
    let lag = fleet.published_lag();
    let unknown = count(lag.unknown, "lease", "leases");
    match (lag.behind, lag.unknown) {
        (Some(behind), 0) => format!("at most {} behind", span(behind)),
        (Some(behind), _) => format!(
            "at most {} behind; of {unknown} it is not known: `kcl lag` measures it",
            span(behind)
        ),
        (None, 0) => "no lease is to be read".to_owned(),
        (None, _) => "how far behind is not known: `kcl lag` measures it".to_owned(),
    }
}

/// The workers as a table, or a sentence that there are none. `kcl workers` prints it too.
///
/// `BEHIND` is how far behind its lease is that is furthest behind, as its row says. `SILENT` is how long a worker has written nothing while it was watched, and is empty for one
/// that has just written. `HELD BY` says what shows that it holds its leases: `heartbeats` of
/// its row, while the counters of leases without progress stand still, or `renewals` of each lease.
/// `ROW` is `none` for a Java worker, which has no row of this framework.
pub(super) fn workers(paint: Paint, fleet: &FleetView) -> String {
    if fleet.workers.is_empty() {
        return format!(
            "{}\n",
            paint.bad("No worker has a row, and no unfinished lease has an owner.")
        );
    }
    let head = [
        "WORKER", "LIFE", "LEASES", "BEHIND", "HELD BY", "AWAITED", "SILENT", "FAILOVER", "ROW",
    ];
    let mut table = TextTable::new(paint, head);
    for worker in &fleet.workers {
        let row = if worker.has_row { "yes" } else { "none" };
        table.row([
            worker.worker.to_string(),
            life(paint, worker),
            worker.leases.to_string(),
            worker.behind.map(span).unwrap_or_default(),
            held_by(worker).to_owned(),
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

/// What shows that a worker holds its leases. Nothing does any more if it is dead.
const fn held_by(worker: &WorkerView) -> &'static str {
    match worker.life {
        Life::Dead => "",
        _ if worker.heartbeats => "heartbeats",
        _ => "renewals",
    }
}

/// What is wrong: stuck leases and malformed rows. It comes last, so that it is what the eye rests
/// on above the prompt.
///
/// Of malformed rows the first twenty are listed here; `kcl leases` and `kcl check` list all of
/// them.
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
                "and {} more: `kcl leases APP --stuck` lists all",
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
