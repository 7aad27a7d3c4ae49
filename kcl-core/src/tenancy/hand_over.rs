use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// What the writer and the consumer of a lease have agreed on about its hand-over.
///
/// The consumer says yes between two calls of its handler; the writer says no when that takes too
/// long. Whoever is first decides.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    /// One of the three constants below. Every step is a compare-and-set, so that of two sides that
    /// step at the same time one learns that it came too late.
    stage: AtomicU8,
    /// Wakes the consumer, which waits for this beside everything else.
    asked: Notify,
}

impl HandOver {
    /// Nobody wants the lease, or it was refused.
    const NO: u8 = 0;
    /// The consumer is to finish its batch. The writer may still take it back.
    const ASKED: u8 = 1;
    /// The consumer hands nothing out any more. There is no way back: whatever becomes of the
    /// request, the lease is given up.
    const ACCEPTED: u8 = 2;

    /// The consumer is to hand over.
    pub(crate) fn ask(&self) {
        if self.turn(Self::NO, Self::ASKED) {
            self.asked.notify_waiters();
        }
    }

    /// The consumer need not any more. Whether it had not begun to.
    pub(crate) fn take_back(&self) -> bool {
        self.turn(Self::ASKED, Self::NO)
    }

    /// The consumer says yes. Whether it was still asked for that.
    pub(super) fn accept(&self) -> bool {
        self.turn(Self::ASKED, Self::ACCEPTED)
    }

    /// Waits until the consumer is asked. Cancel safe.
    pub(super) async fn asked(&self) {
        loop {
            let mut asked = pin!(self.asked.notified());
            // Before the check, or what is asked between the two would wake nobody.
            asked.as_mut().enable();
            if self.stage.load(Ordering::SeqCst) == Self::ASKED {
                return;
            }
            asked.await;
        }
    }

    /// One step, if the stage is still `from`. Sequentially consistent, as it decides between two
    /// threads once in a tenancy and costs nothing beside a call of a handler.
    fn turn(&self, from: u8, to: u8) -> bool {
        self.stage
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}
