//! What is told of a worker that stands still: it says nothing by itself.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::pause;

use super::event::Event;
use super::streams::ReadStream;
use super::worker::WorkerInner;

/// How often figures are told anew, at the most.
const LONGEST: Duration = Duration::from_secs(5);
/// And at the least.
const SHORTEST: Duration = Duration::from_millis(10);

/// Tells each few seconds how late the shards are and which calls of handlers take long, says again
/// what still fails, and sums up what the log has passed over.
///
/// It runs with the coordination, beside the renewals: a handler that blocks its thread does not
/// stop it. It calls nobody, and costs a lock a shard.
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
    /// Tells the gauge of each stream how long it has failed.
    pub(super) fn tell_streams(&self, failing_for: impl Fn(&ReadStream) -> Duration) {
        for stream in self.parts.streams.all() {
            self.meters
                .stream_fails(&stream.name, stream.arn().as_deref(), failing_for(&stream));
        }
    }

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
