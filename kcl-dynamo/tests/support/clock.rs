use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use kcl_core::Clock;
use kcl_core::model::{Moment, Timestamp};
use tokio::time::Instant;

/// The clock of tokio's timers, which a test can pause. Its time of day goes on from when the test
/// began.
#[derive(Clone, Copy, Debug)]
pub struct TimerClock {
    origin: Instant,
    began: SystemTime,
}

#[expect(clippy::disallowed_methods, reason = "a clock")]
impl TimerClock {
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
            began: SystemTime::now(),
        }
    }
}

#[async_trait]
#[expect(clippy::disallowed_methods, reason = "a clock")]
impl Clock for TimerClock {
    fn now(&self) -> Moment {
        // Not at 0: a moment before now can be named from the start.
        Moment::from_origin(self.origin.elapsed() + Duration::from_secs(1000))
    }

    fn wall(&self) -> Timestamp {
        (self.began + self.origin.elapsed()).into()
    }

    async fn sleep_until(&self, moment: Moment) {
        tokio::time::sleep(moment.since(self.now())).await;
    }
}
