use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::deaggregate::{Deaggregator, OutOfRange};
use crate::decide::backoff::Backoff;
use crate::decide::gap::DataGap;
use crate::decide::pace::{Pace, PaceSettings};
use crate::lease::held::Turns;
use crate::meters::ShardMeters;
use crate::model::{ChildShard, HashKeyRange, Moment, RawRecord, Record, ShardId, Timestamp};
use crate::runtime::{Clock, jitter, pause, within};
use crate::stream::{Cursor, Error, ErrorKind, Page, Stream};

use super::budget::{Permit, Seat};
use super::resume::Resume;
use super::size::RecordSize;

/// A way to read a shard: one page after the other, each with its permit.
#[async_trait]
pub(crate) trait Fetch: Send + fmt::Debug {
    /// The next page that says something: with records, or the shard's end. Waits for the pace, for memory, and through everything
    /// that trying again can cure. Dropping the future loses nothing: the place to resume from moves when it returns.
    async fn next(&mut self) -> Result<Fetched, FetchError>;
}

/// What a shard gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// User records, in order. Empty only at the shard's end.
    pub(crate) records: Vec<Record>,
    pub(crate) permit: Option<Permit>,
    pub(crate) millis_behind_latest: Option<u64>,
    pub(crate) fetched: Moment,
    pub(crate) fetched_at: Timestamp,
    /// A stretch before these records that was, or may have been, lost to retention.
    pub(crate) gap: Option<DataGap>,
    pub(crate) end: Option<End>,
}

/// The shard has no more records.
#[derive(Debug)]
pub(crate) enum End {
    /// It ended; these follow, as far as the service said.
    Closed(Vec<ChildShard>),
    /// The service does not know it (any more).
    Gone,
}

/// Why a shard cannot be read any further.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// This shard cannot be read by this worker.
    Denied(Error),
    /// No shard can.
    Fatal(Error),
}

/// The settings of polling.
#[derive(Clone, Debug)]
pub(crate) struct PollingSettings {
    pub(crate) pace: PaceSettings,
    /// The most records to ask for at once: 10,000, the service's limit.
    pub(crate) max_records: u32,
    /// How long one call may take: 30 s as in the KCL.
    pub(crate) call_limit: Duration,
    /// The hash keys of the shard, if they are known.
    pub(crate) hash_range: Option<HashKeyRange>,
    pub(crate) out_of_range: OutOfRange,
}

/// Reads a shard with `GetRecords`.
#[derive(Debug)]
pub(crate) struct Polling {
    stream: Arc<dyn Stream>,
    shard: ShardId,
    clock: Arc<dyn Clock>,
    settings: PollingSettings,
    seat: Seat,
    turns: Turns,
    meters: ShardMeters,
    resume: Resume,
    deaggregator: Deaggregator,
    cursor: Option<Cursor>,
    pace: Pace,
    size: RecordSize,
    /// Calls that failed since the last one that did not.
    failures: u32,
    /// The end was read: there is nothing to ask for any more.
    ended: bool,
}

/// After a failure: 100 ms, doubled up to 5 s, each drawn with jitter.
const RETRY: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// After a call that was refused for its rate: 400 ms (a shard allows a call each 200 ms), doubled up to 10 s.
const THROTTLED: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(10));

impl Polling {
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own, given once")]
    pub(crate) fn new(
        stream: Arc<dyn Stream>,
        shard: ShardId,
        clock: Arc<dyn Clock>,
        settings: PollingSettings,
        seat: Seat,
        turns: Turns,
        meters: ShardMeters,
        resume: Resume,
    ) -> Self {
        let pace = Pace::new(settings.pace);
        let deaggregator = Deaggregator::new(settings.hash_range);
        Self {
            stream,
            shard,
            clock,
            settings,
            seat,
            turns,
            meters,
            resume,
            deaggregator,
            cursor: None,
            pace,
            size: RecordSize::default(),
            failures: 0,
            ended: false,
        }
    }

    /// The cursor, opened anew at the place to resume from if there is none.
    async fn cursor(&mut self) -> Result<Cursor, Error> {
        if let Some(cursor) = &self.cursor {
            return Ok(cursor.clone());
        }
        let start = self.resume.open();
        let call = self.stream.open(&self.shard, &start);
        let cursor = self.bounded("GetShardIterator", call).await?;
        self.cursor = Some(cursor.clone());
        Ok(cursor)
    }

    /// One page with the permit that it is counted by.
    async fn page(&mut self) -> Result<(Page, Permit), Error> {
        let cursor = self.cursor().await?;
        // Received and taken apart one after the other: the larger of both is what has to be there.
        let factor = self.stream.memory_while_reading().max(self.size.growth());
        let want = self.size.request(self.settings.max_records, factor);
        // The pace first, then memory: a shard that idles holds none, and the call follows the permit at once.
        self.turns.while_waiting(self.clock.sleep_until(self.pace.earliest(self.clock.now()))).await;
        let mut permit = self.turns.while_waiting(self.seat.acquire(want)).await;
        let limit = self.size.limit(permit.bytes(), self.settings.max_records, factor);
        let sent = self.clock.now();
        self.pace.called(sent);
        let page = self.bounded("GetRecords", self.stream.read(&cursor, limit)).await?;
        self.meters.read_in(self.clock.now().since(sent));
        let bytes = occupied(&page);
        self.size.observe(page.records.len(), bytes);
        permit.correct(bytes);
        self.pace.after_page(page.records.len(), page.millis_behind_latest);
        Ok((page, permit))
    }

    async fn bounded<T>(&self, operation: &'static str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        within(&*self.clock, self.settings.call_limit, call).await.unwrap_or_else(|| {
            let message = format!("no answer within {:?}", self.settings.call_limit);
            Err(Error::new(ErrorKind::Transient, operation, message))
        })
    }

    /// A page in the form in which it is handed on; nothing if it says nothing.
    fn take_in(&mut self, page: Page, mut permit: Permit) -> Option<Fetched> {
        self.failures = 0;
        if let Some(millis) = page.millis_behind_latest {
            self.meters.lag.set(millis as f64);
        }
        self.ended = page.next.is_none();
        self.cursor = page.next;
        let last = page.records.last().map(|record| record.sequence.clone());
        let first = page.records.first().map(|record| &record.sequence);
        let gap = if first.is_some() || self.ended { self.resume.judge(first) } else { None };
        let records = self.take_apart(page.records, &mut permit);
        // Also when nothing of the page is left: what follows it is read, not the same again.
        if let Some(last) = last {
            self.resume.handed_on(last);
        }
        if records.is_empty() && !self.ended && gap.is_none() {
            return None;
        }
        Some(Fetched {
            permit: (!records.is_empty()).then_some(permit),
            records,
            millis_behind_latest: page.millis_behind_latest,
            fetched: self.clock.now(),
            fetched_at: self.clock.wall(),
            gap,
            end: self.ended.then_some(End::Closed(page.children)),
        })
    }

    /// The user records that are still to be done, with the permit for what they occupy.
    fn take_apart(&mut self, raw: Vec<RawRecord>, permit: &mut Permit) -> Vec<Record> {
        let apart = self.deaggregator.take_apart(raw);
        self.size.observe_growth(permit.bytes(), apart.occupied);
        permit.correct(apart.occupied);
        self.meters.aggregates.increment(apart.aggregates);
        self.meters.corrupt.increment(apart.corrupt);
        let mut records = apart.records;
        self.resume.keep_new(&mut records);
        let outside = records.iter().filter(|record| record.out_of_range).count();
        if outside > 0 {
            self.meters.out_of_range.increment(outside as u64);
            if self.settings.out_of_range == OutOfRange::Drop {
                records.retain(|record| !record.out_of_range);
            }
        }
        records
    }

    /// What an error asks for: a pause, or the end of reading.
    async fn recover(&mut self, error: Error) -> Result<Option<Fetched>, FetchError> {
        tracing::debug!(error = %error, kind = ?error.kind, failures = self.failures, "a call of the stream failed");
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let delay = match error.kind {
            ErrorKind::Gone => {
                // The first time it is said at once; one after the other costs a listing each.
                if failures > 0 {
                    self.turns.while_waiting(pause(&*self.clock, RETRY.delay(failures - 1, jitter()))).await;
                }
                return Ok(Some(self.gone()));
            }
            ErrorKind::Denied => return Err(FetchError::Denied(error)),
            ErrorKind::Fatal => return Err(FetchError::Fatal(error)),
            ErrorKind::Expired => {
                self.cursor = None;
                self.meters.expired.increment(1);
                // An iterator that is merely old is replaced at once; one after the other is a fault.
                if failures == 0 { Duration::ZERO } else { RETRY.delay(failures - 1, jitter()) }
            }
            ErrorKind::Throttled => {
                self.meters.throttled.increment(1);
                THROTTLED.longest(failures) / 2 + THROTTLED.delay(failures, jitter()) / 2
            }
            ErrorKind::Transient | ErrorKind::Busy => {
                self.meters.retried.increment(1);
                RETRY.delay(failures, jitter())
            }
        };
        self.turns.while_waiting(pause(&*self.clock, delay)).await;
        Ok(None)
    }

    /// Whether the shard has really left the stream is for others to find out: the next call opens it again.
    fn gone(&mut self) -> Fetched {
        self.cursor = None;
        Fetched {
            records: Vec::new(),
            permit: None,
            millis_behind_latest: None,
            fetched: self.clock.now(),
            fetched_at: self.clock.wall(),
            gap: None,
            end: Some(End::Gone),
        }
    }
}

#[async_trait]
impl Fetch for Polling {
    async fn next(&mut self) -> Result<Fetched, FetchError> {
        loop {
            self.turns.turned();
            if self.ended {
                // Nothing follows an end; whoever asks again waits for ever.
                std::future::pending::<()>().await;
            }
            let fetched = match self.page().await {
                Ok((page, permit)) => self.take_in(page, permit),
                Err(error) => self.recover(error).await?,
            };
            if let Some(fetched) = fetched {
                self.turns.turned();
                return Ok(fetched);
            }
        }
    }
}

/// The memory that the page takes before it is taken apart: its records, with the spare room of their list.
fn occupied(page: &Page) -> usize {
    let spare = page.records.capacity() - page.records.len();
    page.records.iter().map(RawRecord::occupied).sum::<usize>()
        + spare * size_of::<RawRecord>()
        // The list of user records that is made from it.
        + page.records.len() * size_of::<Record>()
}

#[cfg(test)]
#[path = "polling_test.rs"]
mod tests;
