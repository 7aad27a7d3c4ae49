//! How far behind the leases are, asked again and again.
//!
//! A lag alone does not tell whether more workers would help. So two measurements that are a while
//! apart give each lease a speed: how many seconds of the stream it gets through in a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::admin::{Asked, FleetView, LeaseLag, StreamView};
use kcl_core::model::{LeaseKey, Moment, Timestamp};
use kcl_core::{Clock as _, SystemClock};
use serde::Serialize;
use tokio::sync::watch;

use super::scale::Pace;
use super::snapshot::Snapshot;
use crate::arguments::StreamOfArguments;
use crate::commands::lag::sort;
use crate::commands::of_stream::{OfStream, leases_of, measure, stream_of};
use crate::failure::Failure;
use crate::table_at::OpenTable;

/// A speed is measured over at least this long, so that a checkpoint a minute is not one jump.
const WINDOW: Duration = Duration::from_secs(60);
/// The first speed is known after this long.
const FIRST: Duration = Duration::from_secs(10);

/// What the stream said when it was last asked how far behind the leases are.
#[derive(Clone, Debug)]
pub(super) struct LagRound {
    /// The stream, with its shards.
    pub(super) of: OfStream,
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
    /// The leases that could not be asked.
    pub(super) unknown: usize,
    /// How many seconds of the stream the lease that is furthest behind gets through in a second.
    pub(super) speed: Option<f64>,
}

/// Why the lag is not known, or what it is. Shared between the asker and the observer.
pub(super) type LagState = Result<Arc<LagRound>, String>;

/// Asks the stream of an application again and again, as often as it is told and never more than
/// half of the time.
///
/// It is a task of its own, because a stream that is slow must not delay the looks at the table.
pub(super) struct LagAsker {
    /// Whose leases are asked about.
    pub(super) table: Arc<OpenTable>,
    /// Which stream, if the leases do not name it.
    pub(super) stream: StreamOfArguments,
    /// The pause between two rounds, at least.
    pub(super) every: Duration,
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
    /// Asks until it is dropped. A failure is published in place of a lag, and tried again at the
    /// same pace.
    pub(super) async fn run(self) {
        let mut speeds = Speeds::default();
        let mut of = None;
        loop {
            let begun = SystemClock.now();
            let round = self.round(&mut of, &mut speeds).await;
            let state = round.map(Arc::new).map_err(|failure| failure.chain());
            self.tell.send_modify(|told| *told = state);
            let now = SystemClock.now();
            let pause = self.every.max(now.since(begun));
            SystemClock.sleep_until(now + pause).await;
        }
    }

    /// One round: each unfinished lease of the stream once.
    ///
    /// # Errors
    /// The stream cannot be opened or listed. A shard that cannot be asked is a lease without a
    /// lag.
    async fn round(
        &self,
        of: &mut Option<OfStream>,
        speeds: &mut Speeds,
    ) -> Result<LagRound, Failure> {
        let fleet = Arc::clone(&self.snapshots.borrow().fleet);
        let of = self.stream(of, &fleet).await?;
        let (mut lags, asked) = measure(&of, &leases_of(&of, &fleet), |_| {}).await;
        let known = |lag: &LeaseLag| Some((lag.lease.clone(), lag.behind?));
        let paces = speeds.measured(lags.iter().filter_map(known).collect(), SystemClock.now());
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
                (key.clone(), Pace { behind, speed })
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
