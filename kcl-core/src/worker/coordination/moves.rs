//! The writes that move a lease between workers, each carried out until it is known what became of
//! it.

use crate::lease::{Error, WorkerRow, Write};
use crate::model::{Lease, WorkerId};
use crate::runtime::pause;
use crate::tenancy::table_client::WriteOutcome;

use super::context::{Acquired, BETWEEN_TRIES, Context, TRIES};

/// What became of a request or of its withdrawal: whether the row is as it was to be made, and the
/// row if it is known.
#[derive(Debug)]
pub(super) struct WriteResult {
    /// The row is as it was to be made, by this write or by an earlier try of it.
    pub(super) done: bool,
    /// The newest row that was seen on the way.
    pub(super) row: Option<Lease>,
}

impl Context {
    /// Takes a lease that was judged free. Nothing when somebody else was first. With `look_first`
    /// the row is read before: somebody who comes before this worker may have it already. `kill` is
    /// the row whose heartbeats have held the lease.
    ///
    /// Pursued until it is known what became of it: a take that lands later would leave a row that
    /// names a worker which does not read.
    pub(super) async fn take(
        &self,
        seen: &Lease,
        look_first: bool,
        kill: Option<&WorkerRow>,
    ) -> Result<Option<Acquired>, Error> {
        if look_first {
            let row = self.client.read(self.client.table.get(&seen.key)).await?;
            if row.is_none_or(|row| row.counter != seen.counter || row.token != seen.token) {
                return Ok(None);
            }
        }
        if !self.is_let_go(seen, kill).await? {
            return Ok(None);
        }
        self.begin_tenancy(seen, Write::take).await
    }

    /// Takes a lease from a live worker that is not of ours and does not answer requests. Nothing
    /// when it is not that one's any more.
    pub(super) async fn steal(&self, seen: &Lease) -> Result<Option<Acquired>, Error> {
        // It renews each few seconds: what was seen a while ago would be refused.
        let row = self.client.read(self.client.table.get(&seen.key)).await?;
        let same = |row: &Lease| {
            (&row.owner, &row.checkpoint_owner, &row.token)
                == (&seen.owner, &seen.checkpoint_owner, &seen.token)
                && !row.checkpoint.is_shard_end()
        };
        match row.filter(same) {
            Some(row) => self.begin_tenancy(&row, Write::take).await,
            None => Ok(None),
        }
    }

    /// Claims a lease that was handed over to this worker. Nothing when it is not this worker's any
    /// more.
    pub(super) async fn claim(&self, seen: &Lease) -> Result<Option<Acquired>, Error> {
        self.begin_tenancy(seen, Write::claim).await
    }

    /// Sends the write that begins a tenancy, under a fresh token, until its fate is known or the
    /// failover time is over.
    async fn begin_tenancy(
        &self,
        seen: &Lease,
        make: impl Fn(&Lease, WorkerId, crate::model::Token) -> Write + Send,
    ) -> Result<Option<Acquired>, Error> {
        let token = self.client.begun.begin();
        let write = make(seen, self.me().clone(), token.clone());
        let until = self.clock().now() + self.timing.failover;
        let mut row = seen.clone();
        let taken = |row: Lease, sent| (row.token.as_ref() == Some(&token)).then_some((row, sent));
        // The row is not ours yet: one that has moved on under a token of somebody else's, or under
        // none, is theirs.
        match self
            .client
            .pursue(&mut row, until, |row| {
                (row.counter == seen.counter).then(|| write.clone())
            })
            .await
        {
            WriteOutcome::Stored { row, sent, .. } => Ok(taken(row, sent)),
            // The counter that it expects has passed: it cannot land any more.
            WriteOutcome::Lost(_)
            | WriteOutcome::Vanished
            | WriteOutcome::Superseded
            | WriteOutcome::Edited => {
                self.client.begun.forget(&token);
                Ok(None)
            }
            // It may have been taken all the same: then it is found abandoned once it is repaired.
            WriteOutcome::Malformed(_) => {
                self.client.begun.abandon(&token);
                Ok(None)
            }
            WriteOutcome::Unsettled { error, .. } | WriteOutcome::Broken(error) => {
                self.client.begun.abandon(&token);
                Err(error)
            }
        }
    }

    /// Asks `of` for the lease. A request that lands after it was given up here is found in the row
    /// by the next plan, and taken back.
    pub(super) async fn request(&self, seen: &Lease, of: &WorkerId) -> Result<WriteResult, Error> {
        let write = Write::request(seen, self.me().clone(), of.clone());
        self.repeat(seen, &write, |row| {
            row.owner.as_ref() == Some(self.me())
                && row.checkpoint_owner.as_ref() == Some(of)
                && row.token == seen.token
        })
        .await
    }

    /// Takes back what was asked of `of`.
    pub(super) async fn withdraw(&self, seen: &Lease, of: &WorkerId) -> Result<WriteResult, Error> {
        let write = Write::withdraw(seen, self.me().clone(), of.clone());
        self.repeat(seen, &write, |row| {
            row.owner.as_ref() == Some(of) && row.checkpoint_owner.is_none()
        })
        .await
    }

    /// Ends the assignment that the row shows.
    pub(super) async fn unassign(&self, seen: &Lease) -> Result<WriteResult, Error> {
        let Some(assigned) = seen.assigned_to.clone() else {
            return Ok(WriteResult {
                done: false,
                row: Some(seen.clone()),
            });
        };
        let write = Write::unassign(assigned);
        self.repeat(seen, &write, |row| row.assigned_to.is_none())
            .await
    }

    /// Frees a lease that was handed over to this worker and that it has no use for, or that nobody
    /// works on. `kill` is the row whose heartbeats have held the lease.
    pub(super) async fn give_back(
        &self,
        seen: &Lease,
        kill: Option<&WorkerRow>,
    ) -> Result<WriteResult, Error> {
        if !self.is_let_go(seen, kill).await? {
            return Ok(WriteResult {
                done: false,
                row: Some(seen.clone()),
            });
        }
        let write = Write::release(seen, None);
        self.repeat(seen, &write, |row| row.owner.is_none()).await
    }

    /// Sends the same write until it is answered. A refusal by a row that `is_done` is the answer
    /// to an earlier try.
    async fn repeat(
        &self,
        seen: &Lease,
        write: &Write,
        is_done: impl Fn(&Lease) -> bool + Send,
    ) -> Result<WriteResult, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let update = self.client.table.update(&seen.key, write);
            match self.client.write(update).await {
                Ok(row) => {
                    return Ok(WriteResult {
                        done: true,
                        row: Some(row),
                    });
                }
                Err(Error::Conflict { row }) => {
                    let row = row.map(|row| *row);
                    return Ok(WriteResult {
                        done: row.as_ref().is_some_and(&is_done),
                        row,
                    });
                }
                Err(error) if !error.is_transient() || tries == TRIES => return Err(error),
                Err(_) => pause(&**self.clock(), BETWEEN_TRIES * tries).await,
            }
        }
    }
}
