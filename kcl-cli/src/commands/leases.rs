//! `leases`: every lease, or those that match.
//!
//! | state | who reads the shard |
//! |---|---|
//! | held | its holder |
//! | hand-over | still its holder, which finishes its batch before it lets go |
//! | handed over | nobody, until the requester claims it: normally for less than a second |
//! | free | nobody, until a worker takes it |
//! | expired | nobody, until a worker takes it: the holder has not kept it alive in time |
//! | ended | nobody, and nobody has to: all its records are done |
//!
//! A lease in `handed over`, `free` or `expired` for longer than a failover time is stuck, and the
//! note says why.

use clap::{Args, ValueEnum};
use kcl_core::admin::{FleetView, LeaseState, LeaseView};
use kcl_core::lease::MalformedRow;
use serde::Serialize;

use super::watching::{Patience, behind, found_judged, hint, state};
use crate::arguments::{OutputArguments, TableArguments, WatchArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint, TextTable};
use crate::table_at::OpenTable;

/// Lists the leases: who holds each of them, how far it is, and what it waits for.
///
/// The table is read once, unless --watch-for or --judge says otherwise.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl leases billing --lease-table dynamo
  kcl leases billing --state free
  kcl leases billing --holder worker-7
  kcl leases billing --stuck --judge")]
pub(crate) struct LeasesOptions {
    #[command(flatten)]
    table: TableArguments,
    /// Only leases in this state.
    #[arg(long, value_enum)]
    state: Option<WantedState>,
    /// Only leases that this worker holds.
    #[arg(long, value_name = "WORKER")]
    holder: Option<String>,
    /// Only leases that are stuck, with the reason. That a handler fails or hangs, or a shard cannot be
    /// read, is known at once, as the holder says it. Whether a holder is dead takes --judge to find
    /// out.
    #[arg(long)]
    stuck: bool,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// A [`LeaseState`] on the command line. It is a type of its own so that kcl-core does not depend
/// on clap. The comments of its variants are the help of `--state`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum WantedState {
    /// A worker holds it.
    Held,
    /// A worker holds it, and another one has requested it.
    HandOver,
    /// It was handed over to a worker that has not claimed it yet.
    HandedOver,
    /// No worker holds it.
    Free,
    /// An operator has paused it, and no worker holds it.
    Paused,
    /// Its holder has shown no life for so long that other workers may take it.
    Expired,
    /// Its shard is finished.
    Ended,
}

/// The JSON of `kcl leases`. Its leases have the fields of an export, so that one parser reads
/// both.
#[derive(Debug, Serialize)]
pub(super) struct LeasesDocument<'a> {
    application: &'a str,
    /// In the form of `--lease-table`, so that it can be copied into the next command.
    lease_table: String,
    /// How long the table was watched. After 0 s no lease is expired and no holder is dead, as far
    /// as this document knows.
    watched_seconds: f64,
    /// Those that match.
    leases: Vec<&'a LeaseView>,
    /// All of them: a row that cannot be read cannot be compared with a filter either.
    malformed: &'a [MalformedRow],
}

impl<'a> LeasesDocument<'a> {
    pub(super) fn new(
        table: &'a OpenTable,
        fleet: &'a FleetView,
        leases: Vec<&'a LeaseView>,
    ) -> Self {
        Self {
            application: &table.application,
            lease_table: table.place.to_string(),
            watched_seconds: fleet.watched.as_secs_f64(),
            leases,
            malformed: &fleet.malformed,
        }
    }
}

impl WantedState {
    /// Whether the state is this one. The match names every state, so a new one here is not
    /// forgotten.
    fn is(self, state: LeaseState) -> bool {
        state
            == match self {
                Self::Held => LeaseState::Held,
                Self::HandOver => LeaseState::HandOver,
                Self::HandedOver => LeaseState::HandedOver,
                Self::Free => LeaseState::Free,
                Self::Paused => LeaseState::Paused,
                Self::Expired => LeaseState::Expired,
                Self::Ended => LeaseState::Ended,
            }
    }
}

impl LeasesOptions {
    /// Reads, filters and prints. Nothing found is not exit code 1: an empty list may be good news.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found_judged(
            &table,
            Patience::NONE.or(&self.watch),
            self.watch.standstill.stuck_after,
        )
        .await?;
        let leases: Vec<&LeaseView> = fleet.leases.iter().filter(|it| self.wants(it)).collect();
        if self.output.json {
            Output::json(&LeasesDocument::new(&table, &fleet, leases))?;
            return Ok(Ended::Well);
        }
        let mut out = Output::default();
        self.say(&mut out, &fleet, &leases);
        out.write()?;
        Ok(Ended::Well)
    }

    /// Whether the lease matches every filter that was given.
    fn wants(&self, lease: &LeaseView) -> bool {
        let holder = lease.holder.as_ref().map(kcl_core::model::WorkerId::as_str);
        self.state.is_none_or(|state| state.is(lease.state))
            && (self.holder.is_none() || holder == self.holder.as_deref())
            && (!self.stuck || lease.stuck.is_some())
    }

    /// The list for people, then the malformed rows. With `--stuck` it also says if workers were
    /// not judged, because a lease of a dead worker is then missing from the list.
    fn say(&self, out: &mut Output, fleet: &FleetView, leases: &[&LeaseView]) {
        let paint = Paint::of_output();
        let head = ["LEASE", "STATE", "HOLDER", "BEHIND", "CHECKPOINT", "NOTE"];
        let mut table = TextTable::new(paint, head);
        for view in leases {
            table.row([
                view.lease.key.to_string(),
                state(paint, view),
                view.holder
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                behind(view.lag.as_ref()),
                view.lease.checkpoint.to_string(),
                note(view),
            ]);
        }
        if table.is_empty() {
            out.line("No lease matches.");
        } else {
            out.text(&table);
        }
        for row in &fleet.malformed {
            out.line(format_args!("{}: {row}", paint.bad("malformed")));
        }
        if self.stuck
            && let Some(hint) = hint(
                fleet,
                &format!("kcl leases {} --stuck", self.table.application),
            )
        {
            out.line("");
            out.line(hint);
        }
    }
}

/// What there is to say about a lease beside its state, the most urgent first: why it is stuck, who
/// waits for it, which parent it waits for, its prepared checkpoint, and the time at which its
/// shard begins to be read.
pub(super) fn note(view: &LeaseView) -> String {
    let stuck = view.stuck.as_ref().map(ToString::to_string);
    let awaited = view
        .awaited_by
        .as_ref()
        .map(|worker| format!("{worker} waits for it"));
    let waits = view
        .waits_for
        .as_ref()
        .map(|parent| format!("waits for {parent}"));
    let pending = view
        .lease
        .pending
        .as_ref()
        .map(|pending| format!("prepared checkpoint {}", pending.at));
    let start = view
        .lease
        .facts
        .start_at
        .map(|at| format!("begins at {at}"));
    let paused = view
        .lease
        .paused_at
        .filter(|_| view.state != LeaseState::Ended)
        .map(|at| format!("paused at {at}"));
    let assigned = view
        .lease
        .assigned_to
        .as_ref()
        .filter(|_| view.state != LeaseState::Ended)
        .map(|to| format!("moves to {}", to.worker));
    let notes = [paused, assigned, stuck, awaited, waits, pending, start];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
