#![expect(clippy::disallowed_methods, reason = "a clock on tokio's paused time")]

use async_trait::async_trait;
use tokio::time::Instant;

use crate::model::{Moment, Timestamp};
use crate::runtime::Clock;

/// The paused clock of a test's runtime, from now on.
#[derive(Debug)]
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for PausedClock {
    fn now(&self) -> Moment {
        Moment::from_origin(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }

    async fn sleep_until(&self, moment: Moment) {
        tokio::time::sleep(moment.since(self.now())).await;
    }
}
