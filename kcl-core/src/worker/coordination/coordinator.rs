use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::BoxError;
use crate::decide::backoff::Backoff;
use crate::decide::fleet::{DueStep, Engine, FleetSettings};
use crate::lease::{Changed, with_causes};
use crate::model::{LeaseKey, Moment, StreamName, Token};
use crate::runtime::{Tasks, jitter, pause, within};
use crate::tenancy::held::Orders;
use crate::tenancy::writer::{FromWriter, TenancyEnd};
use crate::watermark::Watermark;
use crate::worker::error::RunError;
use crate::worker::event::Event;
use crate::worker::reporter;
use crate::worker::worker::WorkerInner;

use super::context::{Audited, Context};
use super::error::CoordinationError;
use super::heartbeat::Heartbeat;
use super::link::{Request, ToRoot, WantedPhase};
use super::signal::{self, Announcer, ChangeNotice};

mod auditing;
mod execute;
mod finish;
mod job_result;
mod observe;
mod results;
mod tenancies;

use job_result::JobResult;

/// The loop of the coordination: sees what others do, decides what concerns this worker, and keeps
/// the writers of its leases.
///
/// Whatever waits for the table or the stream (scans, takes, requests, listings, the creation of
/// leases) runs in jobs beside it. A worker that waited for a slow scan would hear too late that a
/// lease of its own is requested, and would give its leases up too late at a stop.
pub(super) struct Coordinator {
    /// The worker, and its calls. Every job has a share of it.
    context: Arc<Context>,
    /// To the root. Unbounded, because the loop must not wait for a root that is busy; there is at
    /// most one message a lease that is acquired.
    news: mpsc::UnboundedSender<ToRoot>,
    /// From the root and the consumers. That it is closed shows that the root is gone.
    requests: mpsc::UnboundedReceiver<Request>,
    /// Whether leases are to be taken, or given up.
    wanted: WantedPhase,
    /// One writer for each held lease: nothing else writes to it. Each ends with what became of its
    /// lease, and with the token of the tenancy, as another one may follow under the same key.
    writers: Tasks<(LeaseKey, Option<Token>, TenancyEnd)>,
    /// What writers have to say while they go on, both ends: each new writer gets a sender.
    notes: (
        mpsc::UnboundedSender<FromWriter>,
        mpsc::UnboundedReceiver<FromWriter>,
    ),
    /// The calls under way. None is ever dropped before its answer: a take that is given up halfway
    /// would leave a row that names a worker which does not read.
    jobs: Tasks<JobResult>,
    /// How many of them there are. A worker that stops waits for all of them, because each may still
    /// bring a lease.
    at_work: usize,
    /// What runs as long as the worker does: its heartbeat, and the reader of the change signal.
    services: Tasks<Result<(), RunError>>,
    /// Tells other workers of changes.
    announcer: Announcer,
    /// Sends what the announcer was told. It outlives the services, whose last words it sends.
    announcing: Tasks,
    /// Tells of what stands still, as long as there is a lease.
    #[expect(dead_code, reason = "held for its drop")]
    reporting: Tasks,
    /// What the reader of the change signal has heard, both ends: the reader starts only after the
    /// first audit.
    heard: (
        mpsc::UnboundedSender<ChangeNotice>,
        mpsc::UnboundedReceiver<ChangeNotice>,
    ),
    /// One task for each held lease whose shard has parents, until they are finished.
    gates: Tasks,
    /// What this worker knows of the fleet, and what it does next.
    engine: Engine,
    /// The way to the writer of each held lease. An entry lives as long as the writer does.
    orders: BTreeMap<LeaseKey, Orders>,
    /// What kept the worker from starting, as it was said last.
    not_started: Option<CoordinationError>,
    /// The changes of the streams that the first audit saw. A stream that is added while it runs
    /// must not be missed.
    streams_seen: u64,
    /// The root was told that the reading is done. It is told once, whatever later scans show.
    told_read: bool,
    /// Shards are being listed for subscriptions that have been quiet for long.
    listing: bool,
    /// Streams that are not known yet are being asked what they are.
    describing: bool,
    /// The worker has said that it has begun.
    started: bool,
    /// Counts the ends of shards that this worker has stored or heard of. The gates wait for it, and
    /// read the rows of their parents when it moves: so a child begins as soon as its parent is
    /// finished, not at the next scan.
    ends: Watermark,
    /// Reaches 1 when every lease is given up.
    gone: Watermark,
    /// How many leases were reported as left unread, so that the same state is reported once.
    left: usize,
}

/// A first attempt to reach the table or the stream that failed: 200 ms, doubled up to 5 s.
const BEGIN: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

impl Coordinator {
    /// It does nothing before it [runs](Self::run), besides what sends announcements and reports.
    pub(super) fn new(
        inner: Arc<WorkerInner>,
        news: mpsc::UnboundedSender<ToRoot>,
        requests: mpsc::UnboundedReceiver<Request>,
        wanted: WantedPhase,
    ) -> Self {
        let context = Arc::new(Context::new(inner, wanted.clone()));
        let settings = &context.inner.parts.settings;
        let engine = Engine::new(FleetSettings {
            me: context.me().clone(),
            timing: context.timing,
            max_leases: settings.max_leases,
            max_moves: settings.max_moves,
            capacity: context.inner.parts.capacity,
            audit_every: settings.audit_every,
            reading_ends: context.inner.bound().is_some(),
        });
        let (announcer, announce) = Announcer::new(Arc::clone(&context));
        let mut announcing = Tasks::new();
        announcing.start(announce);
        let mut reporting = Tasks::new();
        reporting.start(reporter::report(Arc::clone(&context.inner)));
        Self {
            context,
            news,
            requests,
            wanted,
            writers: Tasks::new(),
            notes: mpsc::unbounded_channel(),
            jobs: Tasks::new(),
            at_work: 0,
            services: Tasks::new(),
            announcer,
            announcing,
            reporting,
            heard: mpsc::unbounded_channel(),
            gates: Tasks::new(),
            engine,
            orders: BTreeMap::new(),
            not_started: None,
            streams_seen: 0,
            told_read: false,
            listing: false,
            describing: false,
            started: false,
            ends: Watermark::default(),
            gone: Watermark::default(),
            left: 0,
        }
    }

    /// Works until the root wants no more, or is gone.
    pub(super) async fn run(mut self) {
        let wanted = self.wanted.clone();
        let clock = Arc::clone(self.context.clock());
        let within = self.context.inner.parts.settings.start_within;
        let deadline = clock.now() + within.unwrap_or_default();
        let begun = tokio::select! {
            biased;
            // Only the end of the root ends this at once: a stop that comes while leases are being
            // made has to give them back.
            () = wanted.nothing() => return,
            // Dropped at the deadline. A creation that is cut off then may still land: its lease
            // expires like one of a worker that was killed.
            begun = self.begin() => begun,
            () = clock.sleep_until(deadline), if within.is_some() => {
                let source = self.not_started.take().map(BoxError::from);
                Err(RunError::NotStarted { within: within.unwrap_or_default(), source })
            }
        };
        match begun {
            Ok(()) => {}
            // Not a step further: the table may be another stream's.
            Err(cause) => {
                let _ = self.news.send(ToRoot::Failed(cause));
                // What was acquired up to here has to be given back, also by a worker that cannot
                // go on.
                return self.leave().await;
            }
        }
        if self.work().await {
            self.leave().await;
        }
    }

    /// The table, the stream and the first leases; tried until it works or cannot, or the worker is
    /// stopped.
    async fn begin(&mut self) -> Result<(), RunError> {
        let mut presence = Some(Heartbeat::new(
            Arc::clone(&self.context),
            self.announcer.clone(),
        ));
        let mut failures = 0;
        let context = Arc::clone(&self.context);
        let wanted = self.wanted.clone();
        while context.is_working() {
            let trouble = match self.first_audit(&mut presence).await {
                Ok(audited) => {
                    self.on_audited(audited);
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            let trouble = match trouble.fatal() {
                Ok(cause) => return Err(cause),
                Err(trouble) => trouble,
            };
            if context.is_working() {
                self.step_failed("to begin", &trouble);
            }
            self.not_started = Some(trouble);
            tokio::select! {
                biased;
                () = wanted.drain() => {}
                Some(ended) = self.services.next() => self.on_service(ended),
                () = pause(&**context.clock(), BEGIN.delay(failures, jitter())) => {}
            }
            failures += 1;
        }
        Ok(())
    }

    /// One attempt to begin, in an order that matters: the table and its streams are checked before
    /// anything is written to it, the signal is read before the rows, and the worker's row is made
    /// before its first lease. What has succeeded is not done again by the next attempt.
    async fn first_audit(
        &mut self,
        presence: &mut Option<Heartbeat>,
    ) -> Result<Audited, CoordinationError> {
        let context = Arc::clone(&self.context);
        context.client.setup().await?;
        context.check_rows().await?;
        // Before the first scan, or what is announced between the two would not be heard.
        let signal = context
            .client
            .read(context.client.table.change_signal())
            .await
            .ok()
            .flatten()
            .map(|signal| signal.value);
        // Before the first leases: workers that start together share them. From then on it shows
        // life, however long the rest takes.
        if let Some(joining) = presence {
            self.engine.former_left |= joining.join().await?;
        }
        if let Some(joined) = presence.take() {
            self.services
                .start(joined.keep(self.wanted.clone(), self.gone.clone()));
        }
        self.streams_seen = context.inner.parts.streams.changes.now();
        let audited = context.audit(self.engine.room(), BTreeSet::new()).await?;
        // Only now: a scan before the first audit would show an empty table, and the plan would
        // rest on that.
        self.engine.schedule.begins(context.clock().now());
        let (heard, listener) = (self.heard.0.clone(), Arc::clone(&context));
        self.services.start(async move {
            signal::listen(listener, signal, heard).await;
            Ok(())
        });
        Ok(audited)
    }

    /// The loop. Whether it ended gracefully: not when the root is gone.
    async fn work(&mut self) -> bool {
        let clock = Arc::clone(self.context.clock());
        let wanted = self.wanted.clone();
        let mut told = false;
        let streams = self.context.inner.parts.streams.changes.clone();
        let mut streams_seen = self.streams_seen;
        loop {
            let working = wanted.is_work();
            if !working && !told {
                told = true;
                self.stop_moving();
            }
            // Jobs too: one may bring a lease, which then has to be given back.
            if !working && self.engine.leases.held() == 0 && self.at_work == 0 {
                return true;
            }
            // A worker that drains plans nothing, so it need not wake by itself.
            let next = self.engine.next_wakeup(clock.now()).filter(|_| working);
            // In this order: the root's word, what has ended, what is asked for, what is heard, the
            // clock.
            tokio::select! {
                biased;
                () = wanted.nothing() => return false,
                () = wanted.drain(), if working => {}
                () = streams.reaches(streams_seen + 1), if working => {
                    streams_seen = streams.now();
                    self.on_streams_changed();
                }
                Some(ended) = self.writers.next() => self.on_tenancy(ended),
                Some(done) = self.jobs.next() => self.on_done(done),
                Some(note) = self.notes.1.recv() => self.on_note(note),
                request = self.requests.recv() => match request {
                    Some(request) => self.on_request(request),
                    None => return false,
                },
                Some(heard) = self.heard.1.recv() => self.on_heard(heard),
                Some(ended) = self.services.next() => self.on_service(ended),
                // The gate has told the consumer itself; the end of its task is of no interest.
                Some(_) = self.gates.next() => {}
                () = clock.sleep_until(next.unwrap_or_default()), if next.is_some() => self.on_time(clock.now()),
            }
        }
    }

    /// Streams were added or removed: the shards of the new ones are looked up now, those of the
    /// others given up.
    fn on_streams_changed(&mut self) {
        for (_, orders) in self
            .orders
            .iter()
            .filter(|(key, _)| !self.context.knows(key))
        {
            orders.give_up();
        }
        let now = self.context.clock().now();
        if self.engine.schedule.is_auditing() {
            // It may have begun before.
            self.engine.schedule.audit_at_once(now);
        } else {
            self.audit();
        }
    }

    /// The engine wanted to be woken. Takes come first: they were planned to the moment, and whoever
    /// is late finds the lease taken.
    fn on_time(&mut self, now: Moment) {
        self.take_due(now);
        match self.engine.due(now) {
            Some(DueStep::Scan) => self.look(now),
            Some(DueStep::Audit) => self.audit(),
            None => {}
        }
        self.glance_at_neighbour(now);
    }

    /// Starts a job, whose result comes to [`on_done`](Self::on_done).
    fn job(&mut self, job: impl Future<Output = JobResult> + Send + 'static) {
        self.at_work += 1;
        self.jobs.start(job);
    }

    /// Ends what runs beside the loop, after every lease is given up: the worker's row goes, and
    /// the last words are said.
    async fn leave(mut self) {
        self.context.stop_working();
        self.gone.raise(1);
        let clock = Arc::clone(self.context.clock());
        let limit = self.context.timing.call_limit * 2;
        let Self {
            services,
            announcer,
            announcing,
            heard,
            ..
        } = &mut self;
        // The listener ends when nobody hears it.
        heard.1.close();
        within(&*clock, limit, async {
            while services.next().await.is_some() {}
        })
        .await;
        *announcer = Announcer::silent();
        *services = Tasks::new();
        within(&*clock, limit, async {
            while announcing.next().await.is_some() {}
        })
        .await;
    }

    /// Something did not work: the worker stops if trying again does not help.
    fn trouble(&self, what: &'static str, trouble: CoordinationError) {
        if matches!(
            trouble,
            CoordinationError::Table(crate::lease::Error::Malformed(_))
        ) {
            // The row was told of when it was seen.
            return;
        }
        match trouble.fatal() {
            Ok(cause) => drop(self.news.send(ToRoot::Failed(cause))),
            Err(trouble) => self.step_failed(what, &trouble),
        }
    }

    /// A step failed in a way that passes. `what` completes the sentence "failed ...".
    fn step_failed(&self, what: &'static str, trouble: &CoordinationError) {
        self.context.inner.outlet.say(Event::StepFailed {
            what,
            stream: self.stream_of(trouble),
            error: with_causes(trouble).into(),
        });
    }

    /// The stream whose call failed, where there is only one that it can have been.
    fn stream_of(&self, trouble: &CoordinationError) -> Option<StreamName> {
        trouble.kind()?;
        match &*self.context.inner.parts.streams.all() {
            [of] => Some(of.name.clone()),
            _ => None,
        }
    }

    /// Tells other workers that this lease has changed, so that they read its row before their next
    /// scan.
    fn announce(&self, key: &LeaseKey) {
        self.announcer.say(Changed::Lease(key.clone()));
    }
}
