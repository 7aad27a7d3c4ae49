//! Whether a shard has ended: an answer says so, and the listing has to confirm it.
//!
//! ```text
//!   an answer without a next iterator
//!         |  the records before it are delivered first
//!         v
//!   PendingEnd --- listing requested after the answer ---> Ended       shard_ended is called
//!         ^  |                                             Open        read again where it was
//!         |  |                                             ReadAgain   closed, but no children named yet
//!         +--+ ListAgain: 250 ms to 2 s                    Left        removed: reported as a gap
//! ```
//!
//! If the shard is ended by mistake, every later record of it is lost for good, and its children
//! start too early. If it is opened once too often, that costs a call. The verdict is
//! [`crate::decide::shards::judge_end`]'s; this file asks for listings and carries it out.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::consumer::Step;
use crate::decide::gap::DataGap;
use crate::decide::shards::{EndVerdict, UnnamedEnds};
use crate::fetch::{Batch, OpenAgain, ReadEnd};
use crate::model::{ChildShard, Moment};
use crate::runtime::{jitter, pause, within};
use crate::worker::coordination::SaidEnd;
use crate::worker::event::Event;

use super::{Backoff, ShardConsumer};

/// How long the last records of a shard are held back at most while the listing is asked whether
/// they are the last. They are delivered all the same; only `is_at_shard_end` is not set on them.
const LAST_BATCH: Duration = Duration::from_secs(2);
/// The pauses before a listing that does not show enough yet is repeated: 250 ms, doubled up to 2
/// s.
const LIST_AGAIN: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));

/// An end that was read but is not confirmed yet.
pub(super) struct PendingEnd {
    /// With the children and the gap that the answer itself named.
    read: ReadEnd,
    /// When it was read. A listing that was requested before this moment may be older than the end,
    /// and confirms nothing.
    since: Moment,
    /// How many listings were requested. The first is requested at once, each further one after a
    /// pause.
    asked: u32,
}

impl ShardConsumer {
    /// Handles the records that an answer says are the last. The processor is told whether they
    /// are, if that is known soon: delivering the records is more important.
    pub(super) async fn last_batch(&mut self, batch: &mut Batch) {
        let since = self.clock.now();
        let said = SaidEnd {
            children: batch.children.clone(),
            is_lasting: false,
            since,
        };
        let asked = within(
            &*self.clock,
            LAST_BATCH,
            self.coordination
                .judge_end(&self.stream, &self.row.key, said),
        );
        let turns = self.held.turns(Arc::clone(&self.clock));
        let judged = tokio::select! {
            biased;
            // A signal replaces the batch.
            () = self.signalled() => None,
            judged = turns.while_waiting(asked) => judged,
        };
        if let Some(Ok(EndVerdict::Ended(children))) = judged {
            batch.children.clone_from(&children);
            self.confirmed = Some(children);
        } else {
            (batch.is_last, batch.children) = (false, Vec::new());
        }
    }

    /// Notes that every record up to the end in an answer was delivered.
    pub(super) fn end_read(&mut self, read: ReadEnd) {
        self.ending = Some(PendingEnd {
            read,
            since: self.clock.now(),
            asked: 0,
        });
    }

    /// Asks the listing whether the shard has ended. If not, the shard is opened again at the same
    /// position.
    ///
    /// Until then, the shard counts as being read: it may be given up, handed over and lost, and
    /// its next owner gets the same end.
    pub(super) async fn await_end(&mut self) -> Option<Step> {
        let ending = self.ending.as_mut()?;
        let since = ending.since;
        let judged = if let Some(children) = self.confirmed.take() {
            EndVerdict::Ended(children)
        } else {
            let wait = ending
                .asked
                .checked_sub(1)
                .map(|before| LIST_AGAIN.delay(before, jitter()));
            ending.asked = ending.asked.saturating_add(1);
            let is_lasting = self.unnamed_ends.are_lasting(since);
            let said = SaidEnd {
                children: ending.read.children.clone(),
                is_lasting,
                since,
            };
            let turns = self.held.turns(Arc::clone(&self.clock));
            let clock = Arc::clone(&self.clock);
            let asked = async {
                if let Some(wait) = wait {
                    pause(&*clock, wait).await;
                }
                self.coordination
                    .judge_end(&self.stream, &self.row.key, said)
                    .await
            };
            let judged = tokio::select! {
                biased;
                () = self.signalled() => return Some(self.signal_or_wait()),
                judged = turns.while_waiting(asked) => judged,
            };
            match judged {
                Ok(end) => end,
                // It was reported, and the listing is requested again.
                Err(unanswered) => {
                    self.not_read(&unanswered);
                    return None;
                }
            }
        };
        self.turns().answered();
        match judged {
            EndVerdict::Ended(children) => return Some(self.end_confirmed(children, None)),
            EndVerdict::Open => self.refuse_end(),
            EndVerdict::ReadAgain => {
                let pause = self.unnamed_ends.came(since);
                self.open_again(pause, true);
            }
            // The end was not confirmed, and never can be.
            EndVerdict::Left => {
                let unread = DataGap {
                    after: self.read_up_to(),
                    before: None,
                    certain: false,
                };
                return Some(self.end_confirmed(Vec::new(), Some(unread)));
            }
            EndVerdict::ListAgain => {}
        }
        None
    }

    /// `unread` is the gap that may be before the end, which the answer itself does not show.
    fn end_confirmed(&mut self, children: Vec<ChildShard>, unread: Option<DataGap>) -> Step {
        let gap = self
            .ending
            .take()
            .and_then(|ending| ending.read.gap)
            .or(unread);
        self.children = children;
        gap.and_then(|gap| self.report_gap(gap))
            .unwrap_or(Step::EndReached)
    }

    /// The shard is open. Nothing was skipped, because reading resumes where it was. Emulators give
    /// such answers now and then, so it is reported the first time and then less and less often.
    fn refuse_end(&mut self) {
        self.unnamed_ends = UnnamedEnds::default();
        self.meters.ends_refused.increment(1);
        let refused = self.refusals.refused(self.clock.now());
        if refused.tell {
            let times = refused.times;
            self.inner.outlet.say(Event::EndRefused {
                shard: self.shard.clone(),
                times,
            });
        }
        self.open_again(refused.pause, false);
    }

    /// The feed itself stays: it knows the place, and which records were delivered.
    fn open_again(&mut self, after: Duration, is_closed: bool) {
        self.ending = None;
        if let Some(feed) = &self.feed {
            feed.open_again(OpenAgain { after, is_closed });
        }
    }
}
