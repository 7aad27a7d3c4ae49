//! This worker's own row: it lets the others see a worker that holds nothing yet, and one that is
//! about to leave.

use std::sync::Arc;

use crate::decide::fleet::{FoundRow, Namesake, NamesakeVerdict, heartbeat_pause};
use crate::lease::{Changed, Error, WorkerRow};
use crate::runtime::{pause, random_token};
use crate::watermark::Watermark;
use crate::worker::error::RunError;
use crate::worker::worker::Stop;

use super::context::{BETWEEN_TRIES, Context, TRIES};
use super::error::CoordinationError;
use super::link::WantedPhase;
use super::signal::Announcer;

/// Keeps the worker's row: made once, moved by conditional writes, marked before the worker leaves,
/// deleted after it has left.
///
/// The row belongs to the process that wrote it last. One that finds another's in its place has a
/// live duplicate: it stops.
pub(super) struct Heartbeat {
    context: Arc<Context>,
    announcer: Announcer,
    own: Option<WorkerRow>,
    /// A row under this name that another process made, and that is watched: is that process alive?
    namesake: Option<Namesake>,
    /// The last heartbeat was not acknowledged: the next one does not wait for its turn.
    late: bool,
}

impl Heartbeat {
    pub(super) const fn new(context: Arc<Context>, announcer: Announcer) -> Self {
        Self {
            context,
            announcer,
            own: None,
            namesake: None,
            late: false,
        }
    }

    fn fresh(&self) -> WorkerRow {
        WorkerRow::new(
            self.context.me().clone(),
            random_token(),
            self.context.timing.failover,
        )
    }

    /// Makes the row, before the worker looks for leases. Whether a former process under this name
    /// has left gracefully: what it kept is this worker's at once.
    pub(super) async fn join(&mut self) -> Result<bool, CoordinationError> {
        if self.own.is_some() || self.namesake.is_some() {
            return Ok(false);
        }
        let mut fresh = self.fresh();
        for _ in 0..TRIES {
            match self.context.settler.create_worker(&fresh).await {
                Ok(()) => {
                    self.joined(fresh);
                    return Ok(false);
                }
                Err(Error::Conflict { .. }) => {}
                // Whose it is cannot be told: it is left alone, and this worker shows life by its
                // leases until it is repaired.
                Err(Error::Malformed(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let found = match self.read().await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(Error::Malformed(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            if found.incarnation == fresh.incarnation {
                // An answer was lost.
                self.joined(found);
                return Ok(false);
            }
            if !found.leaving {
                self.namesake = Some(Namesake::new(found, self.context.clock().now()));
                return Ok(false);
            }
            fresh.counter = found.counter + 1;
            match self.context.settler.replace_worker(&found, &fresh).await {
                Ok(()) => {
                    self.joined(fresh);
                    return Ok(true);
                }
                Err(Error::Conflict { .. }) => {}
                Err(Error::Malformed(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::conflict(None).into())
    }

    fn joined(&mut self, row: WorkerRow) {
        self.namesake = None;
        self.own = Some(row);
        self.announce();
    }

    fn announce(&self) {
        self.announcer
            .say(Changed::Worker(self.context.me().clone()));
    }

    async fn read(&self) -> Result<Option<WorkerRow>, Error> {
        self.context
            .settler
            .read(self.context.settler.table.get_worker(self.context.me()))
            .await
    }

    /// Shows life until the worker is to stop; then marks the row, waits until every lease is given
    /// up (`left` reaches 1), and deletes it.
    pub(super) async fn keep(
        mut self,
        wanted: WantedPhase,
        left: Watermark,
    ) -> Result<(), RunError> {
        let clock = Arc::clone(self.context.clock());
        let timing = self.context.timing;
        loop {
            let span = heartbeat_pause(self.namesake.is_some(), self.late, &timing);
            tokio::select! {
                biased;
                () = wanted.drain() => break,
                () = pause(&*clock, span) => {}
            }
            tokio::select! {
                biased;
                () = wanted.drain() => break,
                beaten = self.beat() => beaten?,
            }
        }
        self.replace(WorkerRow::leaving).await;
        self.announce();
        left.reaches(1).await;
        if self.context.inner.stop_kind() != Some(Stop::Keep) {
            self.delete().await;
            self.announce();
        }
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), RunError> {
        if self.namesake.is_some() {
            return self.watch().await;
        }
        let audits = self.context.audits();
        self.late = false;
        match &self.own {
            Some(own) => {
                let next = WorkerRow {
                    audits,
                    ..own.next()
                };
                match self.context.settler.replace_worker(own, &next).await {
                    Ok(()) => self.own = Some(next),
                    Err(Error::Conflict { .. }) => return self.find_own().await,
                    // Until it is repaired, the leases alone show life.
                    Err(Error::Malformed(_)) => {}
                    Err(error) if error.is_transient() => self.late = true,
                    Err(error) => return Err(RunError::LeaseTable(error)),
                }
            }
            None => drop(self.join().await),
        }
        Ok(())
    }

    /// The row is not as it was written last.
    async fn find_own(&mut self) -> Result<(), RunError> {
        let Ok(found) = self.read().await else {
            self.late = true;
            return Ok(());
        };
        let ours = self.own.as_ref().map(|own| &own.incarnation);
        match FoundRow::of(found, ours) {
            FoundRow::Own(row) => self.own = Some(row),
            FoundRow::Others => {
                return Err(RunError::DuplicateWorkerId {
                    worker: self.context.me().clone(),
                });
            }
            FoundRow::Missing => {
                self.own = None;
                drop(self.join().await);
            }
        }
        Ok(())
    }

    /// Another process made the row: it is dead when the row stands still for as long as a live one
    /// never lets it.
    async fn watch(&mut self) -> Result<(), RunError> {
        let Ok(found) = self.read().await else {
            return Ok(());
        };
        let now = self.context.clock().now();
        let timing = self.context.timing;
        let Some(row) = found else {
            self.namesake = None;
            drop(self.join().await);
            return Ok(());
        };
        let Some(namesake) = &mut self.namesake else {
            return Ok(());
        };
        namesake.see(row, now);
        match namesake.judge(now, &timing) {
            NamesakeVerdict::Wait => {}
            NamesakeVerdict::Duplicate => {
                return Err(RunError::DuplicateWorkerId {
                    worker: self.context.me().clone(),
                });
            }
            NamesakeVerdict::Replace => {
                let seen = namesake.row().clone();
                let fresh = WorkerRow {
                    counter: seen.counter + 1,
                    ..self.fresh()
                };
                let replaced = self.context.settler.replace_worker(&seen, &fresh).await;
                if replaced.is_ok() {
                    self.joined(fresh);
                }
            }
        }
        Ok(())
    }

    /// Replaces the own row; tried until it is done or clear that it cannot be.
    async fn replace(&mut self, change: impl Fn(&WorkerRow) -> WorkerRow) {
        for tries in 1..=TRIES {
            let Some(own) = &self.own else { return };
            let next = change(own);
            match self.context.settler.replace_worker(own, &next).await {
                Ok(()) => {
                    self.own = Some(next);
                    return;
                }
                // A heartbeat without an answer has landed before it, or this has.
                Err(Error::Conflict { .. }) => {
                    if self.find_own().await.is_err() || self.own.as_ref() == Some(&next) {
                        return;
                    }
                }
                Err(error) if error.is_transient() => {
                    pause(&**self.context.clock(), BETWEEN_TRIES * tries).await;
                }
                Err(_) => return,
            }
        }
    }

    async fn delete(&mut self) {
        for tries in 1..=TRIES {
            let Some(own) = &self.own else { return };
            match self.context.settler.delete_worker(own).await {
                Ok(()) => return,
                Err(Error::Conflict { .. }) => match self.read().await {
                    Ok(Some(row)) if row.incarnation == own.incarnation => self.own = Some(row),
                    _ => return,
                },
                Err(error) if error.is_transient() => {
                    pause(&**self.context.clock(), BETWEEN_TRIES * tries).await;
                }
                // It is found dead, and deleted by others.
                Err(_) => return,
            }
        }
    }
}
