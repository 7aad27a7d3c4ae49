//! A lease that heartbeats have held is taken only after they were made impossible.

use std::collections::BTreeSet;

use tokio::sync::Mutex;

use crate::decide::members::{LetGo, is_let_go};
use crate::lease::{Changed, Error, WorkerRow};
use crate::model::{Lease, Token};
use crate::runtime::pause;

use super::context::{BETWEEN_TRIES, Context, TRIES};

/// The incarnations that were found to have no heartbeat any more. They never have one again.
///
/// It is locked from the question until the answer: of a dead worker that has held a thousand leases,
/// one job kills the row and the others wait for it.
pub(super) type EndedIncarnations = Mutex<BTreeSet<String>>;

/// How many of them are remembered.
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
                Err(Error::Malformed(_)) => return Ok(kill.is_none()),
                row => row?,
            };
            let row = match is_let_go(incarnation, kill, row) {
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
            if ended.len() >= REMEMBERED {
                ended.clear();
            }
            ended.insert(incarnation.to_owned());
            drop(ended);
            self.tell_all(Changed::Worker(holder.clone()));
        }
        Ok(is_let_go)
    }
}
