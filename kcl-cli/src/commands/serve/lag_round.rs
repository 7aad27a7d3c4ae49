//! How far behind the leases are, again and again: what their holders say, and for the others what
//! the stream says.
//!
//! A lag alone does not tell whether more workers would help. So two measurements that are a while
//! apart give each lease a speed: how many seconds of the stream it gets through in a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::admin::{Asked, FleetView, LeaseLag, LeaseView, StreamView};
use kcl_core::model::{LeaseKey, Moment, Timestamp};
use kcl_core::{Clock as _, SystemClock};
use serde::Serialize;
use tokio::sync::watch;

use super::scale::Pace;
use super::snapshot::Snapshot;
use crate::arguments::StreamOfArguments;
use crate::commands::lag::sort;
use crate::commands::lags::{AskOf, divided, with_measured};
use crate::commands::of_stream::{OfStream, stream_of};
use crate::failure::Failure;
use crate::table_at::OpenTable;

/// A speed is measured over at least this long, so that a checkpoint a minute is not one jump.
const WINDOW: Duration = Duration::from_secs(60);
/// How long the first measurement waits for the heartbeats of the workers: by default they come every
/// 3.3 s.
const HEARTBEATS: Duration = Duration::from_secs(5);
/// Why there is no stream.
const NOT_ASKED: &str = "the stream is not asked (--no-lag)";
/// The first speed is known after this long.
const FIRST: Duration = Duration::from_secs(10);

/// How far behind the leases were at the last measurement.
#[derive(Clone, Debug)]
pub(super) struct LagRound {
    /// The stream, with its shards, or why it was not asked.
    pub(super) of: Result<OfStream, String>,
    /// The furthest behind first.
    pub(super) lags: Vec<LeaseLag>,
    /// Of each lease whose lag is known: what it is, and how fast it falls.
    pub(super) paces: BTreeMap<LeaseKey, Pace>,
    /// What this round asked of the stream.
    pub(super) asked: Asked,
    /// When it was measured. It tells one round from another.
    pub(super) at: Timestamp,
}

/// The lag in a few figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct LagFigures {
    /// The lag of the lease that is furthest behind; None if none is known.
    pub(super) max_behind_seconds: Option<f64>,
    /// The lag of the lease in the middle: it tells one shard with a problem from a fleet that is
    /// too small.
    pub(super) median_behind_seconds: Option<f64>,
    /// The leases of which nobody says it.
    pub(super) unknown: usize,
    /// How many seconds of the stream the lease that is furthest behind gets through in a second.
    pub(super) speed: Option<f64>,
}

/// Why the lag is not known, or what it is. Shared between the asker and the observer.
pub(super) type LagState = Result<Arc<LagRound>, String>;

/// Measures the lag of an application again and again, as often as it is told, and asks the stream
/// never more than half of the time.
///
/// It is a task of its own, because a stream that is slow must not delay the looks at the table.
pub(super) struct LagAsker {
    /// Whose leases are asked about.
    pub(super) table: Arc<OpenTable>,
    /// Which stream, if the leases do not name it.
    pub(super) stream: StreamOfArguments,
    /// The pause between two rounds, at least.
    pub(super) every: Duration,
    /// Of which leases the stream is asked; nothing if it is not to be asked at all.
    pub(super) ask: Option<AskOf>,
    /// The leases, as the observer last saw them: the table is not read here.
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where each round is published.
    pub(super) tell: watch::Sender<LagState>,
}

impl LagRound {
    /// The round in a few figures.
    ///
    /// A lease that cannot be asked does not count as far behind here; it counts as unknown, which
    /// an alert can use as well.
    pub(super) fn figures(&self) -> LagFigures {
        let mut known: Vec<Duration> = self.lags.iter().filter_map(|lag| lag.behind).collect();
        known.sort_unstable();
        let seconds = |span: &Duration| span.as_secs_f64();
        let worst = self.lags.iter().find(|lag| lag.behind.is_some());
        LagFigures {
            max_behind_seconds: known.last().map(seconds),
            median_behind_seconds: known.get(known.len() / 2).map(seconds),
            unknown: self.lags.len() - known.len(),
            speed: worst
                .and_then(|lag| self.paces.get(&lag.lease))
                .and_then(|pace| pace.speed),
        }
    }
}

impl LagAsker {
    /// Measures until it is dropped. A failure is published in place of a lag, and tried again at the
    /// same pace.
    pub(super) async fn run(mut self) {
        self.first_heartbeats().await;
        let mut speeds = Speeds::default();
        let mut of = None;
        loop {
            let begun = SystemClock.now();
            let state = self.round(&mut of, &mut speeds).await.map(Arc::new);
            self.tell.send_modify(|told| *told = state);
            let now = SystemClock.now();
            let pause = self.every.max(now.since(begun));
            SystemClock.sleep_until(now + pause).await;
        }
    }

    /// Waits until the workers have been seen to be alive, but not for long: before that, what they
    /// say may be of any age, and the stream would be asked about all leases.
    async fn first_heartbeats(&mut self) {
        let says = |it: &LeaseView| it.lag.is_some();
        let end = SystemClock.now() + HEARTBEATS;
        loop {
            let fleet = Arc::clone(&self.snapshots.borrow_and_update().fleet);
            if fleet.judged || !fleet.leases.iter().any(says) {
                return;
            }
            tokio::select! {
                biased;
                () = SystemClock.sleep_until(end) => return,
                changed = self.snapshots.changed() => if changed.is_err() { return },
            }
        }
    }

    /// One round: each unfinished lease of the stream once.
    ///
    /// # Errors
    /// No holder says anything, and the stream is not asked or cannot be opened or listed. A shard
    /// that cannot be asked is a lease without a lag.
    async fn round(
        &self,
        of: &mut Option<OfStream>,
        speeds: &mut Speeds,
    ) -> Result<LagRound, String> {
        let fleet = Arc::clone(&self.snapshots.borrow().fleet);
        let stream = match self.ask {
            None => Err(NOT_ASKED.to_owned()),
            Some(ask) => {
                let stream = self.stream(of, &fleet).await;
                stream
                    .map(|of| (of, ask))
                    .map_err(|failure| failure.chain())
            }
        };
        let (mut lags, asked) = match &stream {
            Ok((of, ask)) => with_measured(of, divided(&fleet, Some(of), *ask), |_| {}).await,
            Err(why) => (said(&fleet).ok_or_else(|| why.clone())?, Asked::default()),
        };
        let of = stream.map(|(of, _)| of);
        let known = |lag: &LeaseLag| Some((lag.lease.clone(), lag.behind?));
        let mut paces = speeds.measured(lags.iter().filter_map(known).collect(), SystemClock.now());
        for lag in lags.iter().filter(|lag| lag.at_most) {
            if let Some(pace) = paces.get_mut(&lag.lease) {
                pace.at_most = true;
            }
        }
        sort(&mut lags);
        Ok(LagRound {
            of,
            lags,
            paces,
            asked,
            at: SystemClock.wall(),
        })
    }

    /// The stream, opened once, with its shards as they are now.
    ///
    /// The shards are listed anew in each round: a reshard shows as soon as it has happened.
    async fn stream(
        &self,
        known: &mut Option<OfStream>,
        fleet: &FleetView,
    ) -> Result<OfStream, Failure> {
        let now = match known.take() {
            None => stream_of(&self.table, fleet, &self.stream).await?,
            // It is forgotten if it fails: the leases may be of another stream by now.
            Some(of) => OfStream {
                view: StreamView::read(&*of.stream)
                    .await
                    .map_err(|error| crate::stream_at::failed(&of.name, error))?,
                ..of
            },
        };
        *known = Some(now.clone());
        Ok(now)
    }
}

/// What the holders say, where the stream is not asked. Nothing if none of them says anything. Leases
/// that wait for a parent are left out, as nobody says how far behind they are.
fn said(fleet: &FleetView) -> Option<Vec<LeaseLag>> {
    let (mut lags, rest) = divided(fleet, None, AskOf::Unsaid);
    if lags.is_empty() {
        return None;
    }
    let readable = rest.into_iter().filter(|view| view.waits_for.is_none());
    lags.extend(readable.map(|view| LeaseLag::unknown(view.lease.key.clone(), None)));
    Some(lags)
}

/// How fast leases get through the stream, by two measurements that are a while apart.
#[derive(Debug, Default)]
struct Speeds {
    /// From one to two windows ago.
    older: Option<Measured>,
    /// Less than a window ago; it becomes the older one.
    newer: Option<Measured>,
}

/// The lags of one round that is kept.
#[derive(Debug)]
struct Measured {
    at: Moment,
    behind: BTreeMap<LeaseKey, Duration>,
}

impl Speeds {
    /// The pace of each lease, by this round and an earlier one.
    fn measured(
        &mut self,
        behind: BTreeMap<LeaseKey, Duration>,
        now: Moment,
    ) -> BTreeMap<LeaseKey, Pace> {
        let paces = behind
            .iter()
            .map(|(key, behind)| {
                let behind = *behind;
                let speed = self.speed(key, behind, now);
                let pace = Pace {
                    behind,
                    at_most: false,
                    speed,
                };
                (key.clone(), pace)
            })
            .collect();
        let is_due = |it: &Measured| now.since(it.at) >= WINDOW;
        if self.newer.as_ref().is_none_or(is_due) {
            let before = self.newer.replace(Measured { at: now, behind });
            self.older = before.or_else(|| self.older.take());
        }
        paces
    }

    /// A lag that stays the same is a speed of 1; one that grows by a second a second, of 0.
    ///
    /// None until there is a measurement that is at least ten seconds old.
    fn speed(&self, key: &LeaseKey, behind: Duration, now: Moment) -> Option<f64> {
        let known = [&self.older, &self.newer];
        let (span, before) = known.into_iter().flatten().find_map(|it| {
            let span = now.since(it.at);
            Some((span, *it.behind.get(key)?)).filter(|_| span >= FIRST)
        })?;
        let grown = behind.as_secs_f64() - before.as_secs_f64();
        Some((1.0 - grown / span.as_secs_f64()).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_speed_is_that_of_a_minute_or_two() {
        let mut speeds = Speeds::default();
        let mut speed = |behind, now| {
            let key = LeaseKey::single("0");
            let behind = BTreeMap::from([(key.clone(), Duration::from_secs(behind))]);
            speeds.measured(behind, at(now))[&key].speed
        };
        assert_eq!(speed(100, 0), None);
        assert_eq!(speed(105, 5), None, "too short to tell");
        // It stands still: the lag grows as the time passes.
        assert_eq!(speed(120, 20), Some(0.0));
        assert_eq!(speed(160, 60), Some(0.0));
        // It catches up: from 100 at 0 s to 40 at 80 s.
        assert_eq!(speed(40, 80), Some(1.75));
        // The first measurement is forgotten, the one at 60 s counts.
        assert_eq!(speed(160, 120), Some(1.0 - 60.0 / 120.0));
        assert_eq!(speed(160, 160), Some(1.0));
    }
}
