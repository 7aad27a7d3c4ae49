use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::types::ShardIteratorType;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::model::{ShardId, Timestamp};
use crate::stream::{
    Cursor, Error, ErrorKind, FanOut, Page, ShardFilter, ShardPage, ShardPageToken, StartAt,
    Stream, StreamDescription,
};

use super::classify::KinesisOperation;
use super::date::NoteDate;
use super::failure::{error_of, malformed};
use super::{KinesisStream, convert};

/// The service's bounds of `Limit`.
const LIMITS: std::ops::RangeInclusive<u32> = 1..=10_000;

/// A page arrives as JSON with the data in base64, 1.35 to 1.5 times as long as the data. The SDK
/// collects it in pieces, joins them, and decodes the records beside the joined text. Counted in a
/// process's allocations, the peak is 2.8 to 3.1 times the page for records of 1 kB and more (pages
/// of 1 to 10 MB), 3.6 times for records of 100 bytes, of which a page has 2 MB at most.
const MEMORY_WHILE_READING: f64 = 3.2;

/// In CBOR a page is read into one buffer, of which the payloads are slices. Beside it there are the
/// list of records, which has grown by doubling, and the text of the keys. Seen in a process's
/// resident memory: 2.2 times the page for 10,000 records of 10 bytes, and less for larger ones,
/// whose payloads are most of the page. The test of the name `while_it_is_read` measures it.
pub(super) const MEMORY_WHILE_READING_CBOR: f64 = 2.3;

/// How far a clock may be ahead of the service's before the service refuses what is signed by it:
/// the window of a signature.
const SIGNATURE_WINDOW: Duration = Duration::from_mins(5);

#[async_trait]
impl Stream for KinesisStream {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        let operation = KinesisOperation::DescribeStreamSummary;
        self.check(operation)?;
        let call = self
            // The summary, and not `DescribeStream`: that lists the shards as well, page by page,
            // and an account has 10 calls of it a second; of the summary it has 20.
            .client
            .describe_stream_summary()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn());
        let output = call
            .send()
            .await
            .map_err(|error| self.placed(error_of(operation, error, None)))?;
        let summary = output
            .stream_description_summary
            .ok_or_else(|| malformed(operation, "the answer is empty"))?;
        convert::description(summary)
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        self.check(KinesisOperation::ListShards)?;
        let call = self.client.list_shards();
        let call = match page {
            // The token stands for the stream and the filter: beside it, they are refused.
            Some(token) => call.next_token(&token.0),
            None => call
                .set_stream_name(self.name())
                .set_stream_arn(self.arn())
                .set_shard_filter(convert::shard_filter(filter)),
        };
        // Before the call: the service's clock has passed this moment when it answers, however long
        // the call takes.
        let asked_at = self.clock.wall();
        let date = NoteDate::default();
        let sent = call.customize().interceptor(date.clone()).send().await;
        let output =
            sent.map_err(|error| self.placed(error_of(KinesisOperation::ListShards, error, None)))?;
        let shards = output
            .shards
            .unwrap_or_default()
            .into_iter()
            .map(convert::shard)
            .collect::<Result<_, _>>()?;
        let service_time = date.noted().unwrap_or_else(|| surely_past(asked_at));
        Ok(ShardPage::new(
            shards,
            output.next_token.map(ShardPageToken),
            service_time,
        ))
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        let operation = KinesisOperation::GetShardIterator;
        self.check(operation)?;
        let call = self
            .client
            .get_shard_iterator()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn());
        let call = call.shard_id(shard.as_str());
        let call = match at {
            StartAt::TrimHorizon => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            StartAt::Timestamp(time) => call
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(convert::date_time(*time)),
            StartAt::Sequence(sequence) => call
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(sequence.to_string()),
            StartAt::AfterSequence(sequence) => call
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(sequence.to_string()),
        };
        // Without a subscriber, as in all calls that carry an iterator or records: the SDK logs
        // what it sends and receives at its lower levels, and neither belongs in a log.
        let sent = call.send().with_subscriber(Dispatch::none()).await;
        let output = sent.map_err(|error| self.placed(error_of(operation, error, None)))?;
        match output.shard_iterator {
            Some(iterator) => Ok(Cursor::new(shard.clone(), iterator)),
            None => Err(malformed(
                operation,
                format!("the answer holds no iterator of {shard}"),
            )),
        }
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        let operation = KinesisOperation::GetRecords;
        self.check(operation)?;
        let bounded = i32::try_from(limit)
            .ok()
            .filter(|_| LIMITS.contains(&limit));
        let Some(bounded) = bounded else {
            let message = format!(
                "invalid limit: got {limit}, expected {} to {}",
                LIMITS.start(),
                LIMITS.end()
            );
            return Err(Error::new(ErrorKind::Fatal, operation.name(), message));
        };
        // Calls of our own first. One that the endpoint may have misunderstood is made by the SDK
        // too, and then the SDK's answer counts: see `call/`.
        let mut refused = None;
        if let Some(direct) = &self.direct {
            match direct.read(self, cursor, limit).await {
                Ok(Some(page)) => return Ok(page),
                Ok(None) => {}
                Err(error) if direct.is_doubtful(&error) => refused = Some((direct, error)),
                Err(error) => return Err(self.placed(error)),
            }
        }
        let call = self
            .client
            .get_records()
            .shard_iterator(cursor.as_str())
            .limit(bounded)
            .set_stream_arn(self.arn());
        let sent = call.send().with_subscriber(Dispatch::none()).await;
        let output =
            sent.map_err(|error| self.placed(error_of(operation, error, Some(cursor.as_str()))))?;
        let records = convert::raw_records(operation, output.records)?;
        if let Some((direct, error)) = refused {
            direct.leave_to_the_sdk(&error);
        }
        // No next iterator is the end of the shard, whether the answer names shards that follow or
        // not.
        let next = output
            .next_shard_iterator
            .map(|iterator| Cursor::new(cursor.shard().clone(), iterator));
        let children = output
            .child_shards
            // An answer that names children and goes on contradicts itself. It goes on: the end of
            // a shard must not be believed too early.
            .filter(|_| next.is_none())
            .map(convert::children)
            .unwrap_or_default();
        let mut page = Page::new(records, next).followed_by(children);
        page.millis_behind_latest = output
            .millis_behind_latest
            .and_then(|millis| u64::try_from(millis).ok());
        Ok(page)
    }

    fn memory_while_reading(&self) -> f64 {
        match &self.direct {
            Some(direct) if direct.has_cbor() => MEMORY_WHILE_READING_CBOR,
            _ => MEMORY_WHILE_READING,
        }
    }

    fn keep_within(&self, budget: usize) {
        self.pages().keep_within(budget);
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        Some(Arc::new(self.clone()))
    }
}

/// A time that the service's clock has passed when it answers what we ask at `asked_at` by our own
/// clock: were ours further ahead, the service would have refused the signature. For endpoints that
/// send no `Date`.
fn surely_past(asked_at: Timestamp) -> Timestamp {
    let window = i64::try_from(SIGNATURE_WINDOW.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(asked_at.as_millis().saturating_sub(window))
}
