use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::BoxError;
use crate::decide::bisect::{AfterSplit, Bisection};
use crate::model::{Position, ShardRef};
use crate::processor::{
    Failure, IdleInput, InitializeInput, LeaseLostInput, ProcessRecordsInput, RecordProcessor,
    RecordProcessorFactory, Records, ShardEndedInput, ShutdownRequestedInput,
};

use super::give_up::{GivenUp, give_up};
use super::retries::LastResort;
use super::rules::{ErrorSaid, FailureRules, call_within, first_too_old};
use super::{Discarded, Letter, Retries};

/// Takes a batch that fails apart until the record that fails is alone, for processors of batches.
///
/// A failure that names its record ([`Failure::at`]) counts as an attempt of that record, and what
/// precedes it is done. After any other failure half of the records are given to the processor next,
/// then half of those, until a record fails alone: only then do its attempts count. A record that
/// has no attempts left is given up as `retries` say, and the rest of the batch goes on. The
/// worker's [`OnFailure`](crate::OnFailure) counts no more.
///
/// Each call has a [`Checkpointer`](crate::checkpoint::Checkpointer) up to the end of what it is
/// given, and in [`attempt`](ProcessRecordsInput::attempt) one more than the calls in a row that
/// have failed. No part is handed out after the lease is lost, as no batch is.
///
/// ```
/// use kcl_core::handler::{Retries, bisect};
/// use kcl_core::processor::{ProcessRecordsInput, ShardRef};
/// use kcl_core::{Failure, RecordProcessor, Worker};
///
/// struct Inserts;
///
/// impl RecordProcessor for Inserts {
///     async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
///         // ... one statement that inserts all of `input.records`, or none.
///         Ok(())
///     }
/// }
///
/// let processors = bisect(|_: &ShardRef| Inserts, Retries::attempts(3).skip());
/// let builder = Worker::builder().stream("orders").processor(processors);
/// # drop(builder);
/// ```
pub fn bisect<F: RecordProcessorFactory>(processors: F, retries: Retries) -> Bisected<F> {
    Bisected {
        processors,
        retries,
    }
}

/// Makes processors that take apart a batch that fails. Made by [`bisect`].
#[derive(Debug)]
pub struct Bisected<F> {
    /// Makes the processors of the application.
    processors: F,
    /// What is done with the record that fails alone.
    retries: Retries,
}

impl<F: RecordProcessorFactory> RecordProcessorFactory for Bisected<F> {
    type Processor = BisectedProcessor<F::Processor>;

    fn processor(&self, shard: &ShardRef) -> BisectedProcessor<F::Processor> {
        BisectedProcessor {
            inner: self.processors.processor(shard),
            retries: self.retries.clone(),
            tried: None,
        }
    }

    fn check(&self) -> Result<(), BoxError> {
        self.processors.check()?;
        self.retries.check()
    }
}

/// Why records come again that were not handed out, or whose letter was not.
const LEASE_IS_OVER: &str = "the time of the lease is over";

/// The processor of one shard, made by [`Bisected`].
pub struct BisectedProcessor<P> {
    /// The application's processor of this shard.
    inner: P,
    /// The same for every shard.
    retries: Retries,
    /// What is known of the batch that has failed.
    tried: Option<TriedBatch>,
}

/// A batch, and how much of it is taken apart.
struct TriedBatch {
    /// The batch as it was when it failed first: indexes below count in it.
    records: Records,
    /// Which part is tried next, and the attempts of single records.
    split: Bisection,
    /// What the last call said that has failed.
    error: Option<Arc<str>>,
}

impl<P: RecordProcessor> BisectedProcessor<P> {
    /// What is known of these records, which may be the rest of what failed before.
    fn resume(&mut self, records: &Records) -> TriedBatch {
        let end = |records: &Records| records.last().map(|record| record.position.clone());
        if let Some(mut tried) = self.tried.take()
            && end(&tried.records) == end(records)
            && let Some(first) = records.first()
        {
            let done = tried
                .records
                .partition_point(|record| record.position < first.position);
            tried.split.done_up_to(done);
            return tried;
        }
        TriedBatch {
            records: records.clone(),
            split: Bisection::new(records.len()),
            error: None,
        }
    }

    /// Gives the processor these records: where it failed, if that is known, and what it said.
    async fn call(
        &mut self,
        input: &ProcessRecordsInput,
        tried: &TriedBatch,
        span: Range<usize>,
        limit: Option<Duration>,
    ) -> Result<(), (Option<Position>, ErrorSaid)> {
        let is_last = span.end == tried.records.len();
        let records = tried.records.span(span);
        let Some(last) = records.last() else {
            return Ok(());
        };
        // The end of the shard belongs to the last part alone: a processor that took it for the end
        // of the batch would finish too early.
        let part = ProcessRecordsInput {
            checkpointer: input.checkpointer.up_to(last.position.clone()),
            records,
            is_at_shard_end: input.is_at_shard_end && is_last,
            child_shards: if is_last {
                input.child_shards.clone()
            } else {
                Vec::new()
            },
            attempt: tried.split.failures() + 1,
            ..input.clone()
        };
        if tried.split.failures() > 0 {
            input.background.tell_retried();
        }
        let clock = Arc::clone(input.background.clock());
        // Within a future of our own: the processor may panic before it has made one.
        let processing = async { self.inner.process_records(part).await };
        match call_within(limit, &*clock, processing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err((failure.at, ErrorSaid::of(failure.source))),
            Err(said) => Err((None, said.into())),
        }
    }

    /// Calls the processor with parts of the batch until all of it is done, or a pause is due: a
    /// pause is the consumer's, which renews the lease and hears signals meanwhile.
    async fn process(&mut self, input: &ProcessRecordsInput) -> Result<(), Failure> {
        let background = &input.background;
        let rules = FailureRules::new(Some(&self.retries), background.rules());
        let mut tried = self.resume(&input.records);
        while let Some(span) = tried.split.next() {
            let old = first_too_old(rules.limits, &tried.records, &span, &**background.clock());
            let (index, why, attempts) = if old == Some(span.start) {
                (span.start, Discarded::TooOld, tried.split.attempts())
            } else {
                // The call before may have outlasted the lease. With no await before the hand-out.
                if background.may_begin().is_none() {
                    let failure = Failure::at(&tried.records[span.start], LEASE_IS_OVER);
                    self.tried = Some(tried);
                    // The consumer loses the lease before it hands anything out.
                    return Err(failure.again_after(Duration::ZERO, false));
                }
                let span = span.start..old.unwrap_or(span.end);
                let result = self
                    .call(input, &tried, span.clone(), rules.attempt_limit)
                    .await;
                // Such a processor returns before its records are done, so its `Ok` says nothing
                // about a part.
                if background.has_begun() {
                    return Err(background.refuse(
                        "`bisect` was put around a processor that works on records beside its calls (`in_order`, `by_key`, \
                        `unordered` or `buffer`): expected is a processor of batches; those have `retries` of their own",
                    ));
                }
                let Err((at, failed)) = result else {
                    tried.error = None;
                    tried.split.done_up_to(span.end);
                    continue;
                };
                let at = at.and_then(|at| {
                    let found = tried
                        .records
                        .binary_search_by(|record| record.position.cmp(&at));
                    found.ok().filter(|at| span.contains(at))
                });
                let ErrorSaid { text, is_permanent } = failed;
                tried.error = Some(Arc::clone(&text));
                let most = rules.limits.attempts_after(is_permanent);
                match tried.split.failed(at, most) {
                    AfterSplit::Again(failures) => {
                        let first = at.unwrap_or(span.start);
                        let failure = Failure::at(&tried.records[first], &*text);
                        // Only a record that is known is named to the operator; the first of a part
                        // that failed may be innocent.
                        let is_known = at.is_some() || span.len() == 1;
                        self.tried = Some(tried);
                        return Err(failure.again_after(rules.pause_after(failures), is_known));
                    }
                    AfterSplit::GiveUp(index, attempts) => {
                        let at = &tried.records[index].position;
                        background.tell_failed(at, attempts, &text);
                        (index, rules.limits.why(is_permanent), attempts)
                    }
                }
            };
            let record = &tried.records[index];
            let letter = Letter {
                shard: &input.shard,
                record,
                why,
                attempts,
                error: tried.error.as_deref().filter(|_| attempts > 0),
            };
            if matches!(rules.last_resort, LastResort::Stop) {
                return Err(letter.failure().stops());
            }
            let given_up = give_up(&rules.last_resort, background, letter).await;
            background.fails_no_more(&record.position);
            let cause = match given_up {
                GivenUp::Passed => {
                    tried.error = None;
                    tried.split.done_up_to(index + 1);
                    continue;
                }
                GivenUp::NotTaken(cause) => cause,
                GivenUp::Left => LEASE_IS_OVER.into(),
            };
            let failure = Failure::at(record, &*cause);
            let pause = rules.pause_after(tried.split.failures().max(1));
            self.tried = Some(tried);
            return Err(failure.again_after(pause, true));
        }
        Ok(())
    }
}

impl<P: RecordProcessor> RecordProcessor for BisectedProcessor<P> {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        self.inner.initialize(input).await
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.process(&input).await
    }

    async fn idle(&mut self, input: IdleInput) -> Result<(), BoxError> {
        self.inner.idle(input).await
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.inner.lease_lost(input).await;
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.inner.shard_ended(input).await
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        self.inner.shutdown_requested(input).await;
    }
}

impl<P> fmt::Debug for BisectedProcessor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BisectedProcessor")
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
