//! How many writes are in flight at once: DynamoDB throttles, and a queue inside it is worse than
//! one here.

use std::time::Duration;

use kcl_core::Clock;
use kcl_core::lease::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many writes of owners may be in flight at once. A table that cannot keep up with the
/// renewals is not sent more of them than it answers within the call limit. DynamoDB answers a
/// write in about 10 ms, so this allows several thousand per second; a table that carries out 32
/// per second still answers each one within 2 s.
const OWNERS: usize = 64;
/// How many writes of workers that are not owners yet may be in flight at once: fewer, because they
/// can wait.
const OTHERS: usize = 16;

/// Two queues, so that a rush for free leases does not delay renewals.
///
/// No call waits long: at the head of a long queue it would have no time left for the call itself,
/// and a table that is too slow for some calls would serve none. A call that has waited for
/// [`Limits::patience`] fails without being sent, and is retried as after throttling by DynamoDB.
#[derive(Debug)]
pub(crate) struct Limits {
    /// For writes on leases that this worker holds: renewals, checkpoints, releases, hand-overs.
    owners: Semaphore,
    /// For writes that can wait: takes, claims, requests, creations and deletions.
    others: Semaphore,
    /// How long a call waits for its permit before it fails without having been sent.
    patience: Duration,
}

impl Limits {
    /// For calls with this time limit, of which a quarter may be spent on waiting.
    pub(crate) fn new(call_limit: Duration) -> Self {
        Self {
            owners: Semaphore::new(OWNERS),
            others: Semaphore::new(OTHERS),
            patience: call_limit / 4,
        }
    }

    /// Waits for a permit, first come, first served. Cancel safe.
    ///
    /// # Errors
    /// `Throttled` if there was none in time.
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
            source: "more writes are due than DynamoDB answers in time".into(),
        };
        tokio::select! {
            biased;
            turn = lane.acquire() => turn.map_err(|_| refusal()),
            () = clock.sleep_until(clock.now() + self.patience) => Err(refusal()),
        }
    }
}
