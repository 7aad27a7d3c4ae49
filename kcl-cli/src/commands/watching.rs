//! How a command comes by a view of the fleet, and what all of them say about it in the same words.
//!
//! `status`, `leases`, `workers`, `check`, `cost` and `lag` differ only in how long they watch
//! before they judge: [`Patience`] is the default of each, and `--watch-for` and `--judge` override
//! it.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::admin::{
    FleetView, LeaseState, LeaseView, Life, Observer, PublishedLag, STUCK_AFTER, WorkerView,
};

use crate::arguments::WatchArguments;
use crate::failure::Failure;
use crate::say::{Paint, Progress, count, span};
use crate::table_at::OpenTable;

/// How long a command watches if the command line does not say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// For at most this long, or until every worker is judged.
    For(Duration),
    /// Until each worker that says how far behind its leases are has sent its next heartbeat, but for
    /// no longer than one that lives takes for it: a third of its failover time, and some room. If no
    /// worker says that, the table is read once.
    NextHeartbeats,
    /// Until it is known of every worker whether it is alive. If one is dead, that takes as long as
    /// the other workers need to find it out.
    UntilJudged,
}

impl Patience {
    /// Reads the table once. That shows who holds what, but of nobody whether it is alive.
    pub(super) const NONE: Self = Self::For(Duration::ZERO);

    /// What the command line says, or this if it says nothing. Clap has refused both options
    /// together.
    pub(super) fn or(self, arguments: &WatchArguments) -> Self {
        match arguments.watch_for {
            _ if arguments.judge => Self::UntilJudged,
            Some(span) => Self::For(span),
            None => self,
        }
    }
}

/// The fleet after it was watched, for commands that have nothing to say about an empty table.
///
/// # Errors
/// The table cannot be read, or has no row of this application ([`OpenTable::nothing_found`]).
pub(super) async fn found(table: &OpenTable, patience: Patience) -> Result<FleetView, Failure> {
    found_judged(table, patience, STUCK_AFTER).await
}

/// The same, with another time from which on a lease that stands still counts as stuck.
pub(super) async fn found_judged(
    table: &OpenTable,
    patience: Patience,
    stuck_after: Duration,
) -> Result<FleetView, Failure> {
    let fleet = watched(table, patience, stuck_after).await?;
    if is_empty(&fleet) {
        return Err(Failure::of(table.nothing_found().await));
    }
    Ok(fleet)
}

/// The fleet after it was watched, even if the table is empty: `check` reports that as a finding.
///
/// With a limit of zero the first reading is the answer. Otherwise the table is scanned at the
/// beginning and at the end, and only the rows of workers that are not judged yet are read in
/// between.
///
/// # Errors
/// A call of the table has failed.
///
/// A progress bar on standard error shows how many workers are judged.
pub(super) async fn watched(
    table: &OpenTable,
    patience: Patience,
    stuck_after: Duration,
) -> Result<FleetView, Failure> {
    let mut observer = Observer::new(Arc::clone(&table.table)).stuck_after(stuck_after);
    let failed = |error| table.failed(error);
    let first = observer.look().await.map_err(failed)?;
    let limit = match patience {
        Patience::For(Duration::ZERO) => return Ok(first),
        Patience::For(span) => span,
        Patience::NextHeartbeats => observer.next_heartbeats(),
        Patience::UntilJudged => observer.long_enough(),
    };
    let progress = Progress::new("judging the workers", first.workers.len());
    observer
        .go_on_watching(limit, |watching| {
            progress.at(watching.judged, watching.workers);
        })
        .await
        .map_err(failed)
}

/// Whether the table has no row at all of the application. A malformed row counts as one: the name
/// is right, and its leases need help.
pub(super) fn is_empty(fleet: &FleetView) -> bool {
    fleet.leases.is_empty() && fleet.workers.is_empty() && fleet.malformed.is_empty()
}

/// Whether a worker is alive, in the colour of its meaning. `not judged` is yellow, because it may
/// well be alive: it was not watched for long enough.
pub(super) fn life(paint: Paint, worker: &WorkerView) -> String {
    let text = if worker.draining {
        format!("{}, draining", worker.life)
    } else {
        worker.life.to_string()
    };
    match worker.life {
        Life::Alive if worker.draining => paint.doubtful(&text),
        Life::Alive => paint.good(&text),
        Life::Dead => paint.bad(&text),
        _ => paint.doubtful(&text),
    }
}

/// How far behind a lease is, as its holder says; empty where it says nothing.
pub(super) fn behind(lag: Option<&PublishedLag>) -> String {
    lag.and_then(|lag| Some(bounded(lag.behind?, lag.at_most)))
        .unwrap_or_default()
}

/// A lag that may be a bound.
pub(super) fn bounded(behind: Duration, at_most: bool) -> String {
    let prefix = if at_most { "at most " } else { "" };
    format!("{prefix}{}", span(behind))
}

/// The state of a lease, in the colour of its meaning. A free or expired lease is red, because
/// nobody reads its shard at this moment.
pub(super) fn state(paint: Paint, lease: &LeaseView) -> String {
    let text = lease.state.to_string();
    match lease.state {
        LeaseState::Held => paint.good(&text),
        LeaseState::Ended => paint.dim(&text),
        LeaseState::Free | LeaseState::Expired => paint.bad(&text),
        _ => paint.doubtful(&text),
    }
}

/// Says which workers were not judged and which command judges them, or nothing if all were.
///
/// Without this line, `not judged` reads like a fault of the fleet, although the observer was only
/// too impatient.
pub(super) fn hint(fleet: &FleetView, command: &str) -> Option<String> {
    let unknown = fleet
        .workers
        .iter()
        .filter(|worker| worker.life == Life::Unknown);
    let longest = unknown.clone().map(|worker| worker.dead_after).max()?;
    let many = unknown.count();
    let them = if many == 1 { "it" } else { "them" };
    Some(format!(
        "{} wrote nothing in {}, which is too short to call {them} dead: `{command} --judge` \
         watches for up to {}.",
        count(many, "worker", "workers"),
        span(fleet.watched),
        span(longest)
    ))
}
