//! One call of a handler with records of several shards.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::handler::rules::{ErrorSaid, FailureRules, call_within, too_old};
use crate::model::Moment;
use crate::processor::Background;

use super::flush::SharedFlush;
use super::state::MemberId;
use super::{ShardRecord, SharedBufferHandler, SharedFlushContext};

/// The records of a call, each by its index in the flush.
pub(super) struct TriedRecords {
    /// In order; never none. Between them there may be records of shards that have left.
    pub(super) indexes: Vec<usize>,
    /// The shards that they are of.
    pub(super) backgrounds: BTreeMap<MemberId, Background>,
    /// When the leases of all of them were found valid.
    pub(super) now: Moment,
}

/// What follows a call, or is known without one.
pub(super) enum CallResult {
    /// All of them are processed.
    Done,
    /// At this record, by its index in the flush, if that is known.
    Failed(Option<usize>, ErrorSaid),
    /// None of its shards is held any more.
    Gone,
}

impl<H: SharedBufferHandler> SharedFlush<H> {
    /// Those of these records that may be given to the handler now: their shards are held, and are
    /// not given up.
    pub(super) fn live(&self, span: Range<usize>) -> Option<TriedRecords> {
        let now = self.clock.now();
        let mut backgrounds = BTreeMap::new();
        let mut refused = BTreeSet::new();
        let indexes = {
            let state = self.work.state();
            let mut is_live = |id: MemberId| {
                if backgrounds.contains_key(&id) || refused.contains(&id) {
                    return backgrounds.contains_key(&id);
                }
                let member = state.members.get(&id).filter(|_| state.buffer.is_live(&id));
                // The lease of each shard is checked right before the hand-out, as everywhere.
                let valid = member.filter(|member| member.background.may_begin().is_some());
                match valid {
                    Some(member) => backgrounds.insert(id, member.background.clone()).is_none(),
                    None => !refused.insert(id),
                }
            };
            span.filter(|index| is_live(self.flush.records[*index].0))
                .collect::<Vec<_>>()
        };
        (!indexes.is_empty()).then_some(TriedRecords {
            indexes,
            backgrounds,
            now,
        })
    }

    /// Which of these records is the first that is too old to be tried, by its place among them.
    pub(super) fn first_too_old(
        &self,
        rules: &FailureRules,
        tried: &TriedRecords,
    ) -> Option<usize> {
        tried.indexes.iter().position(|index| {
            let record = &self.records[*index].record;
            too_old(rules.limits, record, &*self.clock).is_some()
        })
    }

    /// One call of the handler, with no await since these records were found live.
    pub(super) async fn call(
        &self,
        rules: &FailureRules,
        tried: &TriedRecords,
        attempt: u32,
    ) -> CallResult {
        let context = SharedFlushContext {
            cause: self.flush.cause,
            attempt,
        };
        // One retry, whatever the number of shards in it.
        if attempt > 1
            && let Some(background) = tried.backgrounds.values().next()
        {
            background.tell_retried();
        }
        // Without a gap between them, which is the usual case, the handler is given a slice of the
        // flush.
        let (first, last) = (tried.indexes[0], tried.indexes[tried.indexes.len() - 1]);
        let apart: Vec<ShardRecord>;
        let records = if last - first + 1 == tried.indexes.len() {
            &self.records[first..=last]
        } else {
            let live = tried
                .indexes
                .iter()
                .map(|index| self.records[*index].clone());
            apart = live.collect();
            &apart
        };
        // Within a future of our own: the handler may panic before it has made one.
        let flushing = async { self.work.handler.flush(records, &context).await };
        let flushing = call_within(rules.attempt_limit, &*self.clock, flushing);
        let called = self.at_work(tried, flushing).await;
        match called {
            None => CallResult::Gone,
            Some(Ok(Ok(()))) => CallResult::Done,
            Some(Ok(Err(failure))) => {
                let of = failure.lease.as_ref();
                let at = failure.at.as_ref().and_then(|at| {
                    let is_it = |index: &&usize| {
                        let one = &self.records[**index];
                        one.record.position == *at && of.is_none_or(|of| *of == one.shard.lease)
                    };
                    let mut found = tried.indexes.iter().filter(is_it);
                    // Without the shard, it may be a position of two of them.
                    found.next().filter(|_| found.next().is_none()).copied()
                });
                CallResult::Failed(at, ErrorSaid::of(failure.source))
            }
            Some(Err(said)) => CallResult::Failed(None, Arc::<str>::into(said)),
        }
    }

    /// Waits for some work on these records, while any of their shards is held: dropping it would repeat
    /// that shard's records for the sake of others.
    ///
    /// It counts for each shard in it, so work that exceeds the handler budget costs the leases of all:
    /// nobody can say whose record holds it up.
    pub(super) async fn at_work<T>(
        &self,
        tried: &TriedRecords,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        for background in tried.backgrounds.values() {
            background.works_since(Some(tried.now), 1);
        }
        let ids: Vec<MemberId> = tried.backgrounds.keys().copied().collect();
        let done = tokio::select! {
            biased;
            done = work => Some(done),
            () = self.work.all_gone(&ids) => None,
        };
        for background in tried.backgrounds.values() {
            background.works_since(None, 0);
        }
        done
    }
}
