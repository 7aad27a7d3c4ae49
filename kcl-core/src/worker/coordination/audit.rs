use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::decide::assignment::share;
use crate::decide::backoff::Backoff;
use crate::decide::shards::{Begin, Finished, Leases, NewLease, ShardGraph, judge_finished, leases_to_create, listing_for};
use crate::lease::{Consistency, Write, with_causes};
use crate::model::{Lease, LeaseKey, ShardId};
use crate::runtime::pause;
use crate::stream::StreamDescription;
use crate::worker::error::RunError;
use crate::worker::event::Event;
use crate::worker::streams::ReadStream;

use super::context::{Audited, Context, Trouble};
use super::view::Look;

/// A stream that could not be described is asked again after 1 s, and then less and less often.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

impl Context {
    /// Reads what the stream is, once.
    pub(super) async fn describe<'a>(&self, of: &'a ReadStream) -> Result<&'a StreamDescription, Trouble> {
        if let Some(description) = of.description() {
            return Ok(description);
        }
        let source = of.reader(&self.inner).await?;
        let description = self.stream_call("DescribeStreamSummary", source.describe()).await?;
        Ok(of.set_description(description))
    }

    /// The streams of which nobody knows yet what they are.
    pub(super) fn undescribed(&self) -> impl Iterator<Item = Arc<ReadStream>> {
        self.inner.parts.streams.all().into_iter().filter(|of| of.description().is_none())
    }

    /// Asks what these are, again and again, until one of them says so or none is left. Ends when the worker stops.
    pub(super) async fn describe_rest(&self) {
        for tries in 0.. {
            tokio::select! {
                biased;
                () = self.drain() => return,
                () = pause(&**self.clock(), AGAIN.longest(tries)) => {}
            }
            let mut left = false;
            for of in self.undescribed() {
                left = true;
                match self.describe(&of).await {
                    Ok(_) => return,
                    Err(trouble) => tracing::debug!(stream = %of.name, %trouble, "the stream could not be described"),
                }
            }
            if !left {
                return;
            }
        }
    }

    /// Whether the rows of the table belong to the stream that is read. Nothing is written before that is known.
    pub(super) async fn check_rows(&self) -> Result<(), Trouble> {
        let mut described = Vec::new();
        for of in self.inner.parts.streams.all() {
            match self.describe(&of).await {
                Ok(description) => described.push((Arc::clone(&of), description.clone())),
                Err(trouble) => self.unless_other_streams(&of, trouble)?,
            }
        }
        let rows = self.snapshot(Consistency::Strong).await?.leases;
        described.iter().try_for_each(|(of, description)| check_stream(&rows, of, description))
    }

    /// One stream of several that cannot be read is no reason to stop reading the others.
    fn unless_other_streams(&self, of: &ReadStream, trouble: Trouble) -> Result<(), Trouble> {
        if !of.is_one_of_several() || matches!(trouble, Trouble::Table(_) | Trouble::Fatal(_)) {
            return Err(trouble);
        }
        let error = format!("{}: {}", of.name, with_causes(&trouble)).into();
        self.inner.outlet.say(Event::Busy { what: "to compare the shards of a stream with the leases", error });
        Ok(())
    }

    /// Compares the shards of the streams with the leases, makes what is missing and deletes what is done and gone. `room` bounds how
    /// many of the new ones this worker may hold; `known` are those that it holds or has seen of late. A row of theirs that is missing
    /// was deleted by somebody, and is put back by its holder with what was done; if nobody does, it is made by a later audit.
    pub(super) async fn audit(&self, room: usize, known: BTreeSet<LeaseKey>) -> Result<Audited, Trouble> {
        let streams = self.inner.parts.streams.all();
        for of in &streams {
            if let Err(trouble) = self.describe(of).await {
                self.unless_other_streams(of, trouble)?;
            }
        }
        let begun = self.clock().now();
        // Whole: a stream that was removed since is compared all the same, and must not look as if it had no lease.
        let snapshot = self.whole_table(Consistency::Strong).await?;
        let ended = self.clock().now();
        let mut audited = Audited {
            look: Look::new(snapshot, begun, ended),
            made: Vec::new(),
            acquired: Vec::new(),
            put_off: false,
            overtaken: false,
        };
        for of in streams.iter().filter(|of| of.description().is_some()) {
            let left = room.saturating_sub(audited.acquired.len());
            let done = self.audit_stream(of, left, &known, &mut audited).await;
            if let Err(trouble) = done.or_else(|trouble| self.unless_other_streams(of, trouble)) {
                // Nobody hears of what was made for other streams: it is left to the next look, which finds it abandoned.
                for (row, _) in &audited.acquired {
                    self.settler.begun.abandon_row(row);
                }
                return Err(trouble);
            }
        }
        audited.look.leases.retain(|row| self.knows(&row.key));
        Ok(audited)
    }

    async fn audit_stream(
        &self,
        of: &ReadStream,
        room: usize,
        known: &BTreeSet<LeaseKey>,
        audited: &mut Audited,
    ) -> Result<(), Trouble> {
        let rows: Vec<&Lease> = audited.look.leases.iter().filter(|row| of.has(&row.key)).collect();
        if let Some(description) = of.description() {
            check_stream(&audited.look.leases, of, description)?;
        }
        let leases = by_shard(rows.iter().copied());
        let initial = of.initial_position;
        let listing = self.list_while_working(of, &listing_for(initial, leases.is_empty())).await?;
        let mut begin = Begin::new(initial, &leases, listing.service_time);
        let mut missing = leases_to_create(&listing.graph, &leases, &begin);
        if let Some(filter) = begin.second_listing().filter(|_| !missing.is_empty() && !leases.is_empty()) {
            let open = self.list_while_working(of, &filter).await?;
            begin = begin.with_open_then(open.graph.shards().map(|shard| shard.id.clone()));
            missing = leases_to_create(&listing.graph, &leases, &begin);
        }
        // A listing may take long, and the rows are older than it.
        let now = if missing.is_empty() { Vec::new() } else { self.whole_table(Consistency::Strong).await?.leases };
        let now = by_shard(now.iter().filter(|row| of.has(&row.key)));
        if leases.is_empty() && !now.is_empty() {
            // The first leases of a stream say where all of it begins. While the shards were listed somebody else has made them,
            // at an earlier time: what was opened since then is a child of those, and does not begin at the time of this listing.
            (audited.overtaken, audited.put_off) = (true, true);
            return Ok(());
        }
        if !missing.is_empty() {
            // What looked as if no lease led to it may come after one that was made since. A row that was deleted since counts too: its
            // shard was read to the end.
            let known = leases.iter().chain(&now).map(|(shard, row)| (shard.clone(), *row)).collect();
            missing = leases_to_create(&listing.graph, &known, &begin);
        }
        self.fill_in_ranges(&rows, &listing.graph).await;
        let key = |new: &NewLease| LeaseKey { stream: of.identity(), shard: new.shard.clone() };
        let all = missing.len();
        missing.retain(|new| !known.contains(&key(new)));
        let put_off = missing.len() < all;
        audited.put_off |= put_off;
        let others = audited.look.workers.iter().filter(|row| row.worker != *self.me() && !row.leaving).count();
        let own = room.min(share(missing.len(), others + 1));
        let acquired = self.create_all(of, &missing, own).await?;
        audited.overtaken |= acquired.len() < own;
        if !put_off {
            let made: Vec<_> = missing.iter().map(|new| new.to_lease(of.identity())).collect();
            if let Some(ranges) = of.see_unread(rows.iter().copied().chain(&made), &listing.graph) {
                let keys: Vec<_> = ranges.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
                tracing::warn!(stream = %of.name, hash_keys = keys.join(","), "nobody reads these hash keys: no unfinished lease has them");
                self.inner.outlet.say(Event::HashKeysUnread { stream: of.name.clone(), ranges });
            }
        }
        // A listing for an empty table does not show every shard; then there is nothing to delete either.
        for row in rows {
            if let Finished::Delete(expect) = judge_finished(row, &listing.graph, &leases) {
                match self.settler.write(self.settler.table.delete(&row.key, &expect)).await {
                    Ok(()) => {
                        tracing::debug!(lease = %row.key, "the lease of a finished shard that has left the stream was deleted");
                    }
                    // Not as it was judged, or not now: the next audit judges anew.
                    Err(error) => tracing::debug!(lease = %row.key, %error, "the lease of a finished shard was not deleted"),
                }
            }
        }
        audited.made.extend(missing.iter().map(key));
        audited.acquired.extend(acquired);
        Ok(())
    }

    /// Leases of a KCL before 2.3 have no hash key range: they get that of their shard, as the KCL gives it to them.
    async fn fill_in_ranges(&self, rows: &[&Lease], graph: &ShardGraph) {
        let lacks = rows.iter().filter(|row| row.hash_range.is_none() && !row.checkpoint.is_shard_end());
        for (row, shard) in lacks.filter_map(|row| Some((row, graph.get(&row.key.shard)?))) {
            let write = Write::hash_range(shard.hash_range);
            if let Err(error) = self.settler.write(self.settler.table.update(&row.key, &write.expect, &write.change)).await {
                // The next audit finds it again.
                tracing::debug!(lease = %row.key, %error, "the hash key range of a lease was not filled in");
            }
        }
    }
}

/// The leases of one stream.
pub(super) fn by_shard<'a>(rows: impl IntoIterator<Item = &'a Lease>) -> Leases<'a> {
    rows.into_iter().map(|row| (row.key.shard.clone(), row)).collect::<BTreeMap<ShardId, &Lease>>()
}

/// The rows must belong to the stream that is read, and to that one, not to a former one of its name.
fn check_stream(rows: &[Lease], of: &ReadStream, stream: &StreamDescription) -> Result<(), Trouble> {
    for row in rows.iter().filter(|row| of.has(&row.key)) {
        if let Some(found) = row.facts.stream_arn.as_ref().filter(|found| **found != stream.arn) {
            let (found, wanted) = (Arc::clone(found), Arc::clone(&stream.arn));
            return Err(Trouble::Fatal(RunError::OtherStream { found, wanted }));
        }
        if row.facts.stream_created_at.is_some_and(|created| created != stream.created_at) {
            return Err(Trouble::Fatal(RunError::StreamReplaced { stream: Arc::clone(&stream.arn) }));
        }
    }
    Ok(())
}
