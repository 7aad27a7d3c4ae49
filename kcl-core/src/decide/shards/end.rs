//! Whether a shard has ended. Of all decisions this one can lose the most: a shard that is stored
//! as ended is never read again by anybody.
//!
//! Three things must agree: an answer without a next iterator, a listing that was requested after
//! it, and either the names of the children or the same answer for 15 seconds.

use std::time::Duration;

use crate::decide::backoff::Backoff;
use crate::model::{ChildShard, Moment, ShardId};

use super::{ShardGraph, followers};

/// What is known about the reported end of a shard.
#[derive(Clone, Copy, Debug)]
pub struct EndSaid<'a> {
    /// The children, as the answer named them.
    pub children: &'a [ChildShard],
    /// Whether earlier answers have said the same for long enough, for a shard that was listed as
    /// closed ([`UnnamedEnds`]).
    pub is_lasting: bool,
    /// Whether enough time has passed that the listing cannot lag behind the stream any more. Then
    /// waiting longer for the listing would only keep the children from being read.
    pub is_old: bool,
}

/// The verdict on an answer that says that a shard has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndVerdict {
    /// It has ended, with these children, as far as is known. For a shard that was removed from the
    /// stream, these are the ones that the answer named; further ones are found from the rows
    /// ([`shard_gone`](super::shard_gone)).
    Ended(Vec<ChildShard>),
    /// It is listed as open: either the answer is wrong, or the listing lags behind. Read the shard
    /// again at the same position.
    Open,
    /// It is listed as closed, but the answer names no children: read it again at the same
    /// position, until this has lasted long enough.
    ReadAgain,
    /// It was removed from the stream, and the answer names no children: the answer may be wrong,
    /// and the rest of the shard cannot be read any more.
    Left,
    /// The listing does not know enough yet: list again.
    ListAgain,
}

/// Judges an answer that says that `shard` has ended, by a listing of all shards that was requested
/// after the answer.
///
/// An answer alone does not end a shard. Emulators and proxies may return answers without a next
/// iterator although the shard goes on, even empty answers, and later records would never be read.
/// So the listing has to show that the shard is closed or was removed from the stream.
///
/// A closed shard may still have records. The service names the children on the last page, so an
/// answer that names none is believed only after answers have said the same for longer than a
/// broken proxy or service is likely to last.
#[must_use]
pub fn judge_end(graph: &ShardGraph, shard: &ShardId, said: EndSaid<'_>) -> EndVerdict {
    let named = || said.children.to_vec();
    match graph.get(shard) {
        Some(listed) if !listed.closed => EndVerdict::Open,
        Some(_) if said.children.is_empty() && !said.is_lasting => EndVerdict::ReadAgain,
        Some(_) => match followers(graph, shard) {
            Some(all) => EndVerdict::Ended(all),
            None if said.children.is_empty() && !said.is_old => EndVerdict::ListAgain,
            None if said.children.is_empty() => EndVerdict::Ended(graph.child_shards(shard)),
            None => EndVerdict::Ended(named()),
        },
        // A stream always has a shard, so an empty listing proves nothing. A listing without a
        // younger shard may be older than this shard.
        None if graph.has_lost(shard) || (said.is_old && !graph.is_empty()) => {
            if said.children.is_empty() && !said.is_lasting {
                EndVerdict::Left
            } else {
                EndVerdict::Ended(named())
            }
        }
        None => EndVerdict::ListAgain,
    }
}

/// Counts answers in close succession that said that a shard has ended and were not believed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FalseEnds {
    count: u32,
    /// When the last of them came.
    last: Option<Moment>,
}

/// What to do after an answer that was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterFalseEnd {
    /// How long to wait before the shard is read again.
    pub pause: Duration,
    /// How many there have been in close succession: 1 for the first.
    pub times: u32,
    /// Whether to report it: the first time, and then less and less often.
    pub tell: bool,
}

/// The first time, the shard is read again immediately; after that, with pauses from 250 ms,
/// doubled up to 5 s. A listing lags behind for seconds, and until it is up to date, every read of
/// an ended shard gets the same answer.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
/// How long to wait after this many earlier answers.
fn pause_after(before: u32) -> Duration {
    before
        .checked_sub(1)
        .map_or(Duration::ZERO, |again| AGAIN.longest(again))
}

/// After this long without such an answer, the next one counts as the first.
const FORGOTTEN: Duration = Duration::from_mins(1);

impl FalseEnds {
    /// Notes that an answer was not believed at `now`.
    pub fn refused(&mut self, now: Moment) -> AfterFalseEnd {
        if self.last.is_some_and(|last| now.since(last) > FORGOTTEN) {
            self.count = 0;
        }
        self.last = Some(now);
        let before = self.count;
        self.count = before.saturating_add(1);
        let pause = pause_after(before);
        AfterFalseEnd {
            pause,
            times: self.count,
            tell: self.count.is_power_of_two(),
        }
    }
}

/// Counts successive answers, without a record in between, that named no children of a shard that
/// was listed as closed.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnnamedEnds {
    /// When the first of them came. A record that is read in between starts it anew.
    first: Option<Moment>,
    count: u32,
}

/// After this long, such answers are believed. Failing proxies and services give wrong answers for
/// seconds. With a server that never names children, each shard's end is delayed by this.
const LASTING: Duration = Duration::from_secs(15);
/// The minimum number of such answers: the process may have been suspended between two of them.
const TIMES: u32 = 6;

impl UnnamedEnds {
    /// Notes another such answer at `now`. Returns how long to wait before the shard is read again:
    /// not at all at first, then 250 ms, doubled up to 5 s.
    pub fn came(&mut self, now: Moment) -> Duration {
        self.first.get_or_insert(now);
        let before = self.count;
        self.count = before.saturating_add(1);
        pause_after(before)
    }

    /// Whether such an answer at `now` is believed.
    #[must_use]
    pub fn are_lasting(&self, now: Moment) -> bool {
        self.count >= TIMES && self.first.is_some_and(|first| now.since(first) >= LASTING)
    }
}

#[cfg(test)]
#[path = "end_test.rs"]
mod tests;
