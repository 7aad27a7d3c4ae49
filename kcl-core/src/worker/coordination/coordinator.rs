use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use crate::decide::assignment::{Busy, Me, Tenancies, is_duplicated, plan};
use crate::decide::backoff::Backoff;
use crate::decide::expiry::Observations;
use crate::lease::Consistency;
use crate::lease::writer::{Limits, Tenancy, Writer};
use crate::level::Level;
use crate::model::{ChildShard, Lease, LeaseKey, Moment, Timestamp, Token};
use crate::runtime::{Tasks, jitter, pause};
use crate::stream::{ShardFilter, Stream};
use crate::worker::error::RunError;
use crate::worker::event::Event;
use crate::worker::worker::Inner;

use super::context::{Acquired, Context, Trouble};
use super::gate;
use super::link::{Assignment, News, Request, Wanted, Whereabouts};

/// The loop of the coordination: looks at the table, takes what is free, makes what is missing, and keeps the writers.
///
/// What takes long (listings, takes, the making of leases) runs in tasks beside it; the loop itself waits only for a look at the
/// table.
pub(super) struct Coordinator {
    context: Arc<Context>,
    news: mpsc::UnboundedSender<News>,
    requests: mpsc::UnboundedReceiver<Request>,
    wanted: Wanted,
    writers: Tasks<(LeaseKey, Option<Token>, Tenancy)>,
    jobs: Tasks<Done>,
    /// Jobs under way.
    at_work: usize,
    gates: Tasks,
    /// What this worker holds, takes, or still has a consumer of.
    busy: BTreeMap<LeaseKey, Engagement>,
    /// Not to be taken before then, and the span that led there.
    cool: BTreeMap<LeaseKey, (Moment, Duration)>,
    seen: Observations,
    rows: BTreeMap<LeaseKey, Lease>,
    next_look: Moment,
    next_audit: Moment,
    auditing: bool,
    looking: bool,
    /// Counts the ends of shards that this worker has stored.
    ends: Level,
    left: usize,
}

/// What this worker has to do with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Engagement {
    /// A writer keeps it.
    held: bool,
    /// A consumer works on it, or a handler of a former tenancy has not returned.
    consumed: bool,
}

/// What a job came to.
enum Done {
    Looked { begun: Moment, ended: Moment, rows: Result<Vec<Lease>, crate::lease::Error> },
    Audited(Result<Vec<Acquired>, Trouble>),
    StartTime(oneshot::Sender<Result<Timestamp, String>>, Result<Timestamp, Trouble>),
    Taken(LeaseKey, Result<Option<Acquired>, crate::lease::Error>),
    Children(oneshot::Sender<Result<Vec<ChildShard>, String>>, Result<(Vec<ChildShard>, Vec<Acquired>), Trouble>),
    Found(oneshot::Sender<Whereabouts>, Whereabouts, Vec<Acquired>),
}

/// After a lease was lost or could not be read: 1 s, doubled up to a minute.
const COOL_FROM: Duration = Duration::from_secs(1);
const COOL_TO: Duration = Duration::from_secs(60);
/// A first attempt to reach the table or the stream that failed: 200 ms, doubled up to 5 s.
const BEGIN: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// How often the table is looked at when this worker holds every lease in it.
const LOOK_IDLE: Duration = Duration::from_secs(30);

impl Coordinator {
    pub(super) fn new(
        inner: Arc<Inner>,
        source: Arc<dyn Stream>,
        news: mpsc::UnboundedSender<News>,
        requests: mpsc::UnboundedReceiver<Request>,
        wanted: Wanted,
    ) -> Self {
        Self {
            context: Arc::new(Context::new(inner, source, wanted.clone())),
            news,
            requests,
            wanted,
            writers: Tasks::new(),
            jobs: Tasks::new(),
            at_work: 0,
            gates: Tasks::new(),
            busy: BTreeMap::new(),
            cool: BTreeMap::new(),
            seen: Observations::new(),
            rows: BTreeMap::new(),
            next_look: Moment::default(),
            next_audit: Moment::default(),
            auditing: false,
            looking: false,
            ends: Level::default(),
            left: 0,
        }
    }

    /// Works until the root wants no more, or is gone.
    pub(super) async fn run(mut self) {
        let wanted = self.wanted.clone();
        let begun = tokio::select! {
            biased;
            // Only the end of the root ends this at once: a stop that comes while leases are being made has to give them back.
            () = wanted.nothing() => return,
            begun = self.begin() => begun,
        };
        match begun {
            Ok(true) => self.context.inner.outlet.say(Event::Started),
            Ok(false) => {}
            // Not a step further: the table may be another stream's.
            Err(cause) => return drop(self.news.send(News::Failed(cause))),
        }
        self.work().await;
    }

    /// The table, the stream and the first leases; tried until it works or cannot. Whether it worked before the worker was stopped.
    async fn begin(&mut self) -> Result<bool, RunError> {
        let mut failures = 0;
        let context = Arc::clone(&self.context);
        let wanted = self.wanted.clone();
        while context.is_working() {
            let trouble = match context.settler.table.setup().await {
                Ok(()) => match context.audit(self.room(), &BTreeSet::new()).await {
                    Ok(acquired) => {
                        self.next_audit = context.clock().now() + context.inner.parts.settings.audit_every;
                        self.acquire_all(acquired);
                        return Ok(true);
                    }
                    Err(trouble) => trouble,
                },
                Err(error) => Trouble::Table(error),
            };
            let trouble = match trouble.fatal() {
                Ok(cause) => return Err(cause),
                Err(trouble) => trouble,
            };
            if context.is_working() {
                self.busy("to begin", &trouble);
            }
            tokio::select! {
                biased;
                () = wanted.drain() => {}
                () = pause(&**context.clock(), BEGIN.delay(failures, jitter())) => {}
            }
            failures += 1;
        }
        Ok(false)
    }

    async fn work(&mut self) {
        let clock = Arc::clone(self.context.clock());
        let wanted = self.wanted.clone();
        loop {
            let working = wanted.is_work();
            let drained = self.busy.values().all(|engagement| !engagement.held) && self.at_work == 0;
            if !working && drained {
                return;
            }
            let look = (!self.looking).then_some(self.next_look);
            let audit = (!self.auditing).then_some(self.next_audit);
            let next = look.into_iter().chain(audit).min();
            // In this order: the root's word, what has ended, what is asked for, the clock.
            tokio::select! {
                biased;
                () = wanted.nothing() => return,
                () = wanted.drain(), if working => {}
                Some(ended) = self.writers.next() => self.on_tenancy(ended),
                Some(done) = self.jobs.next() => self.on_done(done),
                request = self.requests.recv() => match request {
                    Some(request) => self.on_request(request),
                    None => return,
                },
                Some(_) = self.gates.next() => {}
                () = clock.sleep_until(next.unwrap_or_default()), if working && next.is_some() => {
                    let now = clock.now();
                    if look.is_some_and(|due| now >= due) {
                        self.look(now);
                    } else {
                        self.audit();
                    }
                }
            }
        }
    }

    /// How many leases more this worker may hold.
    fn room(&self) -> usize {
        self.context.inner.parts.settings.max_leases.saturating_sub(self.busy.len())
    }

    fn job(&mut self, job: impl Future<Output = Done> + Send + 'static) {
        self.at_work += 1;
        self.jobs.start(job);
    }

    fn audit(&mut self) {
        self.auditing = true;
        let (context, room) = (Arc::clone(&self.context), self.room());
        let held = self.busy.keys().map(|key| key.shard.clone()).collect();
        self.job(async move { Done::Audited(context.audit(room, &held).await) });
    }

    /// Looks at the whole table, beside the loop: a table out of reach must not make it deaf.
    fn look(&mut self, begun: Moment) {
        self.looking = true;
        let context = Arc::clone(&self.context);
        self.next_look = begun + context.timing.look;
        self.job(async move {
            let rows = context.snapshot(Consistency::Eventual).await.map(|snapshot| snapshot.leases);
            Done::Looked { begun, ended: context.clock().now(), rows }
        });
    }

    /// Judges what a look has shown, by the moment at which it began.
    fn judge(&mut self, rows: Vec<Lease>, now: Moment, ended: Moment) {
        let context = Arc::clone(&self.context);
        self.seen.look(&rows, now, ended, &context.timing);
        if !context.is_working() {
            return;
        }
        let busy = BusyWith { busy: &self.busy, cool: &self.cool, now };
        let me = Me { id: context.me(), is_busy_with: &busy, is_my_tenancy: &*context, room: self.room() };
        if rows.iter().any(|row| is_duplicated(self.rows.get(&row.key), row, &me)) {
            let worker = context.me().clone();
            let _ = self.news.send(News::Failed(RunError::DuplicateWorkerId { worker }));
            return;
        }
        let plan = plan(&rows, &me, &self.seen, now, &context.timing);
        if plan.left > 0 && plan.left != self.left {
            context.inner.outlet.say(Event::LeasesLeftUnread { leases: plan.left });
        }
        self.left = plan.left;
        self.rows = rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        for key in plan.take {
            self.take(key);
        }
        let others = self.rows.values().any(|row| !row.checkpoint.is_shard_end() && !self.busy.contains_key(&row.key));
        if !others {
            // Every look apart from the next by more than half a failover time starts the ages anew: this one is no observation.
            self.next_look = now + LOOK_IDLE.max(context.timing.look);
        }
    }

    fn take(&mut self, key: LeaseKey) {
        let Some(row) = self.rows.get(&key).cloned() else { return };
        self.busy.insert(key.clone(), Engagement { held: false, consumed: false });
        let context = Arc::clone(&self.context);
        self.job(async move {
            let taken = context.take(&row).await;
            Done::Taken(key, taken)
        });
    }

    fn on_request(&mut self, request: Request) {
        let (context, room) = (Arc::clone(&self.context), self.room());
        match request {
            Request::Children { parent, children, answer } => self.job(async move {
                let made = context.make_children(&parent, children, room).await;
                Done::Children(answer, made)
            }),
            Request::Whereabouts { lease, checkpoint, answer } => self.job(async move {
                let (found, acquired) = context.whereabouts(&lease, checkpoint, room).await;
                Done::Found(answer, found, acquired)
            }),
            Request::StartTime { answer } => self.job(async move {
                let time = context.list(&ShardFilter::AtLatest).await.map(|listing| listing.service_time);
                Done::StartTime(answer, time)
            }),
            Request::ConsumerEnded { lease, cool_down } => {
                if cool_down {
                    self.cool_down(&lease);
                } else {
                    self.cool.remove(&lease);
                }
                if let Some(engagement) = self.busy.get_mut(&lease) {
                    engagement.consumed = false;
                }
                self.disengage(&lease);
            }
        }
    }

    fn cool_down(&mut self, lease: &LeaseKey) {
        let now = self.context.clock().now();
        let span = match self.cool.get(lease) {
            // It went wrong again soon after it was taken again; what went well for long is forgiven.
            Some((until, span)) if now < *until + *span + COOL_TO => (*span * 2).min(COOL_TO),
            _ => COOL_FROM,
        };
        self.cool.insert(lease.clone(), (now + span, span));
    }

    /// Forgets a lease that neither a writer nor a consumer has to do with any more, and looks for what is free now.
    fn disengage(&mut self, lease: &LeaseKey) {
        if self.busy.get(lease).is_some_and(|engagement| !engagement.held && !engagement.consumed) {
            self.busy.remove(lease);
            self.next_look = self.next_look.min(self.context.clock().now() + self.context.timing.look);
        }
    }

    fn on_done(&mut self, done: Result<Done, String>) {
        self.at_work = self.at_work.saturating_sub(1);
        match done {
            Ok(Done::Looked { begun, ended, rows }) => {
                self.looking = false;
                match rows {
                    Ok(rows) => self.judge(rows, begun, ended),
                    Err(error) => {
                        self.seen.failed();
                        self.trouble("to look at the leases", error.into());
                    }
                }
            }
            Ok(Done::StartTime(answer, result)) => {
                let _ = answer.send(result.map_err(|trouble| trouble.to_string()));
            }
            Ok(Done::Audited(result)) => {
                self.auditing = false;
                let every = self.context.inner.parts.settings.audit_every;
                self.next_audit = self.context.clock().now() + every;
                match result {
                    Ok(acquired) => self.acquire_all(acquired),
                    Err(_) if !self.context.is_working() => {}
                    Err(trouble) => self.trouble("to compare the shards with the leases", trouble),
                }
            }
            Ok(Done::Taken(key, result)) => match result {
                Ok(Some(acquired)) => self.acquire_all([acquired]),
                Ok(None) => self.disengage(&key),
                Err(error) => {
                    self.disengage(&key);
                    self.trouble("to take a lease", error.into());
                }
            },
            Ok(Done::Children(answer, result)) => {
                let reply = match result {
                    Ok((children, acquired)) => {
                        self.acquire_all(acquired);
                        Ok(children)
                    }
                    Err(trouble) => {
                        let text = trouble.to_string();
                        self.trouble("to make the leases of the child shards", trouble);
                        Err(text)
                    }
                };
                let _ = answer.send(reply);
            }
            Ok(Done::Found(answer, found, acquired)) => {
                self.acquire_all(acquired);
                let _ = answer.send(found);
            }
            Err(panic) => {
                let defect = RunError::Internal(format!("a task of the coordination panicked: {panic}"));
                let _ = self.news.send(News::Failed(defect));
            }
        }
    }

    fn acquire_all(&mut self, acquired: impl IntoIterator<Item = Acquired>) {
        for (row, sent) in acquired {
            self.acquire(row, sent);
        }
        self.context.inner.meters.leases.set(self.busy.values().filter(|engagement| engagement.held).count() as f64);
    }

    /// A lease is ours: a writer keeps it, the root works on it.
    fn acquire(&mut self, row: Lease, sent: Moment) {
        let context = &self.context;
        if self.busy.get(&row.key).is_some_and(|engagement| engagement.held || engagement.consumed) {
            // Two consumers of one shard must never be: whatever led here, this one is given back by the next look.
            row.token.iter().for_each(|token| context.settler.begun.abandon(token));
            return;
        }
        let held_before = self.busy.values().filter(|engagement| engagement.held).count();
        let settings = &context.inner.parts.settings;
        let limits = Limits {
            checkpoint_every: settings.checkpoint_every,
            handler_budget: settings.handler_budget,
            standstill: settings.handler_budget.max(settings.call_limit * 2),
        };
        let (writer, held) = Writer::new(context.settler.clone(), context.timing, limits, row.clone(), sent);
        let key = row.key.clone();
        let (writer_key, token) = (key.clone(), row.token.clone());
        let span =
            tracing::info_span!("lease", stream = context.inner.parts.stream.name(), shard = %key.shard, worker = %context.me());
        self.writers.start(async move { (writer_key, token, writer.run().await) }.instrument(span.clone()));
        context.inner.meters.taken.increment(1);
        if !self.context.is_working() || held_before >= settings.max_leases {
            // It came too late, or beside others that filled the last place: it is given back at once, and nobody was told of it.
            self.busy.insert(key, Engagement { held: true, consumed: false });
            held.abandon();
            return;
        }
        self.busy.insert(key.clone(), Engagement { held: true, consumed: true });
        context.inner.outlet.say(Event::LeaseAcquired { lease: key, checkpoint: row.checkpoint.clone() });
        let (open, parents) = oneshot::channel();
        if row.parents.is_empty() {
            let _ = open.send(());
        } else {
            let gate = gate::keep(Arc::clone(context), row.clone(), self.ends.clone(), open);
            self.gates.start(gate.instrument(span));
        }
        let _ = self.news.send(News::Assigned(Box::new(Assignment { held, row, parents })));
    }

    fn on_tenancy(&mut self, ended: Result<(LeaseKey, Option<Token>, Tenancy), String>) {
        let (key, token, tenancy) = match ended {
            Ok(ended) => ended,
            Err(panic) => {
                let defect = RunError::Internal(format!("the writer of a lease panicked: {panic}"));
                let _ = self.news.send(News::Failed(defect));
                return;
            }
        };
        if let Some(engagement) = self.busy.get_mut(&key) {
            engagement.held = false;
        }
        let begun = &self.context.settler.begun;
        token.iter().for_each(|token| match &tenancy {
            Tenancy::Ended | Tenancy::Released => begun.forget(token),
            Tenancy::Lost(_) | Tenancy::Broken(_) => begun.abandon(token),
        });
        match tenancy {
            Tenancy::Ended => {
                self.cool.remove(&key);
                self.ends.raise_by_one();
            }
            // Whether it may be taken again at once is for the consumer to say: it may have been given up as unreadable.
            Tenancy::Released => {}
            Tenancy::Lost(reason) => tracing::debug!(lease = %key, ?reason, "the lease is not held any more"),
            Tenancy::Broken(error) => drop(self.news.send(News::Failed(RunError::LeaseTable(error)))),
        }
        self.disengage(&key);
        self.context.inner.meters.leases.set(self.busy.values().filter(|engagement| engagement.held).count() as f64);
    }

    /// Something did not work: the worker stops if trying again does not help.
    fn trouble(&self, what: &'static str, trouble: Trouble) {
        match trouble.fatal() {
            Ok(cause) => drop(self.news.send(News::Failed(cause))),
            Err(trouble) => self.busy(what, &trouble),
        }
    }

    fn busy(&self, what: &'static str, trouble: &Trouble) {
        self.context.inner.outlet.say(Event::Busy { what, error: trouble.to_string().into() });
    }
}

/// What this worker is busy with, or leaves alone for now.
struct BusyWith<'a> {
    busy: &'a BTreeMap<LeaseKey, Engagement>,
    cool: &'a BTreeMap<LeaseKey, (Moment, Duration)>,
    now: Moment,
}

impl Busy for BusyWith<'_> {
    fn is_busy(&self, key: &LeaseKey) -> bool {
        self.busy.contains_key(key) || self.cool.get(key).is_some_and(|(until, _)| self.now < *until)
    }
}

impl fmt::Debug for BusyWith<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusyWith").field("leases", &self.busy.len()).finish_non_exhaustive()
    }
}

impl Tenancies for Context {
    fn is_mine(&self, row: &Lease) -> bool {
        self.settler.begun.is_ours(row)
    }

    fn is_abandoned(&self, row: &Lease) -> bool {
        self.settler.begun.is_abandoned(row)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("worker", self.me()).finish_non_exhaustive()
    }
}
