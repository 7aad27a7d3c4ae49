//! The audit: the shards of the streams compared with the leases.
//!
//! ```text
//!   describe the streams --> read the rows --> list the shards --> what is missing?
//!                                                                     | something: read the rows again, judge again
//!                                                                     +--> create, fill in, delete
//! ```
//!
//! The rows are read before the shards are listed, because what can go wrong then is harmless: a
//! lease that is created in between is missing in the rows, and the second read finds it. In the
//! other order a shard that is opened in between would be missing in the listing, and its lease would
//! look like that of a shard that has left the stream.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::assignment::share;
use crate::decide::fleet::Scan;
use crate::decide::shards::{
    Begin, Finished, Leases, NewLease, ShardGraph, judge_finished, leases_to_create, listing_for,
};
use crate::lease::{Consistency, MalformedRow, ScanPage, Write, with_causes};
use crate::model::{Checkpoint, Lease, LeaseKey, ShardId};
use crate::stream::{self, ErrorKind};
use crate::worker::event::Event;
use crate::worker::streams::ReadStream;

use super::context::{Audited, Context};
use super::describe::{check_mode, check_stream};
use super::error::CoordinationError;

impl Context {
    /// Compares the shards of the streams with the leases, makes what is missing and deletes what
    /// is done and gone. `room` bounds how many of the new ones this worker may hold; `known` are
    /// those that it holds or has seen of late. A row of theirs that is missing was deleted by
    /// somebody, and is put back by its holder with what was done; if nobody does, it is made by a
    /// later audit.
    pub(super) async fn audit(
        &self,
        room: usize,
        known: BTreeSet<LeaseKey>,
    ) -> Result<Audited, CoordinationError> {
        let mut not_yet = false;
        for of in &self.inner.parts.streams.all() {
            // The first audit comes right after the first description.
            let described = if self.audits() == 0 {
                self.describe(of).await
            } else {
                self.describe_anew(of).await
            };
            if let Err(trouble) = described {
                if of.description().is_some()
                    && of.is_one_of_several()
                    && !self.inner.parts.streams.has(of)
                {
                    continue;
                }
                if of.description().is_some() && !matches!(trouble, CoordinationError::Fatal(_)) {
                    // What it was is known, and its listing shows whether it is there.
                    let (stream, error) = (Some(of.name.clone()), with_causes(&trouble).into());
                    self.inner.outlet.say(Event::StepFailed {
                        what: "to describe a stream",
                        stream,
                        error,
                    });
                    continue;
                }
                not_yet |= trouble.is_not_yet();
                self.unless_other_streams(of, trouble)?;
            }
        }
        // Some may have been replaced.
        let streams = self.inner.parts.streams.all();
        let begun = self.clock().now();
        // Whole: a stream that was removed since is compared all the same, and must not look as if
        // it had no lease.
        let snapshot = self.whole_table(Consistency::Strong).await?;
        let ended = self.clock().now();
        let mut audited = Audited {
            look: Scan::new(snapshot, begun, ended),
            made: Vec::new(),
            acquired: Vec::new(),
            put_off: false,
            overtaken: false,
            not_yet,
        };
        for of in streams.iter().filter(|of| of.description().is_some()) {
            let left = room.saturating_sub(audited.acquired.len());
            let done = self.audit_stream(of, left, &known, &mut audited).await;
            match &done {
                Ok(()) => of.listed(None, self.clock().now()),
                Err(trouble @ (CoordinationError::Stream(_) | CoordinationError::Listing(_))) => {
                    of.listed(Some(with_causes(trouble).into()), self.clock().now());
                }
                Err(CoordinationError::Table(_) | CoordinationError::Fatal(_)) => {}
            }
            // A stream that is being made has no leases yet: that is no failure of the audit, but
            // another one has to come soon.
            let done = done.or_else(|trouble| {
                audited.not_yet |=
                    trouble.is_not_yet() && !audited.look.leases.iter().any(|row| of.has(&row.key));
                self.unless_other_streams(of, trouble)
            });
            if let Err(trouble) = done {
                // Nobody hears of what was made for other streams: it is left to the next scan,
                // which finds it abandoned.
                for (row, _) in &audited.acquired {
                    self.client.begun.abandon_row(row);
                }
                return Err(trouble);
            }
        }
        audited.look.leases.retain(|row| self.knows(&row.key));
        Ok(audited)
    }

    /// The audit of one stream, with `room` for leases of this worker's. What it has created is added
    /// to `audited` only at the end: after a failure it is left to the next scan.
    async fn audit_stream(
        &self,
        of: &ReadStream,
        room: usize,
        known: &BTreeSet<LeaseKey>,
        audited: &mut Audited,
    ) -> Result<(), CoordinationError> {
        let rows: Vec<&Lease> = audited
            .look
            .leases
            .iter()
            .filter(|row| of.has(&row.key))
            .collect();
        if let Some(description) = of.description() {
            check_stream(&audited.look.leases, of, &description)?;
            check_mode(&audited.look.leases, of, &description)?;
        }
        let unreadable = stand_ins(&audited.look.malformed, of);
        let leases = by_shard(rows.iter().copied().chain(&unreadable));
        let initial = of.initial_position;
        let listing = self
            .list_while_working(of, &listing_for(initial, leases.is_empty()))
            .await?;
        if listing.graph.is_empty() && leases.is_empty() {
            let what = format!("{} has no shards: it is being made", of.name);
            return Err(stream::Error::new(ErrorKind::Transient, "ListShards", what).into());
        }
        let mut begin = Begin::new(initial, &leases, listing.service_time);
        let mut missing = leases_to_create(&listing.graph, &leases, &begin);
        if let Some(filter) = begin
            .second_listing()
            .filter(|_| !missing.is_empty() && !leases.is_empty())
        {
            let open = self.list_while_working(of, &filter).await?;
            begin = begin.with_open_then(open.graph.shards().map(|shard| shard.id.clone()));
            missing = leases_to_create(&listing.graph, &leases, &begin);
        }
        // A listing may take long, and the rows are older than it.
        let now = if missing.is_empty() {
            ScanPage::default()
        } else {
            self.whole_table(Consistency::Strong).await?
        };
        if let Some(description) = of.description() {
            check_mode(&now.leases, of, &description)?;
        }
        let unreadable_now = stand_ins(&now.malformed, of);
        let now = by_shard(
            now.leases
                .iter()
                .filter(|row| of.has(&row.key))
                .chain(&unreadable_now),
        );
        if leases.is_empty() && !now.is_empty() {
            // The first leases of a stream say where all of it begins. While the shards were listed
            // somebody else has made them, at an earlier time: what was opened since then is a
            // child of those, and does not begin at the time of this listing.
            (audited.overtaken, audited.put_off) = (true, true);
            return Ok(());
        }
        if !missing.is_empty() {
            // What looked as if no lease led to it may come after one that was made since. A row
            // that was deleted since counts too: its shard was read to the end.
            let known = leases
                .iter()
                .chain(&now)
                .map(|(shard, row)| (shard.clone(), *row))
                .collect();
            missing = leases_to_create(&listing.graph, &known, &begin);
        }
        self.fill_in_ranges(&rows, &listing.graph).await;
        let key = |new: &NewLease| LeaseKey {
            stream: of.identity(),
            shard: new.shard.clone(),
        };
        let all = missing.len();
        missing.retain(|new| !known.contains(&key(new)));
        let put_off = missing.len() < all;
        audited.put_off |= put_off;
        let others = audited
            .look
            .workers
            .iter()
            .filter(|row| row.worker != *self.me() && !row.leaving)
            .count();
        // Workers that start together find the same table empty, and each would take all. So each
        // makes its share for itself, and the rest free.
        let own = room.min(share(missing.len(), others + 1));
        let acquired = self.create_all(of, &missing, own).await?;
        audited.overtaken |= acquired.len() < own;
        if !put_off {
            let made: Vec<_> = missing
                .iter()
                .map(|new| new.to_lease(of.identity()))
                .collect();
            if let Some(ranges) =
                of.see_unread(leases.values().copied().chain(&made), &listing.graph)
            {
                self.inner.outlet.say(Event::HashKeysUnread {
                    stream: of.name.clone(),
                    ranges,
                });
            }
        }
        // A listing for an empty table does not show every shard; then there is nothing to delete
        // either.
        for row in rows {
            if let Finished::Delete(expect) = judge_finished(row, &listing.graph, &leases) {
                match self
                    .client
                    .write(self.client.table.delete(&row.key, &expect))
                    .await
                {
                    Ok(()) => {
                        tracing::debug!(lease = %row.key, "the lease of a finished shard that has \
                            left the stream was deleted");
                    }
                    // Not as it was judged, or not now: the next audit judges anew.
                    Err(error) => {
                        tracing::debug!(lease = %row.key, error = %with_causes(&error), "the lease of a finished shard was not deleted");
                    }
                }
            }
        }
        audited.made.extend(missing.iter().map(key));
        audited.acquired.extend(acquired);
        Ok(())
    }

    /// Leases of a KCL before 2.3 have no hash key range: they get that of their shard, as the KCL
    /// gives it to them.
    async fn fill_in_ranges(&self, rows: &[&Lease], graph: &ShardGraph) {
        let lacks = rows
            .iter()
            .filter(|row| row.hash_range.is_none() && !row.checkpoint.is_shard_end());
        for (row, shard) in lacks.filter_map(|row| Some((row, graph.get(&row.key.shard)?))) {
            let write = Write::hash_range(shard.hash_range);
            if let Err(error) = self
                .client
                .write(self.client.table.update(&row.key, &write))
                .await
            {
                // The next audit finds it again.
                tracing::debug!(lease = %row.key, error = %with_causes(&error), "the hash key range of a lease was not filled in");
            }
        }
    }
}

/// What stands for the leases of a stream that cannot be read, where it is judged which leases
/// there are: they exist, and whether anything of their shards is done is not known. Nothing is
/// ever written to them.
pub(super) fn stand_ins(malformed: &[MalformedRow], of: &ReadStream) -> Vec<Lease> {
    let keys = malformed
        .iter()
        .filter_map(MalformedRow::lease)
        .filter(|key| of.has(key));
    keys.map(|key| Lease::new(key.clone(), Checkpoint::TrimHorizon))
        .collect()
}

/// The leases of one stream, by their shards: within a stream that is what identifies them.
pub(super) fn by_shard<'a>(rows: impl IntoIterator<Item = &'a Lease>) -> Leases<'a> {
    rows.into_iter()
        .map(|row| (row.key.shard.clone(), row))
        .collect::<BTreeMap<ShardId, &Lease>>()
}
