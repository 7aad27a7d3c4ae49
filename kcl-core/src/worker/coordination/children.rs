//! What follows a shard that has ended, or is gone.
//!
//! The leases of the children are created before the end of the parent is stored. If it were the
//! other way round, a crash in between would leave children without leases and nobody who is
//! responsible for them, until the next audit.
//!
//! That a shard is gone is believed only when a listing shows what followed it, or has lacked it for
//! longer than listings lag behind: one listing may simply not show it yet.

use std::sync::Arc;

use crate::decide::shards::{
    EndSaid, EndVerdict, children_to_create, followers, judge_end, shard_gone,
};
use crate::model::{Checkpoint, ChildShard, Lease, LeaseKey, ShardId};
use crate::stream::{self, ErrorKind, ShardFilter};
use crate::worker::error::RunError;
use crate::worker::streams::ReadStream;

use super::audit::{by_shard, stand_ins};
use super::context::{Acquired, Context};
use super::error::CoordinationError;
use super::gate::LISTING_LAG;
use super::link::{SaidEnd, ShardFate};

impl Context {
    /// What a listing that is begun now says of an end that was read before.
    pub(super) async fn judge_end(
        &self,
        of: &ReadStream,
        shard: &ShardId,
        said: &SaidEnd,
    ) -> Result<EndVerdict, CoordinationError> {
        let asked = self.clock().now();
        let listing = self.list_while_working(of, &ShardFilter::All).await?;
        // What it shows is as old as the question, however late the answer comes.
        let is_old = asked.since(said.since) >= LISTING_LAG;
        Ok(judge_end(
            &listing.graph,
            shard,
            EndSaid {
                children: &said.children,
                is_lasting: said.is_lasting,
                is_old,
            },
        ))
    }

    /// Makes the leases of the shards that follow `parent`, whose end the listing has confirmed,
    /// before that end is stored. Where no shard is known to follow, the listing is looked through
    /// once more: the shard may have left the stream, and what followed it too.
    pub(super) async fn make_children(
        &self,
        of: &ReadStream,
        parent: &LeaseKey,
        mut children: Vec<ChildShard>,
        room: usize,
    ) -> Result<(Vec<ChildShard>, Vec<Acquired>), CoordinationError> {
        if children.is_empty() {
            let listing = self.list(of, &ShardFilter::All).await?;
            if listing.graph.is_empty()
                || listing
                    .graph
                    .get(&parent.shard)
                    .is_some_and(|shard| !shard.closed)
            {
                let what = format!(
                    "{} has ended, and this listing does not show it",
                    parent.shard
                );
                return Err(CoordinationError::Stream(stream::Error::new(
                    ErrorKind::Transient,
                    "ListShards",
                    what,
                )));
            }
            self.unlisted().remove(parent);
            children = listing.graph.child_shards(&parent.shard);
            if followers(&listing.graph, &parent.shard).is_none() {
                let rows = self.rows_of(of).await?;
                let row = rows.readable.iter().find(|row| row.key == *parent).cloned();
                let rows = rows.all();
                if let Some(gone) =
                    row.and_then(|row| shard_gone(&row, &listing.graph, &by_shard(&rows)))
                {
                    return Ok((children, self.create_all(of, &gone.create, room).await?));
                }
            }
        }
        let leases = children_to_create(&parent.shard, &children);
        let acquired = self.create_all(of, &leases, room).await?;
        Ok((children, acquired))
    }

    /// Finds out about a shard that the service did not know. When it has left the stream, the
    /// leases of what follows are made.
    pub(super) async fn whereabouts(
        &self,
        of: &Arc<ReadStream>,
        key: &LeaseKey,
        checkpoint: Checkpoint,
        room: usize,
    ) -> (ShardFate, Vec<Acquired>) {
        // The shards of a stream that was made again have the names of those before.
        match self.describe_anew(of).await {
            Err(CoordinationError::Fatal(cause)) => return (ShardFate::Failed(cause), Vec::new()),
            Err(_) if !self.inner.parts.streams.has(of) => return (ShardFate::Unknown, Vec::new()),
            // Whether the stream is there shows its listing.
            Ok(_) | Err(_) => {}
        }
        match self.look_for(of, key, checkpoint, room).await {
            Ok(found) => found,
            // The audit tells of it; the other streams go on.
            Err(CoordinationError::Stream(_)) if of.is_one_of_several() => {
                (ShardFate::Unknown, Vec::new())
            }
            Err(CoordinationError::Stream(error)) if error.kind == ErrorKind::Gone => {
                (ShardFate::Failed(RunError::Stream(error)), Vec::new())
            }
            Err(trouble) => match trouble.fatal() {
                Ok(cause) => (ShardFate::Failed(cause), Vec::new()),
                Err(_) => (ShardFate::Unknown, Vec::new()),
            },
        }
    }

    /// Where the shard of this lease is, as a listing that is begun now shows. `checkpoint` is how far
    /// it was read, whether that is stored or not.
    async fn look_for(
        &self,
        of: &ReadStream,
        key: &LeaseKey,
        checkpoint: Checkpoint,
        room: usize,
    ) -> Result<(ShardFate, Vec<Acquired>), CoordinationError> {
        let asked = self.clock().now();
        let listing = self.list_while_working(of, &ShardFilter::All).await?;
        if listing.graph.contains(&key.shard) {
            self.unlisted().remove(key);
            return Ok((ShardFate::Listed, Vec::new()));
        }
        // A listing lags behind the stream: it shows that the shard has left only if it knows of
        // the shard, by what followed it.
        let followed = listing.graph.has_lost(&key.shard);
        let now = self.clock().now();
        let since = *self.unlisted().entry(key.clone()).or_insert(now);
        // What it shows is as old as the question, however late the answer comes.
        // A shard of which something was read did exist, so it has left. One of which nothing was
        // read may be too new for this listing.
        if !followed && checkpoint.position().is_none() && asked.since(since) < LISTING_LAG {
            return Ok((ShardFate::Unknown, Vec::new()));
        }
        let mut rows = self.rows_of(of).await?;
        let Some(row) = rows.readable.iter_mut().find(|row| row.key == *key) else {
            return Ok((ShardFate::Unknown, Vec::new()));
        };
        // What is done and not stored yet is no part of the gap.
        row.checkpoint = checkpoint.max(row.checkpoint.clone());
        let row = row.clone();
        let rows = rows.all();
        let Some(gone) = shard_gone(&row, &listing.graph, &by_shard(&rows)) else {
            return Ok((ShardFate::Unknown, Vec::new()));
        };
        let acquired = self.create_all(of, &gone.create, room).await?;
        Ok((
            ShardFate::Left {
                gap: gone.gap,
                children: listing.graph.child_shards(&key.shard),
            },
            acquired,
        ))
    }

    /// The leases of a stream, by a read that many may share.
    async fn rows_of(&self, of: &ReadStream) -> Result<StreamRows, CoordinationError> {
        let table = self.all_rows().await?;
        let readable = table
            .leases
            .iter()
            .filter(|row| of.has(&row.key))
            .cloned()
            .collect();
        Ok(StreamRows {
            readable,
            unreadable: stand_ins(&table.malformed, of),
        })
    }
}

/// The leases of a stream.
struct StreamRows {
    /// Those that can be judged by what is done of them.
    readable: Vec<Lease>,
    /// See [`stand_ins`].
    unreadable: Vec<Lease>,
}

impl StreamRows {
    /// All of them: which leases exist is judged by malformed ones too.
    fn all(self) -> Vec<Lease> {
        let mut all = self.readable;
        all.extend(self.unreadable);
        all
    }
}
