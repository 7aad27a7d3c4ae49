//! The stream in memory as one that is polled.
//!
//! Reading changes nothing but the ledger, so a future that is dropped leaves nothing half done.
//! Each call enters the ledger before anything else: a call that a test has ordered to fail does
//! nothing, as one that never reached the service.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{ShardId, Timestamp};
use crate::stream::{
    Cursor, Error, ErrorKind, FanOut, Page, ShardFilter, ShardPage, ShardPageToken, StartAt,
    Stream, StreamDescription,
};

use super::MemoryStream;
use super::ledger::Operation;
use super::place::CursorText;
use super::shard::{MAX_PAGE_BYTES, MAX_PAGE_RECORDS, ReadResult};

#[async_trait]
impl Stream for MemoryStream {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.state()
            .ledger
            .enter(Operation::Describe, None, self.now())?;
        Ok(self.description().clone())
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        let mut state = self.state();
        state
            .ledger
            .enter(Operation::ListShards, None, self.now())?;
        // A token is the id of the last shard on the previous page.
        let is_after = |id: &ShardId| page.is_none_or(|token| id.as_str() > token.0.as_str());
        let listed = state
            .log
            .shards()
            .filter(|log| is_after(log.id()) && state.log.passes(filter, log));
        // One more than a page holds, which tells whether another page follows.
        let mut shards: Vec<_> = listed
            .take(state.shards_a_page + 1)
            .map(|log| log.shard.clone())
            .collect();
        let more = shards.len() > state.shards_a_page;
        shards.truncate(state.shards_a_page);
        let next = shards
            .last()
            .filter(|_| more)
            .map(|last| ShardPageToken(last.id.to_string()));
        // Under the same lock as the shards: a shard that is opened later has not been listed, and
        // its records are later than this time.
        Ok(ShardPage::new(shards, next, self.wall()))
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        let mut state = self.state();
        state
            .ledger
            .enter(Operation::Open, Some(shard), self.now())?;
        // The shard first: one that has gone is `Gone`, whatever time is asked for.
        let log = state.log.shard(Operation::Open.name(), shard)?;
        check_start(Operation::Open.name(), at, self.wall())?;
        let place = log.place(at, state.log.tip());
        let text = CursorText {
            generation: state.generation,
            place,
        };
        Ok(Cursor::new(shard.clone(), text.to_string()))
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        let mut state = self.state();
        let operation = Operation::Read.name();
        state
            .ledger
            .enter(Operation::Read, Some(cursor.shard()), self.now())?;
        if !(1..=MAX_PAGE_RECORDS).contains(&limit) {
            let message = format!("invalid limit: got {limit}, expected 1 to {MAX_PAGE_RECORDS}");
            return Err(Error::new(ErrorKind::Fatal, operation, message));
        }
        let expired = |why| Error::new(ErrorKind::Expired, operation, why);
        let text: CursorText = cursor
            .as_str()
            .parse()
            // A cursor of another stream is no mistake of the application: after the stream was
            // replaced, readers still have some. They open the shard again, and learn then that it
            // has gone.
            .map_err(|()| expired("the cursor is not one of this stream"))?;
        if text.generation != state.generation {
            return Err(expired("the cursor has expired"));
        }
        let log = state.log.shard(operation, cursor.shard())?;
        // At most a page of the service, whatever `limit` says.
        let found = log.read(&text.place, limit as usize, MAX_PAGE_BYTES);
        let behind = millis_behind(&found, self.wall());
        // The end comes with the last records and not after them, as with the service.
        let page = if log.shard.closed && !found.more {
            Page::new(found.records, None).followed_by(log.children.clone())
        } else {
            let next = CursorText {
                generation: state.generation,
                place: found.next,
            };
            Page::new(
                found.records,
                Some(Cursor::new(cursor.shard().clone(), next.to_string())),
            )
        };
        Ok(page.behind(behind))
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        Some(Arc::new(self.clone()))
    }
}

/// Rejects a time in the future, as the service does. This also verifies that a `service_time` is
/// never too late.
pub(super) fn check_start(
    operation: &'static str,
    at: &StartAt,
    now: Timestamp,
) -> Result<(), Error> {
    match at {
        StartAt::Timestamp(time) if *time > now => Err(Error::new(
            ErrorKind::Denied,
            operation,
            format!("invalid start time {time}: expected a time that is not in the future"),
        )),
        _ => Ok(()),
    }
}

/// How old the last record of a page is, in milliseconds. 0 only if no record follows it.
pub(super) fn millis_behind(found: &ReadResult, now: Timestamp) -> u64 {
    let last = found
        .records
        .last()
        .and_then(|record| record.arrived_at)
        .filter(|_| found.more);
    // At least 1 while records follow: a record of this millisecond would otherwise count as the
    // tip, and a shard as caught up that is not.
    last.map_or(0, |at| {
        u64::try_from(now.as_millis().saturating_sub(at.as_millis()))
            .unwrap_or(0)
            .max(1)
    })
}
