//! What jobs, consumers and writers came to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::Instrument;

use crate::decide::assignment::HandedOver;
use crate::decide::reading::PATIENCE;
use crate::lease::{Changed, with_causes};
use crate::model::{LeaseKey, Moment, Token};
use crate::stream::ShardFilter;
use crate::tenancy::writer::{Limits, TenancyEnd, Writer};
use crate::worker::error::RunError;
use crate::worker::event::Event;
use crate::worker::status::Phase;

use super::super::context::{Acquired, Audited, CoordinationError};
use super::super::gate::{self, AtGate};
use super::super::link::{After, Assignment, Request, ToRoot, Unanswered};
use super::super::moves::WriteResult;
use super::super::signal::ChangeNotice;
use super::{Coordinator, JobResult, NOT_YET};

/// In periods of the audit: how long a worker that does not audit itself, and whose subscriptions
/// are quiet, goes without a listing.
const LISTED_EVERY: u32 = 2;

impl Coordinator {
    pub(super) fn audit(&mut self) {
        self.auditing = true;
        self.audit_soon = None;
        let now = self.context.clock().now();
        self.audit_from = now + self.context.inner.parts.settings.audit_every;
        let (context, room) = (Arc::clone(&self.context), self.room());
        let known = self
            .engaged
            .keys()
            .chain(self.view.there_of_late(now, &context.timing))
            .cloned()
            .collect();
        self.job(async move { JobResult::Audited(context.audit(room, known).await) });
    }

    pub(super) fn on_audited(&mut self, audited: Audited) {
        self.last_audit = self.last_audit.max(audited.look.begun);
        self.context.count_audit();
        self.audited = audited.look.begun;
        if audited.put_off {
            // By then its holder has put it back, or has no use for it.
            let then = audited.look.ended + self.view.patience(&self.context.timing);
            self.audit_soon = Some(self.audit_soon.map_or(then, |soon| soon.min(then)));
        }
        if audited.not_yet {
            let then = self.context.clock().now() + NOT_YET.longest(self.not_yet);
            self.audit_soon = Some(self.audit_soon.map_or(then, |soon| soon.min(then)));
            self.not_yet += 1;
        } else {
            self.not_yet = 0;
        }
        let is_there =
            !audited.not_yet || !audited.look.leases.is_empty() || !audited.made.is_empty();
        self.describe();
        for key in &audited.made {
            self.announce(key);
        }
        let seen = audited.look.begun;
        if self.last_look <= seen {
            (self.last_look, self.next_look) = (seen, seen + self.context.timing.look);
        }
        if audited.overtaken {
            // Workers that start together have not seen each other: who comes second does not idle
            // until its next scan.
            self.next_look = seen;
        }
        let is_news = self.see_all(audited.look);
        self.acquire_all(audited.acquired);
        if is_news {
            self.has_looked(seen);
        }
        if is_there && !self.started && self.context.is_working() {
            self.started = true;
            self.context.inner.board.reach(Phase::Running);
            self.context.inner.outlet.say(Event::Started);
        }
    }

    /// A stream that could not be described, of several, has no leases until it is: it is not left
    /// to the next audit.
    fn describe(&mut self) {
        let context = Arc::clone(&self.context);
        if !self.describing && context.is_working() && context.undescribed().next().is_some() {
            self.describing = true;
            self.job(async move {
                context.describe_rest().await;
                JobResult::Described
            });
        }
    }

    /// Lists the shards of streams of which this worker has had no listing for long, while
    /// subscriptions to them have given no record: another worker audits for all, and only a
    /// listing shows that such a shard is closed.
    pub(super) fn list_for_the_quiet(&mut self, now: Moment) {
        let every = self.context.inner.parts.settings.audit_every * LISTED_EVERY;
        let mut wanted = self.context.inner.parts.streams.all();
        wanted.retain(|of| of.listed.is_wanted(now, every));
        if self.listing || wanted.is_empty() || !self.context.is_working() {
            return;
        }
        self.listing = true;
        let context = Arc::clone(&self.context);
        self.job(async move {
            for of in wanted {
                if let Err(trouble) = context.list_while_working(&of, &ShardFilter::All).await {
                    of.listed.failed(context.clock().now());
                    tracing::debug!(stream = %of.name, trouble = %with_causes(&trouble), "the shards could not be listed");
                }
            }
            JobResult::Listed
        });
    }

    pub(super) fn on_request(&mut self, request: Request) {
        let (context, room) = (Arc::clone(&self.context), self.room());
        match request {
            Request::Children {
                stream,
                parent,
                children,
                answer,
            } => self.job(async move {
                let made = context
                    .make_children(&stream, &parent, children, room)
                    .await;
                JobResult::Children(answer, made.map_err(|trouble| trouble.of_stream(&stream)))
            }),
            Request::End {
                stream,
                shard,
                said,
                answer,
            } => self.job(async move {
                let judged = context.judge_end(&stream, &shard, &said).await;
                JobResult::Ending(answer, judged.map_err(|trouble| trouble.of_stream(&stream)))
            }),
            Request::ShardFate {
                stream,
                lease,
                checkpoint,
                answer,
            } => self.job(async move {
                let (found, acquired) =
                    context.whereabouts(&stream, &lease, checkpoint, room).await;
                JobResult::Found(answer, found, acquired)
            }),
            Request::StartTime { stream, answer } => self.job(async move {
                let time = context.service_time(&stream).await;
                JobResult::StartTime(answer, time)
            }),
            Request::ConsumerEnded { lease, after } => {
                let now = self.context.clock().now();
                match after {
                    After::CoolDown => {
                        self.describe_anew(&lease);
                        self.engaged.cool_down(
                            &lease,
                            now,
                            self.context.timing.failover * PATIENCE,
                        );
                    }
                    After::Nothing => self.engaged.forgive(&lease),
                    After::Read => {
                        self.engaged.forgive(&lease);
                        self.engaged.finish_reading(lease.clone());
                    }
                }
                self.engaged.consumed(&lease);
                self.disengage(&lease);
            }
        }
    }

    /// A shard could not be read any further: its position may be one of a stream that is not there
    /// any more.
    fn describe_anew(&mut self, lease: &LeaseKey) {
        let context = Arc::clone(&self.context);
        if let Some(of) = context
            .inner
            .parts
            .streams
            .of(lease)
            .filter(|_| context.is_working())
        {
            self.job(async move {
                JobResult::DescribedAnew(context.describe_anew(&of).await.map(drop))
            });
        }
    }

    /// Forgets a lease that neither a writer nor a consumer has to do with any more, and looks for
    /// what is free now.
    fn disengage(&mut self, lease: &LeaseKey) {
        if self.engaged.disengage(lease) {
            self.disengaged = self.context.clock().now();
            if self.context.inner.bound().is_some() {
                // Perhaps that was the last one.
                self.next_look = self.disengaged;
            }
            self.next_look = self
                .next_look
                .min(self.context.clock().now() + self.context.timing.look);
        }
    }

    pub(super) fn on_done(&mut self, done: Result<JobResult, String>) {
        self.at_work = self.at_work.saturating_sub(1);
        let now = self.context.clock().now();
        match done {
            Ok(JobResult::Looked(look)) => {
                self.looking = false;
                match look {
                    Ok(look) => self.on_looked(look),
                    Err(error) => {
                        self.view.members.failed();
                        self.trouble("to look at the leases", error.into());
                    }
                }
            }
            Ok(JobResult::Hinted {
                leases,
                workers,
                at,
            }) => {
                for (worker, row) in workers {
                    self.view.see_worker(&worker, row, at);
                }
                // What this worker has done meanwhile is newer: those rows are read once more.
                let (again, leases): (Vec<_>, Vec<_>) = leases
                    .into_iter()
                    .partition(|(key, _)| self.view.is_older(key, at));
                for (key, row) in leases {
                    self.see(&key, row, at);
                }
                if !again.is_empty() {
                    self.on_heard(ChangeNotice::These(
                        again
                            .into_iter()
                            .map(|(key, _)| Changed::Lease(key))
                            .collect(),
                    ));
                }
                self.look_at_requests(at, Duration::ZERO);
                self.has_seen(at);
            }
            Ok(JobResult::StartTime(answer, result)) => {
                let _ = answer.send(result.map_err(|trouble| Unanswered::by(&trouble)));
            }
            Ok(JobResult::Audited(result)) => {
                self.auditing = false;
                match result {
                    Ok(audited) => self.on_audited(audited),
                    Err(_) if !self.context.is_working() => {}
                    Err(trouble) => {
                        self.trouble("to compare the shards with the leases", trouble);
                        self.describe();
                    }
                }
            }
            Ok(JobResult::DescribedAnew(result)) => {
                if let Err(CoordinationError::Fatal(cause)) = result {
                    let _ = self.news.send(ToRoot::Failed(cause));
                }
            }
            Ok(JobResult::Listed) => self.listing = false,
            Ok(JobResult::Described) => {
                self.describing = false;
                self.audit_soon = Some(now);
            }
            Ok(JobResult::WithinReach(lease)) => {
                self.engaged.reached(&lease);
                self.next_look = self.next_look.min(now);
            }
            Ok(JobResult::Taken(key, result)) => match result {
                Ok(Some(acquired)) => {
                    self.asked.remove(&key);
                    self.acquire_all([acquired]);
                }
                Ok(None) => self.disengage(&key),
                Err(error) => {
                    self.disengage(&key);
                    self.trouble("to take a lease", error.into());
                }
            },
            Ok(JobResult::Requested(key, result)) => {
                self.asking.remove(&key);
                if self.answered(&key, result, now, "to ask for a lease") {
                    // From now on a row without it tells that it is over.
                    self.asked.entry(key).and_modify(|asked| asked.since = now);
                } else {
                    self.asked.remove(&key);
                }
                self.has_seen(now);
            }
            Ok(JobResult::Withdrawn(key, result)) => {
                self.answered(&key, result, now, "to take a request back");
                self.has_seen(now);
            }
            Ok(JobResult::GivenBack(key, result)) => {
                self.answered(&key, result, now, "to give a lease back");
                self.has_seen(now);
            }
            Ok(JobResult::Reaped(worker, result)) => {
                if let Err(error) = result {
                    tracing::debug!(%worker, error = %with_causes(&error), "the row of a dead worker was not deleted");
                }
            }
            Ok(JobResult::Requester { lease, by, row, at }) => {
                if let Ok(row) = row {
                    self.view.see_worker(&by, row, at);
                }
                self.answer(lease, by, true);
            }
            Ok(JobResult::Children(answer, result)) => {
                let reply = match result {
                    Ok((children, acquired)) => {
                        self.acquire_all(acquired);
                        Ok(children)
                    }
                    Err(trouble) => {
                        let unanswered = Unanswered::by(&trouble);
                        self.trouble("to make the leases of the child shards", trouble);
                        Err(unanswered)
                    }
                };
                let _ = answer.send(reply);
            }
            Ok(JobResult::Ending(answer, judged)) => {
                // Who asked asks again.
                let reply = judged.map_err(|trouble| {
                    let unanswered = Unanswered::by(&trouble);
                    self.trouble("to confirm a shard's end", trouble);
                    unanswered
                });
                let _ = answer.send(reply);
            }
            Ok(JobResult::Found(answer, found, acquired)) => {
                self.acquire_all(acquired);
                let _ = answer.send(found);
            }
            Err(panic) => {
                let defect =
                    RunError::Internal(format!("a task of the coordination panicked: {panic}"));
                let _ = self.news.send(ToRoot::Failed(defect));
            }
        }
    }

    /// Takes in what became of a write that moves a lease, and tells the others. Whether it was
    /// done.
    fn answered(
        &mut self,
        key: &LeaseKey,
        result: Result<WriteResult, crate::lease::Error>,
        now: Moment,
        what: &'static str,
    ) -> bool {
        match result {
            Ok(WriteResult { done, row }) => {
                self.see(key, row, now);
                if done {
                    self.announce(key);
                }
                done
            }
            Err(error) => {
                self.trouble(what, error.into());
                false
            }
        }
    }

    pub(super) fn acquire_all(&mut self, acquired: impl IntoIterator<Item = Acquired>) {
        for (row, sent) in acquired {
            self.acquire(row, sent);
        }
        self.count();
    }

    fn count(&self) {
        self.context
            .inner
            .meters
            .leases
            .set(self.engaged.held() as f64);
    }

    /// A lease is ours: a writer keeps it, the root works on it.
    fn acquire(&mut self, row: crate::model::Lease, sent: Moment) {
        let context = Arc::clone(&self.context);
        let key = row.key.clone();
        if self.engaged.is_at_work(&key) {
            // Two consumers of one shard must never be: whatever led here, this one is given back
            // by the next scan.
            context.settler.begun.abandon_row(&row);
            return;
        }
        // Nothing when the stream was removed meanwhile.
        let stream = context.inner.parts.streams.of(&key);
        let held_before = self.engaged.held();
        let settings = &context.inner.parts.settings;
        let limits = Limits {
            checkpoint_every: settings.checkpoint_every,
            handler_budget: settings.handler_budget,
            standstill: settings.handler_budget.max(settings.call_limit * 2),
            drain: settings.drain_limit,
        };
        let tenancy = (row.clone(), sent);
        let (writer, held) = Writer::new(
            context.settler.clone(),
            context.timing,
            limits,
            tenancy,
            context.me().clone(),
            self.notes.0.clone(),
        );
        let (writer_key, token) = (key.clone(), row.token.clone());
        let name = stream
            .as_ref()
            .map(|stream| stream.name.to_string())
            .unwrap_or_default();
        let span =
            tracing::info_span!("lease", stream = name, shard = %key.shard, worker = %context.me());
        self.writers
            .start(async move { (writer_key, token, writer.run().await) }.instrument(span.clone()));
        context.inner.meters.taken.increment(1);
        self.view.see(row.clone(), context.clock().now());
        let stream = stream.filter(|_| context.is_working() && held_before < settings.max_leases);
        self.engaged
            .hold(key.clone(), held.orders(), stream.is_some());
        let Some(stream) = stream else {
            // It came too late, or beside others that filled the last place: it is given back at
            // once, and nobody was told of it.
            held.abandon();
            return;
        };
        context.inner.outlet.say(Event::LeaseAcquired {
            lease: key,
            checkpoint: row.checkpoint.clone(),
        });
        let (waits, parents) = mpsc::channel(1);
        if row.parents.is_empty() {
            let _ = waits.try_send(AtGate::Opens);
        } else {
            let gate = gate::keep(
                context,
                Arc::clone(&stream),
                row.clone(),
                self.ends.clone(),
                waits,
            );
            self.gates.start(gate.instrument(span));
        }
        let _ = self.news.send(ToRoot::Assigned(Box::new(Assignment {
            held,
            row,
            stream,
            parents,
        })));
    }

    pub(super) fn on_tenancy(
        &mut self,
        ended: Result<(LeaseKey, Option<Token>, TenancyEnd), String>,
    ) {
        let (key, token, tenancy) = match ended {
            Ok(ended) => ended,
            Err(panic) => {
                let defect = RunError::Internal(format!("the writer of a lease panicked: {panic}"));
                let _ = self.news.send(ToRoot::Failed(defect));
                return;
            }
        };
        let now = self.context.clock().now();
        self.engaged.let_go(&key);
        let begun = &self.context.settler.begun;
        token.iter().for_each(|token| match &tenancy {
            TenancyEnd::Ended | TenancyEnd::Released | TenancyEnd::HandedOver(_) => {
                begun.end(token)
            }
            TenancyEnd::Lost(_) | TenancyEnd::Broken(_) | TenancyEnd::Kept => begun.abandon(token),
        });
        // What the row is now is read by those who hear of it, this worker among them.
        self.view.forget(&key, now);
        match tenancy {
            TenancyEnd::Ended => {
                self.engaged.forgive(&key);
                self.ends.raise_by_one();
                self.announce(&key);
            }
            // Whether it may be taken again at once is for the consumer to say: it may have been
            // given up as unreadable.
            TenancyEnd::Released => self.announce(&key),
            TenancyEnd::HandedOver(row) => {
                if let Some(to) = row.owner.clone() {
                    self.context.inner.outlet.say(Event::LeaseHandedOver {
                        lease: key.clone(),
                        to,
                    });
                }
                self.handed_over.insert(
                    key.clone(),
                    HandedOver {
                        counter: row.counter,
                        at: now,
                    },
                );
                self.view.see(*row, now);
                self.announce(&key);
            }
            TenancyEnd::Kept => {}
            TenancyEnd::Lost(reason) => {
                tracing::debug!(lease = %key, ?reason, "the lease is no longer held");
                self.announce(&key);
            }
            TenancyEnd::Broken(error) => {
                drop(self.news.send(ToRoot::Failed(RunError::LeaseTable(error))))
            }
        }
        self.disengage(&key);
        self.count();
    }
}
