//! The one owner of everything that a running worker has. It makes no decision about leases: it
//! starts a consumer for each lease that the coordination has acquired, and passes causes and stops
//! on.
//!
//! ```text
//!   Worker::shutdown -- Stop, deadline --+
//!   coordination ------ Assigned, Failed +--> Root --> Tasks: one ShardConsumer per lease
//!   consumers --------- causes, Ended ---+     |
//!                                              +--> ShutdownReport, and the cause if there was one
//! ```
//!
//! Dropping the root is a crash, and is meant to be safe at any await: the consumers end at once,
//! the coordination thread ends, and the leases expire.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::Instrument;

use crate::decide::consumer::ConsumerOutcome;
use crate::model::{LeaseKey, Moment};
use crate::processor::LossReason;
use crate::runtime::{Tasks, within};
use crate::stop::WorkerStop;

use super::consumer::{Ended, ShardConsumer};
use super::coordination::{After, Assignment, Coordination, CoordinationGuard, ToRoot};
use super::error::RunError;
use super::event::Event;
use super::report::{ShardReport, ShutdownReport, Stopped};
use super::status::Phase;
use super::worker::WorkerInner;

/// How long the shards have when a worker stops by itself. The cause is known then and somebody
/// waits for it, but the other shards still deserve a last checkpoint.
const OWN_STOP: Duration = Duration::from_secs(30);
/// How long the coordination thread may take to end after its last lease. It may be in a call to
/// the table, which cannot be interrupted on its own thread. After this time the report is returned
/// without it.
const THREAD_END: Duration = Duration::from_secs(5);

/// The root of a running worker: owns the coordination thread and the consumers of the shards.
struct Root {
    inner: Arc<WorkerInner>,
    /// A handle, of which each consumer gets a clone.
    coordination: Coordination,
    /// Dropped with the root: the coordination thread ends, whatever the consumers are doing.
    leash: CoordinationGuard,
    /// What the coordination wants done: leases to consume, and causes to stop. It closes when the
    /// thread ends. Unbounded, because the coordination must never wait for the application's
    /// runtime: a handler may be blocking it.
    news: mpsc::UnboundedReceiver<ToRoot>,
    /// One task a lease. Dropping them ends all consumers at once, which is what makes a dropped
    /// `Worker::run` a crash.
    consumers: Tasks<(LeaseKey, Ended)>,
    /// Causes, from shard consumers, for the worker to stop. Sent immediately, because their
    /// handlers may take long to end.
    causes: (
        mpsc::UnboundedSender<RunError>,
        mpsc::UnboundedReceiver<RunError>,
    ),
    /// Once it is requested, the consumers give up their shards. A state rather than a message: a
    /// consumer that starts after the request sees it, too.
    stop: WorkerStop,
    /// By when the shards have to be given up, once the worker stops.
    stopping: Option<Moment>,
    /// Why the worker stops, if by itself. The first cause counts.
    cause: Option<RunError>,
    /// Filled in as the consumers end. Only shards that end during the stop are in it, that are
    /// left at its end, or that were read up to the bound.
    report: ShutdownReport,
}

/// Runs until the worker is told to stop or cannot continue. Returns what happened to the shards
/// and, in the latter case, the cause.
pub(crate) async fn run(inner: Arc<WorkerInner>) -> (ShutdownReport, Option<RunError>) {
    let (coordination, leash, news) = match Coordination::start(&inner) {
        Ok(started) => started,
        Err(cause) => return (ShutdownReport::default(), Some(cause)),
    };
    let root = Root {
        inner,
        coordination,
        leash,
        news,
        consumers: Tasks::new(),
        causes: mpsc::unbounded_channel(),
        stop: WorkerStop::default(),
        stopping: None,
        cause: None,
        report: ShutdownReport::default(),
    };
    root.work().await
}

impl Root {
    /// The loop of the worker. It ends when the coordination has ended and no consumer is left, or
    /// at the deadline of a stop.
    async fn work(mut self) -> (ShutdownReport, Option<RunError>) {
        let clock = Arc::clone(&self.inner.parts.clock);
        let mut asked = self.inner.stop.subscribe();
        let mut coordinated = true;
        let mut heard = false;
        // The thread ends with its last lease, while a handler may still be in its last call.
        while coordinated || !self.consumers.is_empty() {
            let deadline = self.stopping;
            // In this order: the user's stop, failures, ended consumers, news, the deadline. A
            // consumer tells of its failure before it ends: its shard belongs in the report.
            tokio::select! {
                biased;
                stop = asked.wait_for(Option::is_some), if !heard => {
                    heard = true;
                    let until = stop.ok().and_then(|stop| stop.map(|(_, until)| until));
                    self.stop(until.unwrap_or_else(|| clock.now() + OWN_STOP));
                }
                Some(cause) = self.causes.1.recv() => self.fail(cause),
                Some(ended) = self.consumers.next() => self.on_ended(ended),
                news = self.news.recv(), if coordinated => match news {
                    Some(news) => self.on_news(news),
                    // Expected during a stop, otherwise a bug.
                    None if self.stopping.is_none() => break,
                    None => coordinated = false,
                },
                () = clock.sleep_until(deadline.unwrap_or_default()), if deadline.is_some() => break,
            }
        }
        self.finish().await
    }

    /// Begins the stop, or moves its deadline to an earlier time. A deadline never moves back, so a
    /// caller can rely on the one that it gave.
    ///
    /// The coordination drains at the same moment: it takes no lease any more, but keeps renewing
    /// those that the consumers are giving up.
    fn stop(&mut self, until: Moment) {
        let now = self.inner.parts.clock.now();
        if let Some(before) = self.stopping {
            // The user's deadline may be earlier than the worker's own.
            self.stopping = Some(before.min(until));
            self.stop.ask(now, until);
            return;
        }
        self.stopping = Some(until);
        self.inner.board.reach(Phase::Stopping);
        self.inner.outlet.say(Event::Stopping);
        self.leash.drain();
        self.stop.ask(now, until);
    }

    /// Stops because of a cause. A stop that is under way gets the cause, too: the caller of `run`
    /// hears of it although it has asked for the stop itself.
    fn fail(&mut self, cause: RunError) {
        // The first cause explains the others.
        self.cause.get_or_insert(cause);
        self.stop(self.inner.parts.clock.now() + OWN_STOP);
    }

    /// What the coordination wants. That it has read everything up to the bound is a stop without a
    /// cause.
    fn on_news(&mut self, news: ToRoot) {
        match news {
            ToRoot::Failed(cause) => self.fail(cause),
            ToRoot::Read => self.stop(self.inner.parts.clock.now() + OWN_STOP),
            ToRoot::Assigned(assignment) => self.start(*assignment),
        }
    }

    /// Starts a consumer, in a span that names its stream and shard in every log line.
    fn start(&mut self, assignment: Assignment) {
        let key = assignment.row.key.clone();
        let parts = &self.inner.parts;
        let span = tracing::info_span!("shard", stream = %assignment.stream.name, shard = %key.shard, worker = %parts.worker);
        let consumer = ShardConsumer::new(
            Arc::clone(&self.inner),
            self.coordination.clone(),
            assignment,
            self.stop.clone(),
            self.causes.0.clone(),
        );
        self.consumers
            .start(async move { (key, consumer.run().await) }.instrument(span));
    }

    /// Notes the end of a consumer, and tells the coordination whether this worker may take the
    /// lease again at once. After a loss, or if the shard could not be read, it waits: otherwise a
    /// shard that kills its reader would go round in this process without a pause.
    fn on_ended(&mut self, ended: Result<(LeaseKey, Ended), String>) {
        let (key, ended) = match ended {
            Ok(ended) => ended,
            // Panics of handlers are caught where they are called, so this is a panic of this
            // crate.
            Err(panic) => {
                return self.fail(RunError::Internal(format!(
                    "a shard consumer panicked: {panic}"
                )));
            }
        };
        self.inner.board.remove(&key);
        let after = match &ended {
            ended if ended.read => After::Read,
            ended if ended.cooled_down() => After::CoolDown,
            _ => After::Nothing,
        };
        self.coordination.consumer_ended(key.clone(), after);
        if self.stopping.is_some() || ended.read {
            let stopped = match (&ended.outcome, ended.handed_out) {
                (
                    ConsumerOutcome::Lost(
                        LossReason::Lost(_) | LossReason::NoProgress | LossReason::Unreadable(_),
                    ),
                    _,
                ) => Stopped::Abandoned,
                (ConsumerOutcome::Released, true) => Stopped::Drained,
                _ => Stopped::Released,
            };
            self.report.shards.insert(
                key,
                ShardReport {
                    stopped,
                    checkpoint: ended.checkpoint,
                },
            );
        }
    }

    /// Ends what is left, and returns the report. Shards that are still registered had no time to
    /// end. They are reported as abandoned, with the checkpoint that is stored, which is where
    /// their next owner starts.
    async fn finish(mut self) -> (ShutdownReport, Option<RunError>) {
        for (key, status) in self.inner.board.snapshot(self.inner.parts.clock.now()) {
            let report = ShardReport {
                stopped: Stopped::Abandoned,
                checkpoint: status.checkpoint,
            };
            self.inner.board.remove(&key);
            self.report.shards.entry(key).or_insert(report);
        }
        if self.stopping.is_none() {
            // The thread was not asked to end.
            let defect =
                RunError::Internal("the coordination thread ended unexpectedly".to_owned());
            return (self.report, Some(self.cause.unwrap_or(defect)));
        }
        let clock = Arc::clone(&self.inner.parts.clock);
        // The last messages that were not received yet.
        while let Ok(cause) = self.causes.1.try_recv() {
            self.cause.get_or_insert(cause);
        }
        // The leases of consumers that are dropped here expire. This does not wait for a handler
        // that blocks its thread.
        drop(self.consumers);
        drop(self.leash);
        let news = &mut self.news;
        within(&*clock, THREAD_END, async {
            while news.recv().await.is_some() {}
        })
        .await;
        (self.report, self.cause)
    }
}
