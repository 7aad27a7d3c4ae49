use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use kcl_core::Clock;
use kcl_core::model::{Moment, Timestamp};
use tokio::time::Instant;

/// Tokio's time, which stands still while anything is to be done when it is paused: what a worker
/// then takes is what it waits for, on however busy a machine. With
/// `CoordinationOn::CallersRuntime`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment::from_origin(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        // Any day.
        (SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.0.elapsed()).into()
    }

    async fn sleep_until(&self, moment: Moment) {
        tokio::time::sleep(moment.since(self.now())).await;
    }
}
