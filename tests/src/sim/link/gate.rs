use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Holds everything that would wake a process while it is frozen: its timers, the answers that come
/// to it, the calls of its processors. What the process has sent before goes its way.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    frozen: AtomicBool,
    /// Milliseconds that the clock of a mutant does not count.
    uncounted: AtomicU64,
    thawed: Notify,
}

impl Gate {
    /// Returns at once, or when the process stands still no more.
    pub(crate) async fn pass(&self) {
        while self.frozen.load(Ordering::Relaxed) {
            self.thawed.notified().await;
        }
    }

    /// Whether it was free before.
    pub(crate) fn freeze(&self) -> bool {
        !self.frozen.swap(true, Ordering::Relaxed)
    }

    /// So many milliseconds more have passed that the clock does not count.
    pub(crate) fn do_not_count(&self, millis: u64) {
        self.uncounted.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn uncounted(&self) -> u64 {
        self.uncounted.load(Ordering::Relaxed)
    }

    pub(crate) fn thaw(&self) {
        self.frozen.store(false, Ordering::Relaxed);
        self.thawed.notify_waiters();
    }
}
