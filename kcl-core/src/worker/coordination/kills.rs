//! A lease that heartbeats have held is taken only after they were made impossible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::decide::members::{LetGo, is_let_go};
use crate::lease::{Changed, Error, WorkerRow};
use crate::model::{Lease, Token, WorkerId};
use crate::runtime::pause;
use crate::worker::single_flight::SingleFlight;

use super::context::{BETWEEN_TRIES, Context, TRIES};
use super::error::shared;

/// The incarnations that were found to have no heartbeat any more. They never have one again.
///
/// It is locked while a row is killed: of a dead worker whose heartbeats have held a thousand leases,
/// one job kills the row and the others wait for it.
pub(super) type EndedIncarnations = Mutex<BTreeSet<String>>;

/// The rows of holders that renew their leases, read consistently. Of a dead worker that has held a
/// thousand leases, all that wait for its row while it is read share the next reading.
pub(super) type HolderRows =
    std::sync::Mutex<BTreeMap<WorkerId, Arc<SingleFlight<Option<WorkerRow>, Error>>>>;

/// How many of each are remembered.
const REMEMBERED: usize = 256;

impl Context {
    /// Whether the heartbeats of its holder hold a lease no more. If they have held it (`kill` is the
    /// row that stood still), the row is killed here: a heartbeat that nobody has seen makes that
    /// write fail, and the lease stays where it is.
    ///
    /// The row is read consistently, because the last scan may be from before the holder began to rely
    /// on its heartbeats.
    pub(super) async fn is_let_go(
        &self,
        lease: &Lease,
        kill: Option<&WorkerRow>,
    ) -> Result<bool, Error> {
        let incarnation = lease.token.as_ref().and_then(Token::incarnation);
        let (Some(incarnation), Some(holder)) = (incarnation, lease.actual_owner()) else {
            return Ok(true);
        };
        if holder == self.me() {
            return Ok(true);
        }
        let Some(still) = kill else {
            return self.is_let_go_by_renewals(holder, incarnation).await;
        };
        let mut ended = self.ended.lock().await;
        if ended.contains(incarnation) {
            return Ok(true);
        }
        let mut tries = 0;
        let is_let_go = loop {
            tries += 1;
            let row = self.client.read(self.client.table.get_worker(holder));
            let row = match row.await {
                // Its heartbeats fail, too.
                Err(Error::Malformed(_)) => return Ok(false),
                row => row?,
            };
            let row = match is_let_go(incarnation, Some(still), row) {
                LetGo::Yes => return Ok(true),
                LetGo::ForEver => break true,
                LetGo::No => return Ok(false),
                LetGo::AfterKilling(row) => row,
            };
            match self.client.replace_worker(&row, &row.killed()).await {
                Ok(()) => break true,
                // It lives, or another worker was first.
                Err(Error::Conflict { .. }) if tries < TRIES => {}
                Err(Error::Conflict { .. }) => break false,
                Err(error) if !error.is_transient() || tries == TRIES => return Err(error),
                Err(_) => pause(&**self.clock(), BETWEEN_TRIES * tries).await,
            }
        };
        if is_let_go {
            remember(&mut ended, incarnation);
            drop(ended);
            self.tell_all(Changed::Worker(holder.clone()));
        }
        Ok(is_let_go)
    }

    /// The same of a lease whose counter has stood still: nothing is killed. A worker dies with all of
    /// its leases, and each of them is asked about before its take, so the readings are shared.
    async fn is_let_go_by_renewals(
        &self,
        holder: &WorkerId,
        incarnation: &str,
    ) -> Result<bool, Error> {
        let flight = {
            let mut rows = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
            if rows.len() >= REMEMBERED && !rows.contains_key(holder) {
                rows.clear();
            }
            Arc::clone(rows.entry(holder.clone()).or_default())
        };
        let read = self.client.read(self.client.table.get_worker(holder));
        let row = flight.ask(&**self.clock(), Duration::ZERO, read).await;
        let row = row.map_err(|error| shared(&error));
        let row = match row {
            // Its heartbeats fail, too.
            Err(Error::Malformed(_)) => return Ok(true),
            row => row?,
        };
        let judged = is_let_go(incarnation, None, Option::clone(&row));
        if judged == LetGo::ForEver {
            remember(&mut *self.ended.lock().await, incarnation);
        }
        Ok(matches!(judged, LetGo::Yes | LetGo::ForEver))
    }
}

/// The oldest are not told apart from the newest: to forget one costs a reading.
fn remember(ended: &mut BTreeSet<String>, incarnation: &str) {
    if ended.len() >= REMEMBERED {
        ended.clear();
    }
    ended.insert(incarnation.to_owned());
}
