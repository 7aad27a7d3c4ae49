use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::decide::bisect::{AfterSplit, Bisection};
use crate::decide::shared_buffer::BeginningSharedFlush;
use crate::handler::give_up::{GivenUp, give_up};
use crate::handler::retries::LastResort;
use crate::handler::rules::{ErrorSaid, FailureRules};
use crate::handler::{Discarded, Letter};
use crate::processor::{Background, Failure};
use crate::runtime::{Clock, panic_text};

use super::call::{CallResult, TriedRecords};
use super::state::MemberId;
use super::work::SharedWork;
use super::{ShardRecord, SharedBufferHandler};

/// One flush: its records, until each of them is done, given up or given back.
///
/// It differs from the flush of one shard in that a shard may leave in the middle of it:
///
/// ```text
///   records of the flush   [ 1 1 3 2 1 3 3 ]      by shard
///   shard 1 is lost        [ . . 3 2 . 3 3 ]      the next call gets these
/// ```
///
/// The indexes stay those of the whole flush, with gaps. What is left out is not done: at the end
/// its shard, if it is still a member, is given back from there on.
pub(super) struct SharedFlush<H> {
    /// The buffer that it came from, and that learns of its end.
    pub(super) work: Arc<SharedWork<H>>,
    /// The worker's, for pauses and ages.
    pub(super) clock: Arc<dyn Clock>,
    /// Which records of which shards, and why now.
    pub(super) flush: BeginningSharedFlush<MemberId>,
    /// The time of the members that it belongs to: see `SharedState::epoch`.
    /// Without it the end of an old flush would count as that of the one in progress, and another
    /// would begin beside it.
    pub(super) epoch: u64,
    /// Those of the flush, at the same indexes.
    pub(super) records: Vec<ShardRecord>,
}

/// What the work on a flush has come to so far.
struct FlushProgress {
    /// Which records are tried next.
    split: Bisection,
    /// What the last call said that failed.
    error: Option<Arc<str>>,
    /// Where failures were told, while it is not done: one record of each shard at most, by its
    /// index, with the number of the attempt.
    failing: BTreeMap<usize, u32>,
}

/// A record that is given up: by its index, why, and after how many attempts.
type GivingUp = (usize, Discarded, u32);

/// What follows a look at the next records.
enum AfterTry {
    /// The next look.
    Goes,
    /// This record is given up.
    GiveUp(GivingUp),
    /// The worker stops: nothing more is flushed.
    Stops,
}

impl<H: SharedBufferHandler> SharedFlush<H> {
    /// Until the flush is over, for whichever of its shards are left by then.
    pub(super) async fn run(self) {
        // A panic of the handler, or of a dead letter's target, is caught where it is called and
        // counts as an error. This one comes from around them, and what was done is not known: the
        // worker stops, as each shard that is left says. Without a word the records would be at
        // work for ever.
        let ended = AssertUnwindSafe(self.flush()).catch_unwind().await;
        if let Err(panic) = ended {
            let cause = panic_text(panic);
            let failure =
                || Failure::new(format!("the work around a shared flush panicked: {cause}"));
            if let Some(tried) = self.live(0..self.records.len()) {
                for background in tried.backgrounds.values() {
                    background.fail(failure());
                }
            }
        }
        self.work.state().flushed(&self.flush, self.epoch);
        self.work.changed.notify_one();
    }

    /// Calls the handler with what is live of the records, until each is done, given up or given
    /// back. It is looked anew before each call: a shard may have left during a pause, or its lease
    /// may have expired.
    async fn flush(&self) {
        let mut progress = FlushProgress {
            split: Bisection::new(self.records.len()),
            error: None,
            failing: BTreeMap::new(),
        };
        let mut is_first = true;
        while let Some(span) = progress.split.next() {
            let Some(tried) = self.live(span.clone()) else {
                // Done for the split only: none of them is reported, so none is passed by a
                // checkpoint.
                progress.split.done_up_to(span.end);
                continue;
            };
            let Some(background) = tried.backgrounds.values().next() else {
                return;
            };
            if std::mem::take(&mut is_first) {
                // Once, whatever the number of shards in it.
                background.tell_flushes(self.flush.cause.as_str());
            }
            // By any of the shards: they are of one worker, and have its rules.
            let rules = FailureRules::new(self.work.plan.retries.as_ref(), background.rules());
            let next = self.try_next(&rules, tried, span.end, &mut progress).await;
            let goes_on = match next {
                AfterTry::Goes => true,
                AfterTry::Stops => false,
                AfterTry::GiveUp(given_up) => self.give_up(&rules, given_up, &mut progress).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// The next call of the handler, and what follows it.
    async fn try_next(
        &self,
        rules: &FailureRules,
        mut tried: TriedRecords,
        mut end: usize,
        progress: &mut FlushProgress,
    ) -> AfterTry {
        let FlushProgress {
            split,
            error,
            failing,
        } = progress;
        match self.first_too_old(rules, &tried) {
            Some(0) => {
                let index = tried.indexes[0];
                // What precedes it is of shards that have left.
                split.done_up_to(index);
                return AfterTry::GiveUp((index, Discarded::TooOld, split.attempts()));
            }
            Some(old) => {
                end = tried.indexes[old];
                tried.indexes.truncate(old);
            }
            None => {}
        }
        let attempt = split.failures() + 1;
        let (at, said) = match self.call(rules, &tried, attempt).await {
            // All that was called for is gone; there may be others behind it.
            CallResult::Gone => return AfterTry::Goes,
            CallResult::Done => {
                *error = None;
                self.done(&tried, &tried.indexes, failing, |_| true);
                split.done_up_to(end);
                return AfterTry::Goes;
            }
            CallResult::Failed(at, said) => (at, said),
        };
        // Alone it is known without a name.
        let at = at.or_else(|| (tried.indexes.len() == 1).then(|| tried.indexes[0]));
        let first = at.unwrap_or(tried.indexes[0]);
        let (before, rest) = tried
            .indexes
            .split_at(tried.indexes.partition_point(|index| *index < first));
        let ErrorSaid { text, is_permanent } = said;
        let failed = if at.is_some() { &rest[..1] } else { rest };
        // Once a shard and not once a record: it is one failure to whoever is told.
        let failed = self.firsts(&tried, failed);
        // A shard that fails further on has not recovered.
        let member = |index: usize| self.flush.records[index].0;
        let fails = |id| failed.iter().any(|(_, index)| member(*index) == id);
        // The handler says that these are processed, also of shards that have left since: their
        // reports are ignored.
        self.done(&tried, before, failing, |id| !fails(id));
        for (background, index) in failed {
            background.tell_failed(&self.records[index].record.position, attempt, &text);
            failing.insert(index, attempt);
        }
        if !rules.bisects {
            if let Some((background, index)) = self.firsts(&tried, &rest[..1]).pop() {
                let record = &self.records[index].record;
                background.fail(match at {
                    Some(_) => Failure::at(record, &*text),
                    None => Failure::new(&*text),
                });
            }
            return AfterTry::Stops;
        }
        *error = Some(text);
        match split.failed(at, rules.limits.attempts_after(is_permanent)) {
            AfterSplit::Again(failures) => {
                self.pause(rules, failures).await;
                AfterTry::Goes
            }
            AfterSplit::GiveUp(index, attempts) => {
                // A letter may take long. The drains of shards that leave do not wait for it: their
                // records come again at their next owners.
                self.work.state().give_back_leaving(&self.flush);
                AfterTry::GiveUp((index, rules.limits.why(is_permanent), attempts))
            }
        }
    }

    /// Gives a record up, unless its shard has left. Returns whether the flush goes on.
    async fn give_up(
        &self,
        rules: &FailureRules,
        (index, why, attempts): GivingUp,
        progress: &mut FlushProgress,
    ) -> bool {
        let Some(tried) = self.live(index..index + 1) else {
            progress.split.done_up_to(index + 1);
            return true;
        };
        let Some(background) = tried.backgrounds.values().next() else {
            return true;
        };
        let ShardRecord { shard, record } = &self.records[index];
        let letter = Letter {
            shard,
            record,
            why,
            attempts,
            error: progress.error.as_deref().filter(|_| attempts > 0),
        };
        // It counts like a call: a dead letter that hangs costs the lease. When that is gone, the other
        // shards wait no longer.
        let giving_up = give_up(&rules.last_resort, background, letter);
        let given_up = self.at_work(&tried, giving_up).await;
        let Some(given_up) = given_up else {
            return true;
        };
        match given_up {
            GivenUp::Passed => {
                // A record that is passed has not recovered.
                self.done(&tried, &tried.indexes, &mut progress.failing, |_| false);
                progress.error = None;
                progress.split.done_up_to(index + 1);
            }
            GivenUp::NotTaken(cause) => {
                background.tell_failed(&record.position, attempts.max(1), &cause);
                progress.failing.insert(index, attempts.max(1));
                self.pause(rules, progress.split.failures().max(1)).await;
            }
            // With `Stop` the worker ends. Otherwise the lease of this one shard is over, and the
            // others go on.
            GivenUp::Left => return !matches!(rules.last_resort, LastResort::Stop),
        }
        true
    }

    /// These records are done, or passed, and what has failed of them fails no more. Shards that
    /// have recovered are told so, and those that were full can accept again.
    fn done(
        &self,
        tried: &TriedRecords,
        indexes: &[usize],
        failing: &mut BTreeMap<usize, u32>,
        has_recovered: impl Fn(MemberId) -> bool,
    ) {
        for index in indexes {
            let (id, _) = self.flush.records[*index];
            let Some(failures) = failing.remove(index) else {
                continue;
            };
            if let Some(background) = tried.backgrounds.get(&id) {
                let at = &self.records[*index].record.position;
                if has_recovered(id) {
                    background.tell_recovered(at, failures);
                }
                background.fails_no_more(at);
            }
        }
        let mut state = self.work.state();
        let mut grown = BTreeSet::new();
        for index in indexes {
            let (id, number) = self.flush.records[*index];
            state.done(id, number);
            grown.insert(id);
        }
        for id in grown {
            if let Some(member) = state.members.get(&id) {
                member.room.notify_one();
            }
        }
    }

    /// The first of these records of each shard.
    fn firsts<'a>(
        &self,
        tried: &'a TriedRecords,
        indexes: &[usize],
    ) -> Vec<(&'a Background, usize)> {
        let mut seen = BTreeSet::new();
        let firsts = indexes.iter().filter_map(|index| {
            let (id, _) = self.flush.records[*index];
            let background = tried.backgrounds.get(&id)?;
            seen.insert(id).then_some((background, *index))
        });
        firsts.collect()
    }

    /// A pause before the next try, which is without the shards that are given up.
    async fn pause(&self, rules: &FailureRules, failures: u32) {
        self.work.state().give_back_leaving(&self.flush);
        let span = rules.pause_after(failures);
        self.work.wait(&*self.clock, span).await;
        self.work.state().give_back_leaving(&self.flush);
    }
}
