//! The creation of leases.
//!
//! A creation may be answered after the row exists, or not at all. So the token that the row is to
//! bear is issued before the call: if a row with it is found, this worker made it, whatever the
//! answer was. A token whose row may exist is abandoned and never forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::decide::shards::NewLease;
use crate::lease::Error;
use crate::model::ShardId;
use crate::runtime::pause;
use crate::worker::streams::ReadStream;

use super::context::{Acquired, BETWEEN_TRIES, Context, TRIES};

/// How many leases are created at the same time: enough that 10,000 take seconds, and few enough that
/// renewals still get their turn with the table.
pub(super) const AT_ONCE: usize = 16;

impl Context {
    /// Makes the lease, held by this worker (`owned`) or by nobody. Nothing when it exists already,
    /// whoever made it.
    pub(super) async fn create(
        &self,
        of: &ReadStream,
        new: &NewLease,
        owned: bool,
    ) -> Result<Option<Acquired>, Error> {
        let mut lease = new.to_lease(of.identity());
        if let Some(description) = of.description() {
            lease.facts.stream_arn = Some(Arc::clone(&description.arn));
            lease.facts.stream_created_at = Some(description.created_at);
        }
        // A row at the shard's end has no owner: nothing is to be read.
        let owned = owned && !lease.checkpoint.is_shard_end();
        if owned {
            lease = lease.owned_by(self.me().clone(), self.client.begun.begin());
        }
        // Before the first try, for all of them: the one that is carried out may be any, and
        // validity must not be counted from a later one.
        let sent = self.clock().now();
        for attempt in 0..TRIES {
            if attempt > 0 {
                pause(&**self.clock(), BETWEEN_TRIES * attempt).await;
            }
            let error = match self.client.write(self.client.table.create(&lease)).await {
                Ok(row) => return Ok(owned.then_some((row, sent))),
                Err(Error::Conflict { row }) => {
                    // After a lost answer the row that stands there may be the one that was sent.
                    let mine = row.filter(|row| owned && row.token == lease.token);
                    if let (None, Some(token)) = (&mine, &lease.token) {
                        self.client.begun.forget(token);
                    }
                    return Ok(mine.map(|row| (*row, sent)));
                }
                // It exists, and is nobody's until it is repaired.
                Err(Error::Malformed(_)) => {
                    self.client.begun.abandon_row(&lease);
                    return Ok(None);
                }
                Err(error) => error,
            };
            if !error.is_transient() || attempt + 1 == TRIES {
                // It may be there all the same, or land later.
                self.client.begun.abandon_row(&lease);
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Makes the leases of `all`, each after its parents' are acknowledged.
    pub(super) async fn create_all(
        &self,
        of: &ReadStream,
        all: &[NewLease],
        room: usize,
    ) -> Result<Vec<Acquired>, Error> {
        use futures_util::{StreamExt, stream::iter};
        let mut missing: BTreeSet<&ShardId> = all.iter().map(|new| &new.shard).collect();
        let mut left: Vec<&NewLease> = all.iter().collect();
        let (mut acquired, mut room) = (Vec::new(), room);
        while !left.is_empty() {
            let (now, later): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|new| !new.parents.iter().any(|parent| missing.contains(parent)));
            // A cycle cannot come out of a shard graph; if it did, the order would not matter any
            // more.
            let (now, later) = if now.is_empty() {
                (later, Vec::new())
            } else {
                (now, later)
            };
            let calls = now.iter().map(|new| {
                let owned = room > 0;
                room = room.saturating_sub(1);
                self.create(of, new, owned)
            });
            // All are named before the first runs: which of them are this worker's must not depend
            // on which answers first.
            let calls: Vec<_> = calls.collect();
            let made: Vec<Result<Option<Acquired>, Error>> =
                iter(calls).buffer_unordered(AT_ONCE).collect().await;
            let mut failed = None;
            for made in made {
                match made {
                    Ok(made) => acquired.extend(made),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                // What was made is left to the next scan, which finds it abandoned.
                for (row, _) in &acquired {
                    self.client.begun.abandon_row(row);
                }
                return Err(error);
            }
            for new in now {
                missing.remove(&new.shard);
            }
            left = later;
        }
        Ok(acquired)
    }
}
