use std::time::Duration;

use crate::decide::backoff::Backoff;
use crate::model::{ChildShard, Moment, ShardId};

use super::{ShardGraph, followers};

/// What has been said of the end of a shard.
#[derive(Clone, Copy, Debug)]
pub struct EndSaid<'a> {
    /// The shards that follow, as the answer named them.
    pub children: &'a [ChildShard],
    /// The answers before this one said the same for long enough, of a shard that was listed closed
    /// ([`UnnamedEnds`]).
    pub is_lasting: bool,
    /// The listing has had the time by which it may lag behind the stream.
    pub is_old: bool,
}

/// What follows from an answer that says that a shard has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndVerdict {
    /// It has ended. These follow, as far as anybody knows. Of a shard that has left the stream it
    /// is what the answer named: what else follows is found with the rows
    /// ([`shard_gone`](super::shard_gone)).
    Ended(Vec<ChildShard>),
    /// It is listed open: either the answer is wrong or the listing lags behind. The shard is read
    /// again where it was.
    Open,
    /// It is closed, and the answer names nothing that follows: it is read again where it was,
    /// until this has lasted.
    ReadAgain,
    /// It has left the stream, and the answer names nothing that follows: the answer may be wrong,
    /// and what the shard still had cannot be read any more.
    Left,
    /// The listing does not know enough yet: it is asked again.
    ListAgain,
}

/// Judges an answer that says that `shard` has ended, by a listing of all shards that was asked for
/// after the answer.
///
/// No answer ends a shard by itself. Emulators and proxies give answers without a next place that
/// mean nothing (an empty one, even), and what comes later would never be read. So the listing has
/// to say that the shard is closed, or that it has left the stream.
///
/// A closed shard may have records left. The service names the children with the last page, so an
/// answer that names none is believed only when answers have said the same for longer than what is
/// broken between here and there is likely to last.
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
        // A stream always has a shard: an empty listing shows nothing. One that names nothing
        // younger may be older than the shard.
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

/// Answers that said that a shard has ended and were not believed, one soon after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct FalseEnds {
    count: u32,
    last: Option<Moment>,
}

/// What follows an answer that was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterFalseEnd {
    /// How long to wait before the shard is read again.
    pub pause: Duration,
    /// How many there have been, one soon after the other: 1 for the first.
    pub times: u32,
    /// Whether it is to be told: the first time and then less and less often.
    pub tell: bool,
}

/// The first time the shard is read again at once. Then after 250 ms, doubled up to 5 s: a listing
/// lags behind for seconds, and whoever reads a shard that has ended is given the same answer until
/// it does not.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
/// How long to wait when so many came before.
fn pause_after(before: u32) -> Duration {
    before
        .checked_sub(1)
        .map_or(Duration::ZERO, |again| AGAIN.longest(again))
}

/// After so long without one, the next is a first one.
const FORGOTTEN: Duration = Duration::from_mins(1);

impl FalseEnds {
    /// An answer was not believed at `now`.
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

/// Answers that named no children of a shard that was listed closed, one after the other and
/// without a record between them.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnnamedEnds {
    first: Option<Moment>,
    count: u32,
}

/// Such answers are believed after so long. Proxies and services that fail answer oddly for
/// seconds; a server that never names children delays the end of each shard by this.
const LASTING: Duration = Duration::from_secs(15);
/// And not before so many: a process may have been stopped between two of them.
const TIMES: u32 = 6;

impl UnnamedEnds {
    /// One more came at `now`. Gives how long to wait before the shard is read again: not at all at
    /// first, then 250 ms, doubled up to 5 s.
    pub fn came(&mut self, now: Moment) -> Duration {
        self.first.get_or_insert(now);
        let before = self.count;
        self.count = before.saturating_add(1);
        pause_after(before)
    }

    /// Whether one that comes at `now` is believed.
    #[must_use]
    pub fn are_lasting(&self, now: Moment) -> bool {
        self.count >= TIMES && self.first.is_some_and(|first| now.since(first) >= LASTING)
    }
}

#[cfg(test)]
#[path = "end_test.rs"]
mod tests;
