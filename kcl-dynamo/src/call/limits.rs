use std::time::Duration;

use kcl_core::Clock;
use kcl_core::lease::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Writes of owners that are on the way at once. A table that is slower than the renewals that have
/// come due is not sent more of them than it answers within the limit of a call. DynamoDB answers a
/// write in some 10 ms, which makes this several thousand a second; of a table that carries out 32
/// a second each is still answered within 2 s.
const OWNERS: usize = 64;
/// Writes of who is not an owner yet: fewer, for they can wait.
const OTHERS: usize = 16;

/// Two queues, so that no rush for leases that are free stands in the way of a renewal.
///
/// Nobody waits long: who came to the head of a long queue would have no time left for the call
/// itself, and a table that is too slow for some would do nothing for anybody. Who has waited for
/// [`Limits::patience`] is refused, has not been sent, and tries again as after a refusal by
/// DynamoDB.
#[derive(Debug)]
pub(crate) struct Limits {
    owners: Semaphore,
    others: Semaphore,
    patience: Duration,
}

impl Limits {
    /// For calls with this limit. A quarter of it may be spent on waiting.
    pub(crate) fn new(call_limit: Duration) -> Self {
        Self {
            owners: Semaphore::new(OWNERS),
            others: Semaphore::new(OTHERS),
            patience: call_limit / 4,
        }
    }

    /// Waits for room, in turn. Cancel safe.
    ///
    /// # Errors
    /// `Throttled`: there was none in time.
    pub(crate) async fn of_owners(&self, clock: &dyn Clock) -> Result<SemaphorePermit<'_>, Error> {
        self.turn(&self.owners, clock).await
    }

    /// The same for writes that can wait.
    pub(crate) async fn of_others(&self, clock: &dyn Clock) -> Result<SemaphorePermit<'_>, Error> {
        self.turn(&self.others, clock).await
    }

    async fn turn<'a>(
        &'a self,
        lane: &'a Semaphore,
        clock: &dyn Clock,
    ) -> Result<SemaphorePermit<'a>, Error> {
        let refusal = || Error::Throttled {
            source: "more writes are due than DynamoDB answers".into(),
        };
        tokio::select! {
            biased;
            turn = lane.acquire() => turn.map_err(|_| refusal()),
            () = clock.sleep_until(clock.now() + self.patience) => Err(refusal()),
        }
    }
}
