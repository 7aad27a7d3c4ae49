use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::decide::shards::{Begin, Leases, leases_to_create, listing_for};
use crate::lease::Consistency;
use crate::model::{Lease, ShardId};
use crate::stream::StreamDescription;
use crate::worker::error::RunError;

use super::context::{Acquired, Context, Trouble};

impl Context {
    /// Reads what the stream is, once.
    pub(super) async fn describe(&self) -> Result<&StreamDescription, Trouble> {
        if let Some(description) = self.description.get() {
            return Ok(description);
        }
        let description = self.stream_call("DescribeStreamSummary", self.source.describe()).await?;
        Ok(self.description.get_or_init(|| description))
    }

    /// Compares the shards of the stream with the leases, and makes what is missing. `room` bounds how many of them this worker may
    /// hold; `held` are the shards whose leases it holds. A row of theirs that is missing was deleted by somebody, and is put back by its
    /// writer with what was done.
    pub(super) async fn audit(&self, room: usize, held: &BTreeSet<ShardId>) -> Result<Vec<Acquired>, Trouble> {
        let description = self.describe().await?;
        let rows = self.snapshot(Consistency::Strong).await?.leases;
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
        missing.retain(|new| !held.contains(&new.shard));
        Ok(self.create_all(&missing, room).await?)
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
