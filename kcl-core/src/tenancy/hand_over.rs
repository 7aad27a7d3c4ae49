use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// What the writer and the consumer of a lease have agreed on about its hand-over.
///
/// The consumer says yes between two calls of its handler; the writer says no when that takes too
/// long. Whoever is first decides.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    stage: AtomicU8,
    asked: Notify,
}

impl HandOver {
    const NO: u8 = 0;
    const ASKED: u8 = 1;
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

    pub(super) fn accept(&self) -> bool {
        self.turn(Self::ASKED, Self::ACCEPTED)
    }

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

    fn turn(&self, from: u8, to: u8) -> bool {
        self.stage
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}
