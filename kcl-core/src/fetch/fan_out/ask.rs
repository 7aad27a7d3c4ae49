//! Whether a shard has ended whose subscription does not say so, or that it said so has to be
//! confirmed: one `GetRecords` shows.

use crate::decide::subscription::ASK_AGAIN;
use crate::fetch::budget::Permit;
use crate::fetch::fetched::Fetched;
use crate::fetch::page_decoder::{bounded, occupied};
use crate::model::ChildShard;
use crate::stream::{Error, Page, StartAt};

use super::{FanOutFetch, MAX_RECORDS};

/// How many pages are asked for at most, one after the other: the first may hold the last record
/// once more, and the next one nothing.
const PAGES: usize = 3;

impl FanOutFetch {
    /// Whether it is time to ask.
    ///
    /// Asking costs a call of the five per second that all readers of a shard share, so it is asked
    /// only if something speaks for an end: children were named, the shard is listed as closed, or
    /// it has been quiet for long.
    pub(super) fn is_to_ask(&mut self) -> bool {
        let now = self.clock.now();
        let quiet = now.since(self.quiet_since);
        let is_listed_closed = self.listed.is_closed(&self.shard, quiet);
        self.asks
            .is_due(now, !self.named.is_empty(), is_listed_closed, quiet)
    }

    /// Asks by polling what follows the last record. The subscription stays, unless the shard has
    /// ended: what it pushes of what was polled meanwhile is dropped. Nothing if the answers say
    /// nothing; that one fails is no harm, as the records are pushed.
    ///
    /// The place to resume from moves with what was polled, exactly as with an event, so records
    /// are neither delivered twice nor skipped.
    pub(super) async fn ask(&mut self) -> Option<Fetched> {
        self.asks.asked(self.clock.now());
        for _ in 0..PAGES {
            let mut permit = self.make_room().await;
            let (page, is_full) = match self.poll_once(&permit).await {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::debug!(%error, again_in = ?ASK_AGAIN, "could not find out by polling \
                        whether the shard has ended");
                    self.permit = Some(permit);
                    return None;
                }
            };
            self.asking.clone_from(&page.next);
            let end = page.next.is_none().then(|| self.followers(page.children));
            if end.is_some() && self.subscription.take().is_some() {
                self.meters.ended("shard_end");
            }
            if (end.is_some() || !page.records.is_empty()) && std::mem::take(&mut self.asks_at_last)
            {
                self.intake.resume.proves();
            }
            permit.correct(occupied(&page.records));
            let fetched = self.intake.take_in(
                page.records,
                is_full,
                page.millis_behind_latest,
                end,
                permit,
            );
            if fetched.is_some() {
                self.quiet_since = self.clock.now();
                return fetched;
            }
        }
        None
    }

    /// The children as the last page names them, or else as an event did.
    fn followers(&self, named: Vec<ChildShard>) -> Vec<ChildShard> {
        if named.is_empty() {
            self.named.clone()
        } else {
            named
        }
    }

    /// A page, and whether it holds as many records as were asked for.
    ///
    /// It continues where the last question ended, so that a question after a long silence does not
    /// begin at the last record again.
    async fn poll_once(&mut self, permit: &Permit) -> Result<(Page, bool), Error> {
        let limit = self.settings.call_limit;
        let cursor = match self.asking.take() {
            Some(cursor) => cursor,
            None => {
                let start = self.intake.resume.after(self.clock.now());
                self.asks_at_last = matches!(start, StartAt::Sequence(_));
                bounded(
                    &*self.clock,
                    limit,
                    "GetShardIterator",
                    self.source.open(&self.shard, &start),
                )
                .await?
            }
        };
        let factor = self
            .settings
            .memory_while_reading
            .max(self.intake.size.growth());
        let records = self.intake.size.limit(permit.bytes(), MAX_RECORDS, factor);
        let page = bounded(
            &*self.clock,
            limit,
            "GetRecords",
            self.source.read(&cursor, records),
        )
        .await?;
        let is_full = page.records.len() >= records as usize;
        Ok((page, is_full))
    }
}
