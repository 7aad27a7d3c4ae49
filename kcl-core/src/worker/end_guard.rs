//! What happens at the end of a run, however it ends: by itself, with an error, by a panic, or
//! because its future was dropped.
//!
//! Only a destructor runs in all of these cases. Without it, a caller of `shutdown` would wait for
//! ever for a worker that was dropped, and the gauges would go on to show leases that nobody holds.

use std::time::Duration;

use super::log::TARGET;
use super::report::{RunEnd, ShardReport, ShutdownReport, Stopped};
use super::status::{Phase, ShardStatus};
use super::worker::WorkerInner;

/// Notifies callers of [`Worker::shutdown`](super::Worker::shutdown) that the worker has ended,
/// even if the future of [`Worker::run`](super::Worker::run) was dropped. Made at the start of
/// `run`, on its stack; it borrows the worker, so it cannot outlive what it reports.
pub(super) struct EndGuard<'a> {
    /// It outlives the run: the status can still be read afterwards.
    pub(super) inner: &'a WorkerInner,
    /// `None` until `run` has ended by itself. If it is still `None` when the guard is dropped, the
    /// run was dropped, and the report is made from what the registry shows: every shard abandoned,
    /// at its stored checkpoint.
    pub(super) report: Option<ShutdownReport>,
    /// The last phase of the worker: `Dropped`, until the run sets another.
    pub(super) phase: Phase,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let report = self.report.take().unwrap_or_else(|| {
            let given_up = |(key, status): (_, ShardStatus)| {
                self.inner.board.remove(&key);
                (
                    key,
                    ShardReport {
                        stopped: Stopped::Abandoned,
                        checkpoint: status.checkpoint,
                    },
                )
            };
            ShutdownReport {
                run: RunEnd::Dropped,
                shards: self
                    .inner
                    .board
                    .snapshot(self.inner.parts.clock.now())
                    .into_iter()
                    .map(given_up)
                    .collect(),
            }
        });
        let worker = &self.inner.parts.worker;
        self.inner.outlet.sum_up(true);
        match &self.phase {
            Phase::Failed(error) => {
                tracing::error!(target: TARGET, %worker, "the worker ended with an error: {error}");
            }
            Phase::Dropped => {
                tracing::warn!(target: TARGET, %worker, "the worker was dropped while running: \
                    its leases will expire");
            }
            _ => {
                tracing::info!(target: TARGET, %worker, "the worker has stopped: {report}");
            }
        }
        // The gauges of the shards are no longer updated.
        self.inner.meters.leases.set(0.0);
        self.inner.meters.table_failing.set(0.0);
        self.inner
            .meters
            .unread
            .iter()
            .for_each(|gauge| gauge.set(0.0));
        self.inner.tell_streams(|_| Duration::ZERO);
        self.inner
            .meters
            .budget
            .set(self.inner.parts.budget.used() as f64);
        self.inner.board.reach(std::mem::take(&mut self.phase));
        self.inner.report.send_replace(Some(report));
    }
}
