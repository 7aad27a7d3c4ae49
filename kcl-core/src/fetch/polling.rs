//! Reads a shard by `GetRecords`, one page after the other.
//!
//! ```text
//!  cursor --> pace --> permit --> GetRecords --> take_in --> Fetched
//!    ^ opened where Resume says     | error: recover, a pause, and again
//!    +------------------------------+
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::decide::backoff::Backoff;
use crate::decide::pace::{Pace, PaceSettings};
use crate::model::ShardId;
use crate::runtime::{Clock, jitter, pause};
use crate::stream::{Cursor, Error, ErrorKind, Page, Stream};
use crate::tenancy::held::ProgressReporter;

use super::budget::{BudgetShare, Permit};
use super::fetched::{Fetch, FetchError, Fetched, OpenAgain};
use super::page_decoder::{PageDecoder, bounded, occupied};

/// The settings of polling.
#[derive(Clone, Debug)]
pub(crate) struct PollingSettings {
    /// How often the shard may be read.
    pub(crate) pace: PaceSettings,
    /// The most records to ask for at once: 10,000, the service's limit.
    pub(crate) max_records: u32,
    /// How long one call may take: 30 s as in the KCL.
    pub(crate) call_limit: Duration,
    /// How long one call of `GetRecords` may take: 10 s by default, in which a page of 10 MiB
    /// arrives at 8 Mbit/s.
    pub(crate) read_limit: Duration,
}

/// Reads a shard with `GetRecords`.
#[derive(Debug)]
pub(crate) struct PollingFetch {
    /// The stream, whose calls neither pace nor retry by themselves.
    stream: Arc<dyn Stream>,
    /// What it reads.
    shard: ShardId,
    /// For the pace of calls and the pauses after failures.
    clock: Arc<dyn Clock>,
    /// As the worker was told.
    settings: PollingSettings,
    /// The shard's share of the byte budget: a page is not asked for before there is room for it.
    seat: BudgetShare,
    /// Tells the lease's writer that the loop turns. A loop that stands still loses the lease.
    turns: ProgressReporter,
    /// Takes pages apart, and knows where to resume.
    intake: PageDecoder,
    /// `None` at the beginning and after each doubt about it: it is then opened where delivery
    /// stands.
    cursor: Option<Cursor>,
    /// When the next call may be made, by the rate and by what the last page was.
    pace: Pace,
    /// Calls that failed since the last one that did not.
    failures: u32,
}

/// After a failure: 100 ms, doubled up to 5 s, each drawn with jitter.
const RETRY: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// After a call that was refused for its rate: 400 ms, twice what a shard allows, doubled up to 10
/// s. Half of each pause is fixed: with full jitter, readers of one shard would collide again at
/// once.
const THROTTLED: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(10));

impl PollingFetch {
    /// A reader that has no cursor yet: the first call opens the shard.
    pub(crate) fn new(
        stream: Arc<dyn Stream>,
        shard: ShardId,
        clock: Arc<dyn Clock>,
        settings: PollingSettings,
        seat: BudgetShare,
        turns: ProgressReporter,
        intake: PageDecoder,
    ) -> Self {
        let pace = Pace::new(settings.pace);
        stream.keep_within(seat.total());
        Self {
            stream,
            shard,
            clock,
            settings,
            seat,
            turns,
            intake,
            cursor: None,
            pace,
            failures: 0,
        }
    }

    /// The cursor, opened anew at the place to resume from if there is none.
    ///
    /// An iterator is used until the service says that it has expired: opening costs a call of its
    /// own.
    async fn cursor(&mut self) -> Result<Cursor, Error> {
        if let Some(cursor) = &self.cursor {
            return Ok(cursor.clone());
        }
        let start = self.intake.resume.open();
        let call = self.stream.open(&self.shard, &start);
        let cursor = bounded(
            &*self.clock,
            self.settings.call_limit,
            "GetShardIterator",
            call,
        )
        .await?;
        self.cursor = Some(cursor.clone());
        Ok(cursor)
    }

    /// One page, whether it holds as many records as were asked for, and the permit that it is
    /// counted by.
    ///
    /// # Errors
    /// Those of the two calls. A call that is not answered in time is one of them.
    async fn page(&mut self) -> Result<(Page, bool, Permit), Error> {
        let cursor = self.cursor().await?;
        // Received and taken apart one after the other: the larger of both is what has to be there.
        let factor = self
            .stream
            .memory_while_reading()
            .max(self.intake.size.growth());
        let want = self.intake.size.request(self.settings.max_records, factor);
        // The pace first, then memory: a shard that idles holds none, and the call follows the
        // permit at once.
        self.turns
            .while_waiting(self.clock.sleep_until(self.pace.earliest(self.clock.now())))
            .await;
        let mut permit = self.turns.while_waiting(self.seat.acquire(want)).await;
        let limit = self
            .intake
            .size
            .limit(permit.bytes(), self.settings.max_records, factor);
        let sent = self.clock.now();
        self.pace.called(sent);
        self.intake.asks();
        let call = self.stream.read(&cursor, limit);
        let page = bounded(&*self.clock, self.settings.read_limit, "GetRecords", call).await?;
        self.intake.meters.read_in(self.clock.now().since(sent));
        let bytes = occupied(&page.records);
        self.intake.size.observe(page.records.len(), bytes);
        permit.correct(bytes);
        let is_full = page.records.len() >= limit as usize;
        self.pace
            .after_page(page.records.len(), is_full, page.millis_behind_latest);
        Ok((page, is_full, permit))
    }

    /// A page in the form in which it is handed on; nothing if it says nothing.
    fn take_in(&mut self, page: Page, is_full: bool, permit: Permit) -> Option<Fetched> {
        self.failures = 0;
        self.turns.read();
        let end = page.next.is_none().then_some(page.children);
        self.cursor = page.next;
        self.intake.take_in(
            page.records,
            is_full,
            page.millis_behind_latest,
            end,
            permit,
        )
    }

    /// What an error asks for: a pause, or the end of reading.
    ///
    /// | error | pause | then |
    /// |---|---|---|
    /// | `Expired` | none, the first time | the shard is opened again |
    /// | `Throttled` | from 400 ms, doubled up to 10 s | the same cursor |
    /// | `Transient`, `Unreachable`, `Busy` | from 100 ms, doubled up to 5 s | the same cursor |
    /// | `Gone` | none, the first time | whoever asked finds out whether the shard has ended |
    /// | `Denied`, `Fatal` | | reading ends |
    async fn recover(&mut self, error: Error) -> Result<Option<Fetched>, FetchError> {
        tracing::debug!(error = %error, kind = ?error.kind, failures = self.failures, "a call to the stream failed");
        self.turns.failed(&error);
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let delay = match error.kind {
            ErrorKind::Gone => {
                // The first time it is said at once; one after the other costs a listing each.
                if failures > 0 {
                    self.turns
                        .while_waiting(pause(&*self.clock, RETRY.delay(failures - 1, jitter())))
                        .await;
                }
                return Ok(Some(self.gone()));
            }
            ErrorKind::Denied => return Err(FetchError::Denied(error)),
            ErrorKind::Fatal => return Err(FetchError::Fatal(error)),
            ErrorKind::Expired => {
                self.cursor = None;
                self.intake.meters.expired.increment(1);
                // An iterator that is merely old is replaced at once; one after the other is a
                // fault.
                if failures == 0 {
                    Duration::ZERO
                } else {
                    RETRY.delay(failures - 1, jitter())
                }
            }
            ErrorKind::Throttled => {
                self.intake.meters.throttled.increment(1);
                THROTTLED.longest(failures) / 2 + THROTTLED.delay(failures, jitter()) / 2
            }
            ErrorKind::Transient | ErrorKind::Unreachable | ErrorKind::Busy => {
                let cause = match error.kind {
                    // What answers is there, and does not accept us.
                    ErrorKind::Unreachable if error.code.is_some() => "refused",
                    ErrorKind::Unreachable => "unreachable",
                    ErrorKind::Busy => "busy",
                    _ => "transient",
                };
                self.intake.meters.retried(cause);
                RETRY.delay(failures, jitter())
            }
        };
        self.turns.while_waiting(pause(&*self.clock, delay)).await;
        Ok(None)
    }

    /// Whether the shard has really left the stream is for others to find out: the next call opens
    /// it again.
    fn gone(&mut self) -> Fetched {
        self.cursor = None;
        self.intake.gone()
    }
}

#[async_trait]
impl Fetch for PollingFetch {
    async fn next(&mut self) -> Result<Fetched, FetchError> {
        loop {
            self.turns.turned();
            if self.intake.has_ended() {
                // Nothing follows an end; whoever asks again waits for ever.
                std::future::pending::<()>().await;
            }
            let fetched = match self.page().await {
                Ok((page, is_full, permit)) => self.take_in(page, is_full, permit),
                Err(error) => self.recover(error).await?,
            };
            if let Some(fetched) = fetched {
                self.turns.turned();
                return Ok(fetched);
            }
        }
    }

    async fn open_again(&mut self, how: OpenAgain) {
        self.turns
            .while_waiting(pause(&*self.clock, how.after))
            .await;
        self.cursor = None;
        self.intake.goes_on();
    }
}

#[cfg(test)]
#[path = "polling_test.rs"]
mod tests;
