//! What may be changed from the page, with `--allow-changes`: pauses, their ends, seeks, moves, and
//! drains of workers.
//!
//! ```text
//!   POST /api/change/APP --> guard: host, origin, token --> Changer of the application, one after the other
//! ```
//!
//! Each application has one [`Changer`], a task: a browser that is closed in the middle of a seek must
//! not leave the shards paused, and two changes of the same leases at a time would be neither.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use kcl_core::admin::{FleetView, SeekStep, SteerError, pause, plan_seek, resume, undrain};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::{Clock as _, InitialPosition, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::snapshot::Snapshot;
use crate::arguments::StreamOfArguments;
use crate::commands::chosen::{chosen, is_of_table, keys, names};
use crate::commands::draining::{NotDrained, begin_drain, leases_of as held_by};
use crate::commands::moving::Moving;
use crate::commands::of_stream::{leases_of, measure, stream_of};
use crate::commands::seeking::{NotSet, Seeking};
use crate::commands::watching::{Patience, found};
use crate::failure::Failure;
use crate::parse;
use crate::table_at::OpenTable;

/// How long workers may take to drain shards that are to be set: the default of `kcl seek --wait`.
const DRAIN: Duration = Duration::from_secs(60);
/// How many changes of an application may wait for one that is being made.
const WAITING: usize = 8;

/// What a drain has to say.
const OF_WORKER: &str = "expected `drain` and `undrain` with `worker`, and with neither `leases`, `all` nor `to`; \
                         and `worker` with nothing else";

/// What is asked for, as the page sends it. An unknown field is refused: a misspelt `dry_run` would
/// be a seek.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeWish {
    /// What to do.
    r#do: Deed,
    /// With which leases, as `kcl leases` shows them.
    #[serde(default)]
    leases: Vec<String>,
    /// With all that are not finished. It has to be said: an empty list is more likely a mistake.
    #[serde(default)]
    all: bool,
    /// Where they are read on, for a seek: trim-horizon, latest or at:TIME. For a move, the worker that
    /// is to have them.
    to: Option<String>,
    /// The worker that is drained, or takes leases again.
    worker: Option<String>,
    /// Allows a seek that skips records.
    #[serde(default)]
    skip: bool,
    /// Says what a seek would do, and does nothing.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Pause,
    Resume,
    Seek,
    Move,
    Drain,
    Undrain,
}

/// Why nothing was changed, or not everything.
pub(super) type Refusal = (StatusCode, String);

/// A wish, and where its answer goes.
type Order = (ChangeWish, oneshot::Sender<Result<Value, Refusal>>);

/// Where the changes of one application are asked for.
#[derive(Clone, Debug)]
pub(super) struct ChangeDesk(mpsc::Sender<Order>);

/// Makes the changes of one application.
pub(super) struct Changer {
    /// Where its leases are.
    table: Arc<OpenTable>,
    /// The fleet as it was last seen.
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Which stream, if the leases do not name it.
    stream: StreamOfArguments,
    /// True once the program ends: then a seek resumes what it has paused.
    ending: watch::Receiver<bool>,
    orders: mpsc::Receiver<Order>,
}

impl ChangeDesk {
    /// Has the change made, and returns what was done. If the caller goes away, it is made all the
    /// same.
    pub(super) async fn ask(&self, wish: ChangeWish) -> Result<Value, Refusal> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| {
            let why = "too many changes are waiting for one that is being made: try again later";
            (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        };
        self.0.try_send((wish, answer)).map_err(busy)?;
        let ended = (
            StatusCode::SERVICE_UNAVAILABLE,
            "this program is ending".to_owned(),
        );
        answered.await.unwrap_or(Err(ended))
    }
}

impl Changer {
    /// A changer of this table, and where it is asked.
    pub(super) fn new(
        table: Arc<OpenTable>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        stream: StreamOfArguments,
        ending: watch::Receiver<bool>,
    ) -> (ChangeDesk, Self) {
        let (desk, orders) = mpsc::channel(WAITING);
        let changer = Self {
            table,
            snapshots,
            stream,
            ending,
            orders,
        };
        (ChangeDesk(desk), changer)
    }

    /// Makes one change after the other until nobody can ask any more.
    pub(super) async fn run(mut self) {
        while let Some((wish, answer)) = self.orders.recv().await {
            let done = self.change(wish).await;
            // Whoever asked may have closed the page.
            let _ = answer.send(done);
        }
    }

    async fn change(&self, wish: ChangeWish) -> Result<Value, Refusal> {
        let is_of_worker = matches!(wish.r#do, Deed::Drain | Deed::Undrain);
        if wish.worker.is_some() != is_of_worker {
            return Err(bad(OF_WORKER));
        }
        if let Some(worker) = &wish.worker {
            if wish.all || !wish.leases.is_empty() || wish.to.is_some() {
                return Err(bad(OF_WORKER));
            }
            return self.drains(&worker.as_str().into(), wish.r#do).await;
        }
        if wish.all != wish.leases.is_empty() {
            let why = "expected either `leases`, a list of at least one, or `all`";
            return Err(bad(why));
        }
        if wish.to.is_some() != matches!(wish.r#do, Deed::Seek | Deed::Move) {
            return Err(bad(
                "expected `to` with `seek` and `move`, and with nothing else",
            ));
        }
        let fleet = found(&self.table, Patience::NONE)
            .await
            .map_err(|failure| failed(&failure))?;
        let chosen = chosen(&wish.leases, &fleet);
        let mut chosen = chosen.map_err(|failure| (StatusCode::NOT_FOUND, failure.chain()))?;
        let table = &*self.table.table;
        match wish.r#do {
            Deed::Pause => {
                let paused = keys(&chosen);
                let done = pause(table, &paused, SystemClock.wall()).await;
                done.map_err(refused)?;
                Ok(json!({ "paused": names(&paused) }))
            }
            Deed::Resume => {
                chosen.retain(Lease::is_paused);
                let resumed = keys(&chosen);
                resume(table, &resumed).await.map_err(refused)?;
                Ok(json!({ "resumed": names(&resumed) }))
            }
            Deed::Seek => self.seek(&fleet, chosen, &wish).await,
            Deed::Move => {
                let to = wish.to.as_deref().unwrap_or_default();
                self.moves(keys(&chosen), to.into()).await
            }
            Deed::Drain | Deed::Undrain => Err(bad(OF_WORKER)),
        }
    }

    /// Sets where leases are read on, or says what that would do.
    async fn seek(
        &self,
        fleet: &FleetView,
        chosen: Vec<Lease>,
        wish: &ChangeWish,
    ) -> Result<Value, Refusal> {
        let to = parse::position(wish.to.as_deref().unwrap_or_default());
        let to = to.map_err(|why| bad(format!("invalid `to`: {why}")))?;
        let steps = self.steps(fleet, &chosen, to).await?;
        let skips = steps.iter().filter(|step| step.effect.may_skip()).count();
        if !wish.dry_run {
            if skips > 0 && !wish.skip {
                let why = format!(
                    "records of {skips} leases would be skipped, or may be: `skip` allows it"
                );
                return Err((StatusCode::CONFLICT, why));
            }
            let seeking = Seeking {
                table: Arc::clone(&self.table.table),
                leases: chosen,
                to,
                wait: DRAIN,
            };
            let done = seeking.run(self.ends(), |_| {}).await;
            done.map_err(not_set)?;
        }
        Ok(json!({ "done": !wish.dry_run, "skips": skips, "leases": steps }))
    }

    /// Moves leases, as `kcl move` does: what the worker does not have in time is taken back.
    async fn moves(&self, leases: Vec<LeaseKey>, to: WorkerId) -> Result<Value, Refusal> {
        let moving = Moving {
            table: Arc::clone(&self.table.table),
            leases,
            to,
            wait: DRAIN,
        };
        let left = moving.run(self.ends(), |_| {}).await.map_err(refused)?;
        if left.is_empty() {
            return Ok(json!({ "moved": names(&moving.leases) }));
        }
        let why = format!(
            "{} does not have these after {} s, and their moves were taken back: {}",
            moving.to,
            DRAIN.as_secs(),
            names(&keys(&left)).join(", ")
        );
        Err((StatusCode::CONFLICT, why))
    }

    /// Begins to drain a worker, or ends that. A drain goes on by itself, and the page shows how far it
    /// is: it is not waited for, so that other changes can be made meanwhile.
    async fn drains(&self, worker: &WorkerId, what: Deed) -> Result<Value, Refusal> {
        if what == Deed::Undrain {
            undrain(&*self.table.table, worker).await.map_err(refused)?;
            return Ok(json!({ "worker": worker.as_str(), "draining": false }));
        }
        // The observer knows who lives, after its first moments: to watch anew would take seconds.
        let snapshot = Arc::clone(&*self.snapshots.borrow());
        let fleet = if snapshot.fleet.judged {
            Arc::clone(&snapshot.fleet)
        } else {
            let fleet = found(&self.table, Patience::UntilJudged).await;
            Arc::new(fleet.map_err(|failure| failed(&failure))?)
        };
        let begun = begin_drain(&self.table, &fleet, worker).await;
        begun.map_err(|why| match why {
            NotDrained::Fleet(why) => (StatusCode::CONFLICT, why),
            NotDrained::Steer(error) => refused(error),
        })?;
        let held = held_by(&fleet, worker);
        Ok(json!({ "worker": worker.as_str(), "draining": true, "held": held }))
    }

    /// Waits until the program ends.
    async fn ends(&self) {
        let mut ending = self.ending.clone();
        let _ = ending.wait_for(|ending| *ending).await;
    }

    /// What a seek would do to each of these leases, by what the stream says of them.
    async fn steps(
        &self,
        fleet: &FleetView,
        chosen: &[Lease],
        to: InitialPosition,
    ) -> Result<Vec<SeekStep>, Refusal> {
        let of = stream_of(&self.table, fleet, &self.stream)
            .await
            .map_err(|failure| failed(&failure))?;
        let mut asked = leases_of(&of, fleet);
        asked.retain(|lease| chosen.iter().any(|it| it.key == lease.key));
        let (lags, _) = measure(&of, &asked, |_| {}).await;
        Ok(plan_seek(chosen, &lags, to, SystemClock.wall()))
    }
}

fn bad(why: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, why.into())
}

/// The table or the stream did not answer.
fn failed(failure: &Failure) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, failure.chain())
}

/// The table refused, or failed.
fn refused(error: SteerError) -> Refusal {
    let status = match &error {
        error if is_of_table(error) => StatusCode::SERVICE_UNAVAILABLE,
        SteerError::Missing(_) | SteerError::NoWorker(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    (
        status,
        Failure::new("nothing more was changed", error).chain(),
    )
}

fn not_set(why: NotSet) -> Refusal {
    match why {
        NotSet::Refused(error) => refused(error),
        NotSet::Held(held) => {
            let why = format!(
                "no checkpoint was set: after {} s workers still hold {}",
                DRAIN.as_secs(),
                names(&keys(&held)).join(", ")
            );
            (StatusCode::CONFLICT, why)
        }
        NotSet::Stopped => {
            let why = "this program ended before every checkpoint was set";
            (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        }
    }
}
