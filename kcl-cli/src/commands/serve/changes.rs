//! What may be changed from the page, with `--allow-changes`: pauses, their ends, seeks and moves.
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
use kcl_core::admin::{SeekStep, SteerError, assign, moved, pause, plan_seek, resume, unassign};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::{Clock as _, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use crate::arguments::StreamOfArguments;
use crate::commands::chosen::{ChosenArguments, keys};
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
        stream: StreamOfArguments,
        ending: watch::Receiver<bool>,
    ) -> (ChangeDesk, Self) {
        let (desk, orders) = mpsc::channel(WAITING);
        let changer = Self {
            table,
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
        if wish.all != wish.leases.is_empty() {
            let why = "expected either `leases`, a list of at least one, or `all`";
            return Err(bad(why));
        }
        if wish.to.is_some() != matches!(wish.r#do, Deed::Seek | Deed::Move) {
            return Err(bad(
                "expected `to` with `seek` and `move`, and with nothing else",
            ));
        }
        let to = wish.to.as_deref().filter(|_| wish.r#do == Deed::Seek);
        let to = to.map(parse::position).transpose();
        let to = to.map_err(|why| bad(format!("invalid `to`: {why}")))?;
        let fleet = found(&self.table, Patience::NONE)
            .await
            .map_err(|failure| failed(&failure))?;
        let chosen = ChosenArguments::named(wish.leases).of(&fleet);
        let mut chosen = chosen.map_err(|failure| (StatusCode::NOT_FOUND, failure.chain()))?;
        let table = &*self.table.table;
        match (wish.r#do, to) {
            (Deed::Move, _) => {
                let to = WorkerId::from(wish.to.unwrap_or_default());
                self.moves(&keys(&chosen), &to).await
            }
            (Deed::Resume, _) => {
                chosen.retain(Lease::is_paused);
                let resumed = keys(&chosen);
                resume(table, &resumed).await.map_err(refused)?;
                Ok(json!({ "resumed": names(&resumed) }))
            }
            (Deed::Seek, Some(to)) => {
                let steps = self.steps(&chosen, to).await?;
                let skips = steps.iter().filter(|step| step.effect.may_skip()).count();
                if wish.dry_run {
                    return Ok(json!({ "done": false, "skips": skips, "leases": steps }));
                }
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
                let mut ending = self.ending.clone();
                let stopped = async {
                    let _ = ending.wait_for(|ending| *ending).await;
                };
                seeking.run(stopped, |_| {}).await.map_err(not_set)?;
                Ok(json!({ "done": true, "skips": skips, "leases": steps }))
            }
            _ => {
                let paused = keys(&chosen);
                pause(table, &paused, SystemClock.wall())
                    .await
                    .map_err(refused)?;
                Ok(json!({ "paused": names(&paused) }))
            }
        }
    }

    /// Moves leases, as `kcl move` does: what the worker does not have in time is taken back.
    async fn moves(&self, leases: &[LeaseKey], to: &WorkerId) -> Result<Value, Refusal> {
        let table = &*self.table.table;
        assign(table, leases, to).await.map_err(refused)?;
        let mut ending = self.ending.clone();
        let waited = tokio::select! {
            waited = moved(table, leases, to, DRAIN, &SystemClock, |_| {}) => waited,
            _ = ending.wait_for(|ending| *ending) => Ok(Vec::new()),
        };
        let not_yet = match waited {
            Ok(left) if !left.is_empty() => keys(&left),
            // The program ends, perhaps: what is not done is taken back then, too.
            _ => leases.to_vec(),
        };
        unassign(table, &not_yet).await.map_err(refused)?;
        let left = moved(table, &not_yet, to, Duration::ZERO, &SystemClock, |_| {}).await;
        let left = left.map_err(refused)?;
        if left.is_empty() {
            return Ok(json!({ "moved": names(leases) }));
        }
        let why = format!(
            "{to} does not have these after {} s, and their moves were taken back: {}",
            DRAIN.as_secs(),
            names(&keys(&left)).join(", ")
        );
        Err((StatusCode::CONFLICT, why))
    }

    /// What a seek would do to each of these leases, by what the stream says of them.
    async fn steps(
        &self,
        chosen: &[Lease],
        to: kcl_core::InitialPosition,
    ) -> Result<Vec<SeekStep>, Refusal> {
        let fleet = found(&self.table, Patience::NONE)
            .await
            .map_err(|failure| failed(&failure))?;
        let of = stream_of(&self.table, &fleet, &self.stream)
            .await
            .map_err(|failure| failed(&failure))?;
        let mut asked = leases_of(&of, &fleet);
        asked.retain(|lease| chosen.iter().any(|it| it.key == lease.key));
        let (lags, _) = measure(&of, &asked, |_| {}).await;
        Ok(plan_seek(chosen, &lags, to, SystemClock.wall()))
    }
}

fn names(keys: &[LeaseKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
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
        SteerError::Table { .. } => StatusCode::SERVICE_UNAVAILABLE,
        SteerError::Missing(_) => StatusCode::NOT_FOUND,
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
            let held: Vec<String> = held.iter().map(|lease| lease.key.to_string()).collect();
            let why = format!(
                "no checkpoint was set: after {} s workers still hold {}",
                DRAIN.as_secs(),
                held.join(", ")
            );
            (StatusCode::CONFLICT, why)
        }
        NotSet::Stopped => {
            let why = "this program ended before every checkpoint was set";
            (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        }
    }
}
