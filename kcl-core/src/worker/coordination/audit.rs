use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decide::assignment::share;
use crate::decide::shards::{Begin, Finished, Leases, judge_finished, leases_to_create, listing_for};
use crate::lease::{Consistency, Snapshot};
use crate::model::{Lease, LeaseKey, ShardId};
use crate::stream::StreamDescription;
use crate::worker::error::RunError;

use super::context::{Audited, Context, Trouble};
use super::view::Look;

impl Context {
    /// Reads what the stream is, once.
    pub(super) async fn describe(&self) -> Result<&StreamDescription, Trouble> {
        if let Some(description) = self.description.get() {
            return Ok(description);
        }
        let description = self.stream_call("DescribeStreamSummary", self.source.describe()).await?;
        Ok(self.description.get_or_init(|| description))
    }

    /// Whether the rows of the table belong to the stream that is read. Nothing is written before that is known.
    pub(super) async fn check_rows(&self) -> Result<(), Trouble> {
        let description = self.describe().await?;
        check_stream(&self.snapshot(Consistency::Strong).await?.leases, description)
    }

    /// Compares the shards of the stream with the leases, makes what is missing and deletes what is done and gone. `room` bounds how
    /// many of the new ones this worker may hold; `held` are those that it holds. A row of theirs that is missing was deleted by
    /// somebody, and is put back by its writer with what was done.
    pub(super) async fn audit(&self, room: usize, held: Vec<LeaseKey>) -> Result<Audited, Trouble> {
        let description = self.describe().await?;
        let begun = self.clock().now();
        let Snapshot { leases: rows, workers, .. } = self.snapshot(Consistency::Strong).await?;
        let ended = self.clock().now();
        check_stream(&rows, description)?;
        let leases = by_shard(&rows);
        let initial = self.inner.parts.settings.initial_position;
        let listing = self.list_while_working(&listing_for(initial, leases.is_empty())).await?;
        let mut begin = Begin::new(initial, &leases, listing.service_time);
        let mut missing = leases_to_create(&listing.graph, &leases, &begin);
        if let Some(filter) = begin.second_listing().filter(|_| !missing.is_empty() && !leases.is_empty()) {
            let open = self.list_while_working(&filter).await?;
            begin = begin.with_open_then(open.graph.shards().map(|shard| shard.id.clone()));
            missing = leases_to_create(&listing.graph, &leases, &begin);
        }
        missing.retain(|new| !held.iter().any(|held| held.shard == new.shard));
        let others = workers.iter().filter(|row| row.worker != *self.me() && !row.leaving).count();
        let acquired = self.create_all(&missing, room.min(share(missing.len(), others + 1))).await?;
        // A listing for an empty table does not show every shard.
        let done: Vec<_> = if leases.is_empty() { Vec::new() } else { rows.iter().collect() };
        for row in done {
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
        let made = missing.iter().map(|new| LeaseKey::single(new.shard.clone())).collect();
        Ok(Audited { look: Look { leases: rows, workers, begun, ended }, made, acquired })
    }
}

/// The leases of the one stream that is read.
pub(super) fn by_shard(rows: &[Lease]) -> Leases<'_> {
    rows.iter().map(|row| (row.key.shard.clone(), row)).collect::<BTreeMap<ShardId, &Lease>>()
}

/// The rows must belong to the stream that is read, and to that one, not to a former one of its name.
fn check_stream(rows: &[Lease], stream: &StreamDescription) -> Result<(), Trouble> {
    for row in rows {
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
