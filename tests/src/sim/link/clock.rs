use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::Clock;
use kcl_core::model::{Moment, Timestamp};

use crate::sim::runtime::{At, Origin};
use crate::sim::truth::wall;

use super::Gate;

/// The clock of one process: it has an origin of its own, and runs a little too fast or too slow.
#[derive(Clone, Debug)]
pub(crate) struct SimClock {
    origin: Origin,
    gate: Arc<Gate>,
    /// What it shows at the beginning of the world, in microseconds.
    offset: u64,
    /// Millionths of a second that it shows for a second of the world.
    rate: u64,
}

const MILLION: u64 = 1_000_000;
/// Later than the end of any world.
const FAR: At = At(10_000_000_000);

impl SimClock {
    /// `drift` in millionths: above 0 is too fast.
    pub(crate) fn new(origin: Origin, gate: Arc<Gate>, offset_ms: u64, drift: i64) -> Self {
        Self {
            origin,
            gate,
            offset: offset_ms * 1000,
            rate: MILLION.saturating_add_signed(drift),
        }
    }

    fn shown(&self, at: At) -> u64 {
        self.offset + at.0.saturating_sub(self.gate.uncounted()) * self.rate / 1000
    }

    /// The first millisecond of the world at which the clock shows this or more.
    fn when(&self, moment: Moment) -> At {
        // Rounded up: a clock that says the moment has come when it has not makes its caller ask
        // again, for ever.
        let nanos = moment.since_origin().as_nanos();
        let micros = u64::try_from(nanos.div_ceil(1000))
            .unwrap_or(u64::MAX)
            .saturating_sub(self.offset);
        let mut at =
            At((u128::from(micros) * 1000 / u128::from(self.rate)) as u64 + self.gate.uncounted());
        if at > FAR {
            return FAR;
        }
        while self.shown(at) < self.offset.saturating_add(micros) {
            at = at.plus(1);
        }
        at
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Moment {
        Moment::from_origin(Duration::from_micros(self.shown(self.origin.now())))
    }

    fn wall(&self) -> Timestamp {
        wall(self.origin.now())
    }

    async fn sleep_until(&self, moment: Moment) {
        if self.now() < moment {
            self.origin.sleep_until(self.when(moment)).await;
        }
        self.gate.pass().await;
    }
}
