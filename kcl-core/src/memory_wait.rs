use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::runtime::{Clock, pause};

/// Whether the reader of one shard waits for memory: the byte budget tells it, and whoever keeps
/// records of the shard hears of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryWait(Arc<WaitState>);

#[derive(Debug, Default)]
struct WaitState {
    /// How many requests wait: a reader that gives one up and asks again has two for a moment.
    waiting: AtomicUsize,
    /// Wakes those who wait for a change, which look again themselves.
    changed: Notify,
}

/// The reader waits as long as this lives.
#[derive(Debug)]
pub(crate) struct WaitingForMemory(MemoryWait);

impl MemoryWait {
    /// The reader begins to wait.
    pub(crate) fn begin(&self) -> WaitingForMemory {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
        WaitingForMemory(self.clone())
    }

    /// Whether it waits.
    pub(crate) fn is_on(&self) -> bool {
        self.0.waiting.load(Ordering::SeqCst) > 0
    }

    /// Waits until the reader has waited this long without a pause. Cancel safe.
    pub(crate) async fn lasts(&self, span: Duration, clock: &dyn Clock) {
        loop {
            // The span begins anew whenever the reader gets memory in between: it is a lasting want
            // that makes a buffer flush early.
            self.until(true).await;
            tokio::select! {
                biased;
                () = self.until(false) => {}
                () = pause(clock, span) => return,
            }
        }
    }

    /// Waits until the reader waits, or does not. Cancel safe.
    async fn until(&self, wanted: bool) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Before the look, or a change between the two would wake nobody.
            changed.as_mut().enable();
            if self.is_on() == wanted {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for WaitingForMemory {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.0.0.changed.notify_waiters();
    }
}
