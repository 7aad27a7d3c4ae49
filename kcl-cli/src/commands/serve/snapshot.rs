//! What everybody reads: an application as it was last seen.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::admin::{Asked, Finding, FleetView, LeaseState, LeaseView, Level, Life, WorkerView};
use kcl_core::model::{LeaseKey, Timestamp};
use serde::Serialize;

use super::history::{Entry, History, Sample};
use super::lag_round::{LagFigures, LagState};
use super::scale::{Demand, Wanted};
use crate::commands::check::problems;
use crate::table_at::OpenTable;

/// So many workers, findings and happenings are in a [`Live`]: what a page draws. The API has all.
const WORKERS: usize = 200;
const FINDINGS: usize = 50;
const HAPPENINGS: usize = 100;

/// An application as it was last seen. Made once a look, and shared by all who ask.
///
/// It is immutable and behind an `Arc`, so an answer that takes long keeps its own picture while
/// the next look is published.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Workers and leases, judged.
    pub(super) fleet: Arc<FleetView>,
    /// When the table was last read.
    pub(super) looked_at: Timestamp,
    /// How long that took.
    pub(super) took: Duration,
    /// Why the table cannot be read now: the fleet is as it was before.
    pub(super) error: Option<String>,
    /// What is wrong, without what only a single look has shown.
    pub(super) findings: Arc<Vec<Finding>>,
    /// The last measurement of the lag, or why there is none.
    pub(super) lag: LagState,
    /// How many workers there should be.
    pub(super) wanted: Wanted,
    /// When each lease was last seen to store a checkpoint.
    pub(super) checkpointed: Arc<BTreeMap<LeaseKey, Timestamp>>,
    /// Samples and happenings of the last hours.
    pub(super) history: Arc<History>,
    /// What has been counted since the program began.
    pub(super) totals: Totals,
    /// A [`Live`] of it as JSON, written once for all pages.
    pub(super) live: Arc<str>,
}

/// What has happened since the program began.
///
/// They begin at 0 with the program, as Prometheus expects of a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Totals {
    /// Readings of the whole table, failed ones included.
    pub(super) looks: u64,
    /// Those that failed.
    pub(super) looks_failed: u64,
    /// Changed checkpoints that were seen.
    pub(super) checkpoints: u64,
    /// Leases that went from one living worker to another.
    pub(super) hand_overs: u64,
    /// Leases that were taken from a worker that was dead or let them expire.
    pub(super) take_overs: u64,
    /// Calls of `GetRecords` for the lag.
    pub(super) get_records: u64,
    /// Calls of `GetShardIterator` for the lag.
    pub(super) get_shard_iterator: u64,
}

/// What a page draws after each look, however many leases there are: a few thousand bytes for a
/// small fleet, and never more than some tens of thousands.
///
/// Its fields are those of the documents of the API where both have them, so that the page uses one
/// name for one thing.
#[derive(Debug, Serialize)]
struct Live<'a> {
    application: &'a str,
    lease_table: String,
    /// Milliseconds since 1970.
    looked_at: i64,
    /// How long the last reading took. As it comes near to `every_seconds`, the table is too large
    /// for this pace.
    look_seconds: f64,
    /// The pace of looks: a page that has heard nothing for several of them says that it is out of
    /// date.
    every_seconds: f64,
    error: Option<&'a str>,
    /// Whether the program has watched for long enough to tell the dead from the living. While it
    /// is false and nothing is found, the page says "still watching" and not "none seen".
    judged: bool,
    /// Of all workers, also of those that are not in `workers`.
    workers_by_life: BTreeMap<Life, usize>,
    /// The first of them: the dead before the living, then by name.
    workers: Vec<&'a WorkerView>,
    /// How many rows could be read; `malformed` counts the others, which are in no other number.
    leases: usize,
    leases_by_state: BTreeMap<LeaseState, usize>,
    /// Those that no worker may read yet. They have no holder, and that is no reason to worry.
    waiting_for_parents: usize,
    stuck: usize,
    malformed: usize,
    /// If another framework gives the leases away, the evidence. No worker of this one takes any
    /// then, so the page says it above all else.
    led_by: Option<&'a str>,
    /// How many findings need somebody: they are in the title of the page, so that a tab in the
    /// background shows them. `findings` counts notes as well.
    problems: usize,
    findings: usize,
    first_findings: Vec<&'a Finding>,
    lag: LiveLag<'a>,
    wanted: &'a Wanted,
    /// The last point of the curves. A page asks for the older ones once, and then only adds this
    /// one.
    sample: Option<&'a Sample>,
    /// Newest first.
    happened: Vec<&'a Entry>,
    totals: Totals,
}

/// The lag for the page, or why it is not known.
#[derive(Debug, Default, Serialize)]
struct LiveLag<'a> {
    #[serde(flatten)]
    figures: LagFigures,
    error: Option<&'a str>,
    /// Why the stream was not asked, if it was not: what is known is what the workers say.
    not_asked: Option<&'a str>,
    stream: Option<String>,
    /// Milliseconds since 1970.
    measured_at: Option<i64>,
    asked: Option<Asked>,
}

/// Whether a lease can be read: its shard is not finished and waits for no parent.
fn is_readable(lease: &LeaseView) -> bool {
    lease.state != LeaseState::Ended && lease.waits_for.is_none()
}

impl Snapshot {
    /// What the fleet has to do.
    ///
    /// Leases that wait for a parent are left out: no worker can read them, however many there are.
    /// Workers that are not judged count as working, because most of them are.
    pub(super) fn demand(fleet: &FleetView, lag: &LagState, measured: Option<f64>) -> Demand {
        let readable = || fleet.leases.iter().filter(|lease| is_readable(lease));
        let counts = |worker: &&WorkerView| matches!(worker.life, Life::Alive | Life::Unknown);
        let paces = lag.as_ref().ok().map(|round| {
            readable()
                .filter_map(|lease| round.paces.get(&lease.lease.key).copied())
                .collect()
        });
        Demand {
            workers: fleet.workers.iter().filter(counts).count(),
            readable: readable().count(),
            paces,
            measured,
        }
    }

    /// Writes what the pages draw.
    pub(super) fn render(&mut self, table: &OpenTable, every: Duration) {
        let live = self.live(table, every);
        // Numbers, text and maps with keys of text: it can always be written.
        self.live = serde_json::to_string(&live).unwrap_or_default().into();
    }

    /// Gathers what a page draws.
    fn live<'a>(&'a self, table: &'a OpenTable, every: Duration) -> Live<'a> {
        let fleet = &self.fleet;
        let mut leases_by_state = BTreeMap::new();
        for lease in &fleet.leases {
            *leases_by_state.entry(lease.state).or_default() += 1;
        }
        let mut workers_by_life = BTreeMap::new();
        for worker in &fleet.workers {
            *workers_by_life.entry(worker.life).or_default() += 1;
        }
        let lag = match &self.lag {
            Ok(round) => LiveLag {
                figures: round.figures(),
                error: None,
                not_asked: round.of.as_ref().err().map(String::as_str),
                stream: round.of.as_ref().ok().map(|of| of.name.to_string()),
                measured_at: Some(round.at.as_millis()),
                asked: round.of.is_ok().then_some(round.asked),
            },
            Err(why) => LiveLag {
                error: Some(why),
                ..LiveLag::default()
            },
        };
        let waits = fleet.leases.iter().filter(|it| it.waits_for.is_some());
        let mut workers: Vec<&WorkerView> = fleet.workers.iter().collect();
        // Stable, and they are by name.
        workers.sort_by_key(|worker| Reverse(worker.life));
        workers.truncate(WORKERS);
        Live {
            application: &table.application,
            lease_table: table.place.to_string(),
            looked_at: self.looked_at.as_millis(),
            look_seconds: self.took.as_secs_f64(),
            every_seconds: every.as_secs_f64(),
            error: self.error.as_deref(),
            judged: fleet.judged,
            workers_by_life,
            workers,
            leases: fleet.leases.len(),
            leases_by_state,
            waiting_for_parents: waits.count(),
            stuck: fleet.stuck().count(),
            malformed: fleet.malformed.len(),
            led_by: fleet.led_by.as_deref(),
            problems: problems(&self.findings),
            findings: self.findings.len(),
            first_findings: self.findings.iter().take(FINDINGS).collect(),
            lag,
            wanted: &self.wanted,
            sample: self.history.latest(),
            happened: self.history.newest(HAPPENINGS).collect(),
            totals: self.totals,
        }
    }

    /// How many findings there are of each level and kind.
    pub(super) fn findings_by_kind(&self) -> BTreeMap<(Level, &'static str), usize> {
        let mut counts = BTreeMap::new();
        for finding in self.findings.iter() {
            *counts
                .entry((finding.level, finding.kind.name()))
                .or_default() += 1;
        }
        counts
    }
}
