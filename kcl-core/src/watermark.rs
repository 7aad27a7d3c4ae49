use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A number that only grows, and for which any number of tasks can wait.
///
/// Tasks are woken in the order in which they began to wait, so that a run on a simulated clock is
/// the same every time. (Tokio's multi-consumer channels wake their receivers in a random order.)
#[derive(Clone, Debug, Default)]
pub(crate) struct Watermark(Arc<WatermarkState>);

#[derive(Debug, Default)]
struct WatermarkState {
    /// The number. Sequentially consistent, as other state that was changed before must be seen
    /// after it.
    level: AtomicU64,
    /// Wakes everybody; each looks whether its level is reached.
    raised: Notify,
}

impl Watermark {
    /// The current value.
    pub(crate) fn now(&self) -> u64 {
        self.0.level.load(Ordering::SeqCst)
    }

    /// Raises the value to at least `to`.
    pub(crate) fn raise(&self, to: u64) {
        if self.0.level.fetch_max(to, Ordering::SeqCst) < to {
            self.0.raised.notify_waiters();
        }
    }

    /// Raises the value by one.
    pub(crate) fn raise_by_one(&self) {
        self.0.level.fetch_add(1, Ordering::SeqCst);
        self.0.raised.notify_waiters();
    }

    /// Waits until the value is at least `level`. Cancel safe.
    pub(crate) async fn reaches(&self, level: u64) {
        loop {
            let mut raised = pin!(self.0.raised.notified());
            // Before the check: otherwise a raise between the two would not wake this task.
            raised.as_mut().enable();
            if self.now() >= level {
                return;
            }
            raised.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_is_woken_and_a_level_never_falls() {
        let level = Watermark::default();
        let (first, second) = (level.reaches(1), level.reaches(2));
        let (mut first, mut second) = (pin!(first), pin!(second));
        assert!(first.as_mut().now_or_never().is_none());
        level.raise(2);
        level.raise(1);
        assert_eq!(level.now(), 2);
        assert!(first.now_or_never().is_some());
        assert!(second.as_mut().now_or_never().is_some());
        level.raise_by_one();
        assert_eq!(level.now(), 3);
    }
}
