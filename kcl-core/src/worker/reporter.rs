//! Periodic reports, also about shards that make no progress and therefore report nothing
//! themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::pause;

use super::event::Event;
use super::streams::ReadStream;
use super::worker::WorkerInner;

/// The longest interval between reports. It matters only with a failover time above 15 s, as a
/// third of that is longer.
const LONGEST: Duration = Duration::from_secs(5);
/// The shortest interval between reports, for tests that set very short limits.
const SHORTEST: Duration = Duration::from_millis(10);

/// Every few seconds, reports the lag of the shards and the handler calls that take long, repeats
/// failures that still last, and sums up suppressed log lines.
///
/// It runs with the coordination, next to the renewals, so a handler that blocks its thread does
/// not stop it. It makes no calls, and costs one lock per shard. Cancel safe: it holds nothing
/// between two reports. It ends with the coordination, which drops it.
pub(super) async fn report(inner: Arc<WorkerInner>) {
    let settings = &inner.parts.settings;
    let every = settings
        .timing()
        .renew_every
        .min(settings.handler_warning)
        .clamp(SHORTEST, LONGEST);
    loop {
        pause(&*inner.parts.clock, every).await;
        inner.report();
    }
}

impl WorkerInner {
    /// Sets each stream's gauge to the time for which it has failed.
    pub(super) fn tell_streams(&self, failing_for: impl Fn(&ReadStream) -> Duration) {
        for stream in self.parts.streams.all() {
            self.meters
                .stream_fails(&stream.name, stream.arn().as_deref(), failing_for(&stream));
        }
    }

    /// One report. Each gauge is set whether or not it has changed, so that one that was set by an
    /// older state returns to what is true now.
    fn report(&self) {
        let now = self.parts.clock.now();
        for (shard, call, span) in self.board.refresh(now, self.parts.settings.handler_warning) {
            self.outlet.say(Event::HandlerSlow { shard, call, span });
        }
        for event in self.board.lasting(now) {
            self.outlet.still_holds(&event);
        }
        for (gauge, leases) in self.meters.unread.iter().zip(self.board.unread()) {
            gauge.set(leases as f64);
        }
        self.tell_streams(|stream| stream.failing_for(now));
        self.meters
            .table_failing
            .set(self.table_health.lasting(now).as_secs_f64());
        self.outlet.sum_up(false);
    }
}
