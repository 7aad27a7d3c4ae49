//! How the commands come by a fleet, and what they say of it in the same way.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::admin::{FleetView, LeaseState, LeaseView, Life, Observer, WorkerView};

use crate::arguments::WatchArguments;
use crate::failure::Failure;
use crate::say::{Paint, Progress, span};
use crate::table_at::OpenTable;

/// How long to watch where nothing was said of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// For as long.
    For(Duration),
    /// Until it is known of each worker whether it is alive.
    UntilJudged,
}

impl Patience {
    /// The table is read once.
    pub(super) const NONE: Self = Self::For(Duration::ZERO);

    /// What the command line says, or this where it says nothing.
    pub(super) fn or(self, arguments: &WatchArguments) -> Self {
        match arguments.watch_for {
            _ if arguments.judge => Self::UntilJudged,
            Some(span) => Self::For(span),
            None => self,
        }
    }
}

/// The fleet, after it was watched; a failure where there is nothing of it in the table.
pub(super) async fn found(table: &OpenTable, patience: Patience) -> Result<FleetView, Failure> {
    let fleet = watched(table, patience).await?;
    if is_empty(&fleet) {
        return Err(Failure::of(table.nothing_found().await));
    }
    Ok(fleet)
}

/// The fleet, after it was watched.
pub(super) async fn watched(table: &OpenTable, patience: Patience) -> Result<FleetView, Failure> {
    let mut observer = Observer::new(Arc::clone(&table.table));
    let failed = |error| table.failed(error);
    let first = observer.look().await.map_err(failed)?;
    let limit = match patience {
        Patience::For(Duration::ZERO) => return Ok(first),
        Patience::For(span) => span,
        Patience::UntilJudged => observer.long_enough(),
    };
    let progress = Progress::new("watching who is alive", first.workers.len());
    observer
        .go_on_watching(limit, |watching| {
            progress.at(watching.judged, watching.workers);
        })
        .await
        .map_err(failed)
}

/// Whether there is nothing of the application in the table.
pub(super) fn is_empty(fleet: &FleetView) -> bool {
    fleet.leases.is_empty() && fleet.workers.is_empty() && fleet.malformed.is_empty()
}

pub(super) fn life(paint: Paint, worker: &WorkerView) -> String {
    let text = worker.life.to_string();
    match worker.life {
        Life::Alive => paint.good(&text),
        Life::Dead => paint.bad(&text),
        _ => paint.doubtful(&text),
    }
}

pub(super) fn state(paint: Paint, lease: &LeaseView) -> String {
    let text = lease.state.to_string();
    match lease.state {
        LeaseState::Held => paint.good(&text),
        LeaseState::Ended => paint.dim(&text),
        LeaseState::Free | LeaseState::Expired => paint.bad(&text),
        _ => paint.doubtful(&text),
    }
}

/// What was not judged, and how it can be.
pub(super) fn hint(fleet: &FleetView, command: &str) -> Option<String> {
    let unknown = fleet
        .workers
        .iter()
        .filter(|worker| worker.life == Life::Unknown);
    let longest = unknown.clone().map(|worker| worker.dead_after).max()?;
    let many = unknown.count();
    let them = if many == 1 {
        "1 worker has".to_owned()
    } else {
        format!("{many} workers have")
    };
    Some(format!(
        "{them} written nothing in {}, which is too short to call anybody dead: `{command} \
         --judge` watches for up to {}.",
        span(fleet.watched),
        span(longest)
    ))
}
