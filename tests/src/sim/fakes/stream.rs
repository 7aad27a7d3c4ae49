use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures_util::future::join_all;
use kcl_core::model::{Lease, ShardId};
use kcl_core::stream::{
    Cursor, Error, ErrorKind, FanOut, Page, ShardFilter, ShardPage, ShardPageToken, StartAt,
    Stream, StreamDescription,
};

use crate::sim::counts::Fault;
use crate::sim::history::Event;
use crate::sim::link::{Life, Service};
use crate::sim::mutant::Mutant;
use crate::sim::runtime::At;
use crate::sim::state::WorldState;
use crate::sim::truth::{Read, wall};

use super::{SimFanOut, false_end};

/// The stream as one process sees it.
#[derive(Clone, Debug)]
pub(crate) struct SimStream {
    life: Arc<Life>,
    /// Which stream of the world it is.
    stream: usize,
    /// What it was when it was described first.
    described: Arc<OnceLock<StreamDescription>>,
    /// How many calls are under way that list all shards.
    listings: Arc<AtomicUsize>,
}

/// A call that lists all shards, also when its caller gives up.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn begin(listings: &'a AtomicUsize, life: &Life, stream: usize) -> Self {
        let under_way = listings.fetch_add(1, Ordering::Relaxed) + 1;
        life.sim.say(Event::Listing {
            life: life.id,
            stream,
            under_way,
        });
        Self(listings)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a cursor is good for: the service's five minutes.
const CURSOR_MS: u64 = 300_000;

impl SimStream {
    pub(crate) fn new(life: Arc<Life>, stream: usize) -> Self {
        Self {
            life,
            stream,
            described: Arc::default(),
            listings: Arc::default(),
        }
    }

    async fn list(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        let _under_way = (*filter == ShardFilter::All)
            .then(|| UnderWay::begin(&self.listings, &self.life, self.stream));
        let sim = &self.life.sim;
        let load = &sim.world().load;
        let list = |state: &mut WorldState| {
            let now = sim.now();
            let mut seen = now;
            if load.listing_lag_ms > 0 && !state.healed && state.dice.chance(0.5) {
                state.counts.add(Fault::StaleListing);
                seen = At(now
                    .0
                    .saturating_sub(state.dice.range(1, load.listing_lag_ms)));
            }
            let mut shards = state.stream.list(self.stream, filter, seen);
            if let Some(page) = page {
                let after = ShardId::from(page.0.as_str());
                shards.retain(|shard| shard.id > after);
            }
            let more = shards.len() > load.shards_a_page;
            shards.truncate(load.shards_a_page);
            false_end::list(&self.life, state, self.stream, &mut shards);
            let next = shards
                .last()
                .filter(|_| more)
                .map(|last| ShardPageToken(last.id.to_string()));
            Ok(ShardPage::new(shards, next, wall(seen)))
        };
        self.life.stream_call("ListShards", list).await
    }
}

/// A place, when it was opened or given, and whether it was given with a page.
struct Place {
    /// The shard: of two streams of one name, one after the other, the names of shards are the
    /// same.
    index: usize,
    raw: usize,
    at: At,
    goes_on: bool,
}

impl Place {
    fn text(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.index,
            self.raw,
            self.at.0,
            u8::from(self.goes_on)
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let index = parts.next()?.parse().ok()?;
        let raw = parts.next()?.parse().ok()?;
        let at = At(parts.next()?.parse().ok()?);
        Some(Self {
            index,
            raw,
            at,
            goes_on: parts.next()? == "1",
        })
    }
}

pub(super) fn shard_of(
    state: &WorldState,
    stream: usize,
    id: &ShardId,
    operation: &'static str,
) -> Result<usize, Error> {
    match state.stream.shard(stream, id) {
        Some((index, shard)) if shard.left.is_none() => Ok(index),
        _ => Err(Error::new(
            ErrorKind::Gone,
            operation,
            format!("there is no shard {id}"),
        )),
    }
}

/// The place at which a reader begins, unless it is none of this stream.
pub(super) fn place_of(
    state: &WorldState,
    index: usize,
    at: &StartAt,
    operation: &'static str,
) -> Result<usize, Error> {
    let denied = || {
        Error::new(
            ErrorKind::Denied,
            operation,
            format!("{at:?} is no place in this stream"),
        )
    };
    state.stream.place(index, at).ok_or_else(denied)
}

#[async_trait]
impl Stream for SimStream {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        let describe = |state: &mut WorldState| {
            let now = state.stream.describe(self.stream);
            let first = self.described.get_or_init(|| now.clone());
            Ok(if self.life.sim.mutant() == Some(Mutant::DescriptionKept) {
                first.clone()
            } else {
                now
            })
        };
        self.life
            .stream_call("DescribeStreamSummary", describe)
            .await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        if self.life.sim.mutant() != Some(Mutant::ListingForEachLease) {
            return self.list(filter, page).await;
        }
        let is_mine = |row: &&Lease| row.owner.as_ref() == Some(&self.life.worker);
        let mine = self.life.sim.state().table.leases().filter(is_mine).count();
        join_all((0..mine.max(1)).map(|_| self.list(filter, page)))
            .await
            .swap_remove(0)
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        let operation = "GetShardIterator";
        let open = |state: &mut WorldState| {
            let index = shard_of(state, self.stream, shard, operation)?;
            let too_far = self.life.sim.mutant() == Some(Mutant::ResumeOneTooFar)
                && matches!(at, StartAt::Sequence(_));
            let raw = place_of(state, index, at, operation)? + if too_far { 2 } else { 0 };
            let place = Place {
                index,
                raw,
                at: self.life.sim.now(),
                goes_on: false,
            };
            Ok(Cursor::new(shard.clone(), place.text()))
        };
        self.life.stream_call(operation, open).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        let operation = "GetRecords";
        let expired = || Error::new(ErrorKind::Expired, operation, "the cursor has expired");
        let read = |state: &mut WorldState| {
            let now = self.life.sim.now();
            let place = Place::parse(cursor.as_str()).ok_or_else(expired)?;
            let faults = self.life.sim.link(Service::Stream, state.healed);
            if state.dice.chance(faults.expired) || now.since(place.at) > CURSOR_MS {
                state.counts.add(Fault::CursorExpired);
                return Err(expired());
            }
            let index = shard_of(state, self.stream, cursor.shard(), operation)?;
            if index != place.index {
                // It is one of a stream that was deleted.
                return Err(expired());
            }
            let mut limit = limit as usize;
            if state.dice.chance(faults.short) {
                state.counts.add(Fault::ShortPage);
                limit = state.dice.index(limit.min(4));
            }
            let mut found = state.stream.read(index, place.raw, limit, now);
            let chance = false_end::chance(state, index, faults.false_end);
            let is_drawn = state.dice.chance(chance);
            let is_last = found.next.is_none();
            let false_end = false_end::is_told(
                &self.life,
                state,
                index,
                found.records.len(),
                is_last,
                is_drawn,
            );
            if false_end && (is_last || state.dice.chance(0.5)) {
                // `{}`.
                return Ok(Page::new(Vec::new(), None)
                    .followed_by(false_end::named(&self.life, state, index)));
            }
            say_found(&self.life, state, index, &found, place.goes_on);
            if found.next.is_none() && is_endless(&self.life) {
                state.say(
                    now,
                    Event::EndPolled {
                        life: self.life.id,
                        shard: index,
                    },
                );
                if self.life.sim.mutant() == Some(Mutant::EndNotAsked) {
                    found.next = Some(found.behind);
                }
            }
            spoil(&self.life, state, index, &mut found);
            if false_end {
                (found.next, found.children) = (None, false_end::named(&self.life, state, index));
            }
            let next = found.next.map(|raw| {
                // A page without records leaves a cursor that was opened as it was: nothing has
                // been read with it yet.
                let goes_on = place.goes_on || !found.records.is_empty();
                Cursor::new(
                    cursor.shard().clone(),
                    Place {
                        index,
                        raw,
                        at: now,
                        goes_on,
                    }
                    .text(),
                )
            });
            Ok(Page::new(found.records, next)
                .behind(found.millis_behind)
                .followed_by(found.children))
        };
        self.life.stream_call(operation, read).await
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        let faults = self.life.sim.world().fan_out.clone()?;
        Some(Arc::new(SimFanOut::new(
            Arc::clone(&self.life),
            self.stream,
            faults,
        )))
    }
}

/// Whether subscriptions of this process do not tell the end of a shard.
fn is_endless(life: &Life) -> bool {
    life.sim
        .world()
        .fan_out
        .as_ref()
        .is_some_and(|fan_out| fan_out.endless && !fan_out.mixed)
}

/// Tells the judge what a reader finds: records that retention took before it came to them, or a
/// shard that has ended without any. It `goes_on` if it was given records before.
pub(super) fn say_found(
    life: &Life,
    state: &mut WorldState,
    shard: usize,
    found: &Read,
    goes_on: bool,
) {
    let now = life.sim.now();
    if let Some((from, to)) = found.overtaken {
        state.counts.add(Fault::TrimmedUnread);
        if goes_on {
            state.say(
                now,
                Event::Overtaken {
                    life: life.id,
                    shard,
                    from,
                    to,
                },
            );
        }
    }
    if found.next.is_none() && found.records.is_empty() && !goes_on {
        state.say(
            now,
            Event::FoundEmpty {
                life: life.id,
                shard,
            },
        );
    }
}

/// What mutants do to a page.
pub(super) fn spoil(life: &Life, state: &mut WorldState, index: usize, page: &mut Read) {
    let shard = &state.stream.shards()[index];
    match life.sim.mutant() {
        Some(Mutant::EndBeforeLastRecord) if !shard.is_open() => {
            page.next = None;
            page.children.clone_from(&shard.children);
        }
        Some(Mutant::EmptyShardNeverEnds) if shard.len() == 0 => page.next = Some(0),
        Some(Mutant::RecordTwice) if state.dice.chance(0.05) => {
            page.records.extend(page.records.last().cloned());
        }
        _ => {}
    }
}
