//! What jobs and consumers came to: each answer goes to the engine or to whoever has asked, and what
//! is new of the rows leads to a plan.
//!
//! The order within an answer matters in two places. Rows that a hint has named are taken in only
//! if this worker has not written them since they were asked for; otherwise they are read again, as
//! an old row would undo what is known of the own write. And a consumer that has asked for the
//! leases of child shards is answered only after those that are this worker's are acquired: its next
//! step may be to store the end of the parent, on which other workers begin to read the children.

use std::sync::Arc;

use crate::decide::fleet::After;
use crate::lease::{Changed, with_causes};
use crate::model::{LeaseKey, Moment};
use crate::worker::error::RunError;

use super::super::error::CoordinationError;
use super::super::link::{Request, ToRoot, Unanswered};
use super::super::moves::WriteResult;
use super::super::signal::ChangeNotice;
use super::{Coordinator, JobResult};

impl Coordinator {
    /// A consumer asks for something that takes a call, or tells that it has ended.
    ///
    /// The room for new leases is taken as it is now. It may be gone when the job creates them: what
    /// is too much is then given back.
    pub(super) fn on_request(&mut self, request: Request) {
        let (context, room) = (Arc::clone(&self.context), self.engine.room());
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
                if after == After::CoolDown {
                    self.describe_anew(&lease);
                }
                self.engine.consumer_ended(&lease, after, now);
            }
        }
    }

    /// A job has ended. One that panicked is a defect of this crate: the worker ends, and what was
    /// under way is found by others.
    pub(super) fn on_done(&mut self, done: Result<JobResult, String>) {
        self.at_work = self.at_work.saturating_sub(1);
        let now = self.context.clock().now();
        match done {
            Ok(JobResult::Looked(look)) => {
                self.engine.schedule.scan_ended();
                match look {
                    Ok(look) => self.on_looked(look),
                    Err(error) => {
                        self.engine.members.failed();
                        // This worker has to look again, and nobody else.
                        self.engine.disturb(now);
                        self.trouble("to look at the leases", error.into());
                    }
                }
            }
            Ok(JobResult::Hinted {
                leases,
                workers,
                at,
                ended,
            }) => {
                for (worker, row) in workers {
                    self.engine.see_worker(&worker, row, ended);
                }
                // What this worker has done meanwhile is newer: those rows are read once more.
                let (again, leases): (Vec<_>, Vec<_>) = leases
                    .into_iter()
                    .partition(|(key, _)| self.engine.leases.is_older(key, at));
                for (key, row) in leases {
                    self.see(&key, row, ended);
                }
                if !again.is_empty() {
                    self.on_heard(ChangeNotice::These(
                        again
                            .into_iter()
                            .map(|(key, _)| Changed::Lease(key))
                            .collect(),
                    ));
                }
                self.engine.settle_moves(at, false);
                self.has_seen(at);
            }
            Ok(JobResult::Glanced { worker, row, at }) => self.on_glanced(worker, row, at),
            Ok(JobResult::StartTime(answer, result)) => {
                let _ = answer.send(result.map_err(|trouble| Unanswered::by(&trouble)));
            }
            Ok(JobResult::Audited(result)) => {
                self.engine.schedule.audit_ended();
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
            // Audited at once: a stream that was not known has no leases yet.
            Ok(JobResult::Described) => {
                self.describing = false;
                self.engine.schedule.audit_at_once(now);
            }
            // A scan follows, as leases of this stream were left alone meanwhile.
            Ok(JobResult::WithinReach(lease)) => {
                self.engine.leases.reached(&lease);
                self.engine.schedule.scan_by(now);
            }
            // The lease is this worker's from the moment when the write was sent, which comes with
            // the row.
            Ok(JobResult::Taken(key, result)) => match result {
                Ok(Some(acquired)) => {
                    self.engine.leases.end_request(&key);
                    self.acquire_all([acquired]);
                }
                Ok(None) => self.engine.take_ended(&key, now),
                Err(error) => {
                    self.engine.take_ended(&key, now);
                    self.trouble("to take a lease", error.into());
                }
            },
            Ok(JobResult::Requested(key, result)) => {
                let done = self.answered(&key, result, now, "to ask for a lease");
                self.engine.leases.request_answered(&key, done, now);
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
            Ok(JobResult::Unassigned(key, result)) => {
                self.engine.leases.unassigned(&key);
                self.answered(&key, result, now, "to end the assignment of a lease");
                self.has_seen(now);
            }
            Ok(JobResult::Reaped(worker, result)) => {
                if let Err(error) = result {
                    tracing::debug!(%worker, error = %with_causes(&error), "the row of a dead worker was not deleted");
                }
            }
            // If its row could not be read, it is judged by what is known: `true` says that there
            // is nothing more to ask.
            Ok(JobResult::Requester { lease, by, row, at }) => {
                if let Ok(row) = row {
                    self.engine.see_worker(&by, row, at);
                }
                self.answer(lease, by, true);
            }
            // First the leases, then the answer: see the head of this file. A consumer that is gone
            // needs no answer, but its leases are there.
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
            // Which job it was is not known, nor what it has written. The worker ends, and what it
            // holds expires or is released.
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
}
