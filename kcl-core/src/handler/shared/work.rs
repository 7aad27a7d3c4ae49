use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::decide::shared_buffer::SharedBounds;
use crate::handler::Retries;
use crate::handler::filter::RecordFilter;
use crate::model::Moment;
use crate::runtime::{Clock, pause};

use super::SharedBufferHandler;
use super::flush::SharedFlush;
use super::state::{MemberId, SharedState};

/// How records are gathered.
#[derive(Clone, Debug)]
pub(super) struct SharedPlan {
    /// When the buffer is full, or old enough, for all shards together.
    pub(super) bounds: SharedBounds,
    /// When a shard is given up, what is gathered of it is not flushed.
    pub(super) gives_back: bool,
    /// What follows a failure, if the application has said so.
    pub(super) retries: Option<Retries>,
    /// Which records are gathered: the others are done.
    pub(super) filter: RecordFilter,
}

/// The buffer of a worker: what its members share.
///
/// Its tasks belong to the members together. They begin with the first one and are ended with the
/// last one, so none is left when the worker is dropped.
pub(super) struct SharedWork<H> {
    /// Called with the records of several shards at once, one call at a time.
    pub(super) handler: Arc<H>,
    /// How records are gathered.
    pub(super) plan: SharedPlan,
    /// Never held while a handler runs or anything is awaited.
    state: Mutex<SharedState>,
    /// There are more records, a flush is over, or a member leaves or ends. One waits for it.
    pub(super) changed: Notify,
    /// A member has left, or is to leave.
    pub(super) left: Notify,
}

impl<H: SharedBufferHandler> SharedWork<H> {
    pub(super) fn new(handler: Arc<H>, plan: SharedPlan) -> Self {
        let state = Mutex::new(SharedState::new(plan.bounds));
        Self {
            handler,
            plan,
            state,
            changed: Notify::new(),
            left: Notify::new(),
        }
    }

    /// Begins flushes when they are due, until it is ended with the last member.
    pub(super) async fn run(self: Arc<Self>, clock: Arc<dyn Clock>) {
        loop {
            let wake_at = self.begin(&clock);
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = async {
                    match wake_at {
                        Some(at) => clock.sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// Begins the flush that is due, and says when one will be, as far as that is known.
    fn begin(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> Option<Moment> {
        let mut state = self.state();
        state.tasks.forget_ended();
        if let Some((flush, records)) = state.begin(clock.now()) {
            for (id, _) in &flush.records {
                state.tell_gathered(*id);
            }
            let flush = SharedFlush {
                work: Arc::clone(self),
                clock: Arc::clone(clock),
                flush,
                epoch: state.epoch,
                records,
            };
            state.tasks.start(flush.run());
        }
        state.buffer.wake_at()
    }

    /// Waits this long, or until a member leaves. Cancel safe.
    pub(super) async fn wait(&self, clock: &dyn Clock, span: Duration) {
        let mut left = std::pin::pin!(self.left.notified());
        // Before the look, or a change between the two would wake nobody.
        left.as_mut().enable();
        if !self.state().leaving.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            () = left => {}
            () = pause(clock, span) => {}
        }
    }

    /// Waits until none of these is a member any more. Cancel safe.
    pub(super) async fn all_gone(&self, ids: &[MemberId]) {
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            let is_gone = {
                let state = self.state();
                ids.iter().all(|id| !state.members.contains_key(id))
            };
            if is_gone {
                return;
            }
            left.await;
        }
    }
}

impl<H> SharedWork<H> {
    pub(super) fn state(&self) -> MutexGuard<'_, SharedState> {
        // No handler runs under the lock, and every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> fmt::Debug for SharedWork<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWork")
            .field("plan", &self.plan)
            .field("members", &self.state().members.len())
            .finish_non_exhaustive()
    }
}
