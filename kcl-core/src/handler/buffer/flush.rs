use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::decide::bisect::{AfterSplit, Bisection};
use crate::decide::buffers::BeginningFlush;
use crate::handler::give_up::{GivenUp, give_up};
use crate::handler::rules::{ErrorSaid, FailureRules, call_within, first_too_old};
use crate::handler::{Discarded, Letter};
use crate::model::{Key, Moment, Position, Record, ShardRef};
use crate::processor::{Background, Failure};
use crate::runtime::panic_text;

use super::work::BufferShared;
use super::{BufferHandler, FlushContext};

/// One flush: its records, until all of them are done, given up or given back.
///
/// ```text
///    tried in one call          not yet
///   [ 0 1 2 3 4 5 6 7 8 9 ] [ 10 11 12 ... ]      10 is too old, so it ends the span
///
///   Ok                   0 to 9 are done; 10 is given up, 11 and later are tried next
///   Err at record 5      0 to 4 are done; that was an attempt of 5
///   Err without a record none is done; 0 to 4 are tried next
///   no answer            the lease is over: everything is given back
/// ```
///
/// Which records are tried next is [`Bisection`]'s to say; this only calls, pauses and reports.
pub(super) struct Flush<H> {
    /// The buffers that it came from, and that learn of its end.
    pub(super) work: Arc<BufferShared<H>>,
    /// To whom ends and failures are reported.
    pub(super) background: Background,
    /// As the handler is told it.
    pub(super) shard: ShardRef,
    /// Which records, of which key, and why now.
    /// Its numbers are those of the shard's buffers. Everything else here counts from 0, within
    /// this flush.
    pub(super) flush: BeginningFlush<Key>,
    /// The same records as handles, at the same indexes: a slice of them is what the handler is
    /// given.
    pub(super) records: Vec<Record>,
}

/// A call that failed: where, if that is known, and what it said.
type FailedCall = (Option<Position>, ErrorSaid);

impl<H: BufferHandler> Flush<H> {
    /// Until the flush is over. Dropped in between, its records are neither done nor given back,
    /// and their key stays at work for ever. So it is dropped only with all the work on the shard,
    /// and the next owner gets the records again.
    pub(super) async fn run(self) {
        // A panic of the handler, or of a dead letter's target, is caught where it is called and
        // counts as an error. This one comes from around them, and what was done is not known: the
        // worker stops. Without a word the records would be at work for ever.
        let whole = AssertUnwindSafe(self.flush()).catch_unwind().await;
        let whole = whole.unwrap_or_else(|panic| {
            let cause = panic_text(panic);
            self.background.fail(Failure::new(format!(
                "the work around a flush panicked: {cause}"
            )));
            false
        });
        let mut state = self.work.state();
        if whole {
            state.buffers.flushed(&self.flush.key);
        } else {
            // No more records of this key are flushed: they come after these, which come again at the
            // next owner.
            state.buffers.given_back(&self.flush.key);
        }
        self.work.see_drained(&state);
        drop(state);
        self.work.changed.notify_one();
    }

    /// Whether all of its records are done. If not, what is left of them is given back with all
    /// later records of the key, which must not overtake them.
    async fn flush(&self) -> bool {
        let rules = FailureRules::new(self.work.plan.retries.as_ref(), self.background.rules());
        self.background.tell_flushes(self.flush.cause.as_str());
        let mut split = Bisection::new(self.records.len());
        // What the last call said that failed.
        let mut error: Option<Arc<str>> = None;
        while let Some(span) = split.next() {
            let clock = &**self.background.clock();
            // Asked anew before each attempt: a record grows older while others are tried.
            let old = first_too_old(rules.limits, &self.records, &span, clock);
            let (index, why, attempts) = if old == Some(span.start) {
                (span.start, Discarded::TooOld, split.attempts())
            } else {
                let tried = span.start..old.unwrap_or(span.end);
                match self.call(&rules, &tried, split.failures() + 1).await {
                    None => return false,
                    Some(Ok(())) => {
                        // Which of these had failed is not known after a split, so it is taken off
                        // all of them.
                        let has_failed = error.take().is_some();
                        if has_failed {
                            let first = &self.records[tried.start].position;
                            self.background.tell_recovered(first, split.failures());
                        }
                        self.done(tried.clone(), has_failed);
                        split.done_up_to(tried.end);
                        continue;
                    }
                    Some(Err((at, failed))) => {
                        let ErrorSaid { text, is_permanent } = failed;
                        let at = at.and_then(|at| self.index_of(&at));
                        let at = at.filter(|at| tried.contains(at));
                        let first = at.unwrap_or(tried.start);
                        self.done(tried.start..first, error.is_some());
                        self.background.tell_failed(
                            &self.records[first].position,
                            split.failures() + 1,
                            &text,
                        );
                        // The shard is given up: trying again would only delay the hand-over.
                        if self.work.is_leaving() {
                            return false;
                        }
                        // `OnFailure::Stop`: the first failure counts, and the cause is told as it
                        // came.
                        if !rules.bisects {
                            self.background.fail(match at {
                                Some(at) => Failure::at(&self.records[at], &*text),
                                None => Failure::new(&*text),
                            });
                            return false;
                        }
                        error = Some(text);
                        match split.failed(at, rules.limits.attempts_after(is_permanent)) {
                            AfterSplit::Again(failures) => {
                                self.pause(&rules, failures).await;
                                continue;
                            }
                            AfterSplit::GiveUp(index, attempts) => {
                                (index, rules.limits.why(is_permanent), attempts)
                            }
                        }
                    }
                }
            };
            let letter = Letter {
                shard: &self.shard,
                record: &self.records[index],
                why,
                attempts,
                error: error.as_deref().filter(|_| attempts > 0),
            };
            // It counts like a call: a dead letter that hangs costs the lease.
            let giving_up = give_up(&rules.last_resort, &self.background, letter);
            match self.at_work(clock.now(), index, giving_up).await {
                GivenUp::Passed => {
                    self.done(index..index + 1, true);
                    error = None;
                    split.done_up_to(index + 1);
                }
                GivenUp::NotTaken(cause) => {
                    let position = &self.records[index].position;
                    self.background
                        .tell_failed(position, attempts.max(1), &cause);
                    self.pause(&rules, split.failures().max(1)).await;
                    if self.work.is_leaving() {
                        // Nobody took the letter, and the next owner shall try: it is not passed.
                        return false;
                    }
                }
                GivenUp::Left => return false,
            }
        }
        true
    }

    /// One call of the handler. With nothing, the time of the lease is over.
    async fn call(
        &self,
        rules: &FailureRules,
        tried: &Range<usize>,
        attempt: u32,
    ) -> Option<Result<(), FailedCall>> {
        let context = FlushContext {
            shard: self.shard.clone(),
            key: self.work.plan.by_key.then(|| self.flush.key.clone()),
            cause: self.flush.cause,
            attempt,
        };
        // With no await between the question and the hand-out.
        let now = self.background.may_begin()?;
        if attempt > 1 {
            self.background.tell_retried();
        }
        let records = &self.records[tried.clone()];
        // Within a future of our own: the handler may panic before it has made one.
        let flushing = async { self.work.handler.flush(records, &context).await };
        let clock = self.background.clock();
        let flushing = call_within(rules.attempt_limit, &**clock, flushing);
        let flushed = self.at_work(now, tried.start, flushing).await;
        Some(match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err((failure.at, ErrorSaid::of(failure.source))),
            Err(said) => Err((None, said.into())),
        })
    }

    /// Work on the records from this one on, which the budget of a handler bounds.
    /// Dropped before its end, it stays noted in the state, which is cleared with the end of the
    /// work.
    async fn at_work<T>(&self, since: Moment, first: usize, work: impl Future<Output = T>) -> T {
        // Two flushes may begin at the same moment; the number of their first record tells them
        // apart.
        let call = (since, self.flush.numbers[first]);
        self.work.state().calls(|calls| {
            calls.insert(call);
        });
        let done = work.await;
        self.work.state().calls(|calls| {
            calls.remove(&call);
        });
        done
    }

    /// The record at this position, if it is one of this flush. An application that names another
    /// names none: then all are tried again, rather than some passed that nobody has processed.
    fn index_of(&self, position: &Position) -> Option<usize> {
        self.records
            .binary_search_by(|record| record.position.cmp(position))
            .ok()
    }

    /// These records are done, or passed. One of them may have failed before.
    fn done(&self, span: Range<usize>, has_failed: bool) {
        if span.is_empty() {
            return;
        }
        if has_failed {
            for record in &self.records[span.clone()] {
                self.background.fails_no_more(&record.position);
            }
        }
        let mut state = self.work.state();
        let numbers = &self.flush.numbers[span];
        // 0 as long as a record of another key that precedes them is not done: the finished prefix
        // is the shard's.
        let grown = numbers
            .iter()
            .map(|number| state.buffers.done(*number))
            .sum();
        if let Some(end) = state.grown(grown) {
            // Under the lock: the ends grow.
            self.background.finish(end);
        }
        drop(state);
        self.work.room.notify_one();
    }

    /// Waits before the next attempt, but not when the shard is given up.
    async fn pause(&self, rules: &FailureRules, failures: u32) {
        let span = rules.pause_after(failures);
        self.work.wait(&self.background, span).await;
    }
}
