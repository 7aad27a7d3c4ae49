//! This worker's own row: it lets the others see a worker that holds nothing yet, and one that is
//! about to leave. [`OwnRow`] decides; this makes the calls, one after another.

use std::pin::pin;
use std::sync::Arc;

use crate::decide::fleet::{OwnRow, RowCommand, RowEvent, RowFailure};
use crate::decide::held_lag::held_lag;
use crate::lease::{Changed, KeepAlive};
use crate::watermark::Watermark;
use crate::worker::error::RunError;
use crate::worker::worker::Stop;

use super::context::Context;
use super::error::CoordinationError;
use super::link::WantedPhase;
use super::signal::Announcer;

/// Keeps the worker's row, as a task beside the loop of the coordination: neither a slow scan nor a
/// slow listing may keep a heartbeat back.
pub(super) struct Heartbeat {
    /// The calls of the table.
    context: Arc<Context>,
    /// Tells the others that a worker joins or leaves, so that they need not wait for a scan.
    announcer: Announcer,
    /// What is known of the row, and what is done about it next.
    row: OwnRow,
}

impl Heartbeat {
    /// Nothing is written before [`join`](Self::join).
    pub(super) fn new(context: Arc<Context>, announcer: Announcer) -> Self {
        let row = OwnRow::new(context.me().clone(), context.timing)
            .declaring(context.inner.parts.capacity);
        Self {
            context,
            announcer,
            row,
        }
    }

    /// Makes the row, before the worker looks for leases. Returns whether a former process under
    /// this name has left gracefully. It can be called again after a failure.
    pub(super) async fn join(&mut self) -> Result<bool, CoordinationError> {
        match self.carry_out(RowEvent::Join).await {
            Ok(()) => Ok(self.row.former_left()),
            Err(RowFailure::Table(error)) => Err(error.into()),
            Err(failure) => Err(CoordinationError::Fatal(self.fatal(failure))),
        }
    }

    /// Shows life until the worker is to stop; then marks the row, waits until every lease is given
    /// up (`left` reaches 1), and deletes it.
    pub(super) async fn keep(
        mut self,
        wanted: WantedPhase,
        left: Watermark,
    ) -> Result<(), RunError> {
        // From here to the mark the row shows life; after it, others hand no lease over to this
        // worker.
        self.live(&wanted).await?;
        if wanted.is_nothing() {
            // The root was dropped, which is no graceful end: a mark would let the next process of
            // this name adopt leases whose handlers may still be inside a call.
            return Ok(());
        }
        // The row, with its mark, outlives the leases: others see a worker that leaves, and none whose
        // leases they have to wait for. Until the last lease is given up, its heartbeats may hold those that are left.
        self.leave(left.reaches(1)).await?;
        let keeps = self.context.inner.stop_kind() == Some(Stop::Keep);
        self.end(RowEvent::Left { keeps }).await
    }

    /// Shows life until the worker is to stop. A call that is given up then may land later: the
    /// condition of the next write finds out.
    async fn live(&mut self, wanted: &WantedPhase) -> Result<(), RunError> {
        tokio::select! {
            biased;
            () = wanted.drain() => Ok(()),
            failed = self.go_on(RowEvent::Keep) => failed,
        }
    }

    /// Marks the row, and shows life as long as leases depend on it, until they are given up (`left`).
    /// A call that is under way then is answered first: what became of the row has to be known.
    async fn leave(&mut self, left: impl Future<Output = ()>) -> Result<(), RunError> {
        let mut left = pin!(left);
        let mut event = RowEvent::Leave;
        loop {
            let done = self.carry_out(event).await;
            done.map_err(|failure| self.fatal(failure))?;
            let wakes = self.row.next_wakeup();
            let clock = Arc::clone(self.context.clock());
            tokio::select! {
                biased;
                () = left.as_mut() => return Ok(()),
                () = clock.sleep_until(wakes.unwrap_or_default()), if wakes.is_some() => {}
            }
            event = self.wake();
        }
    }

    /// Carries an event out, and what is due after it, for ever: until it fails.
    async fn go_on(&mut self, mut event: RowEvent) -> Result<(), RunError> {
        let clock = Arc::clone(self.context.clock());
        let mut wanted = self.context.client.begun.pulse.wanted();
        let mut pulse = self.context.client.begun.pulse.now();
        let mut followed = pulse.changes().now();
        loop {
            let done = self.carry_out(event).await;
            done.map_err(|failure| self.fatal(failure))?;
            let current = self.context.client.begun.pulse.now();
            if !Arc::ptr_eq(&pulse, &current) {
                (followed, pulse) = (0, current);
            }
            let wakes = self.row.next_wakeup().unwrap_or_default();
            loop {
                tokio::select! {
                    biased;
                    // Something else is to hold the leases: that does not wait for the next turn.
                    Ok(()) = wanted.changed() => break,
                    () = pulse.changes().reaches(followed + 1) => {
                        followed = pulse.changes().now();
                        if pulse.has_returned() {
                            break;
                        }
                    }
                    () = clock.sleep_until(wakes) => break,
                }
            }
            event = self.wake();
        }
    }

    /// Deletes the row, as far as that can be done.
    async fn end(&mut self, mut event: RowEvent) -> Result<(), RunError> {
        let clock = Arc::clone(self.context.clock());
        loop {
            let done = self.carry_out(event).await;
            done.map_err(|failure| self.fatal(failure))?;
            let Some(wakes) = self.row.next_wakeup() else {
                return Ok(());
            };
            clock.sleep_until(wakes).await;
            event = self.wake();
        }
    }

    /// The clock has come to what was planned. The number of audits, and how far behind the leases
    /// are, go out with each heartbeat.
    fn wake(&self) -> RowEvent {
        let own = &self.context.client.begun.pulse;
        let settings = &self.context.inner.parts.settings;
        let bump_every = settings.liveness.bump_every(settings.failover);
        let wanted = *own.wanted().borrow();
        RowEvent::Wake {
            audits: self.context.audits(),
            keep_alive: own.now().next_keep_alive(wanted, bump_every),
            lag: held_lag(
                self.context
                    .inner
                    .board
                    .shard_lags(self.context.clock().now()),
            ),
        }
    }

    /// Carries out what follows from an event, until no call is left to make.
    async fn carry_out(&mut self, mut event: RowEvent) -> Result<(), RowFailure> {
        let context = Arc::clone(&self.context);
        let (clock, table) = (context.clock(), &context.client);
        loop {
            // At most one of the commands of an event makes a call, so there is one answer at most.
            let mut answer = None;
            let own = &table.begun.pulse;
            let mut incarnation = || own.now().incarnation().clone();
            for command in self.row.on(event, clock.now(), &mut incarnation) {
                let written = match command {
                    RowCommand::Create(row) => table.create_worker(&row).await,
                    RowCommand::Replace { seen, next } => {
                        own.now()
                            .is_sending(next.keep_alive, context.timing.valid_for);
                        if next.keep_alive == KeepAlive::Heartbeats {
                            table.replace_worker_soon(&seen, &next).await
                        } else {
                            table.replace_worker(&seen, &next).await
                        }
                    }
                    RowCommand::Shown { keep_alive, sent } => {
                        let valid_for = context.timing.valid_for;
                        own.now().shown(keep_alive, sent, clock.now(), valid_for);
                        continue;
                    }
                    RowCommand::Lost => {
                        own.begins_anew();
                        continue;
                    }
                    RowCommand::Delete(row) => table.delete_worker(&row).await,
                    RowCommand::Read => {
                        answer = Some(RowEvent::Read(table.worker_soon(context.me()).await));
                        continue;
                    }
                    RowCommand::Announce => {
                        self.announcer.say(Changed::Worker(context.me().clone()));
                        continue;
                    }
                    RowCommand::Fail(failure) => return Err(failure),
                };
                answer = Some(RowEvent::Written(written));
            }
            match answer {
                Some(answer) => event = answer,
                None => return Ok(()),
            }
        }
    }

    /// What the worker ends with.
    fn fatal(&self, failure: RowFailure) -> RunError {
        match failure {
            RowFailure::NameIsTaken => RunError::DuplicateWorkerId {
                worker: self.context.me().clone(),
            },
            RowFailure::Table(error) => RunError::LeaseTable(error),
        }
    }
}
