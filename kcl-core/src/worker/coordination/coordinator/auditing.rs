//! When shards are compared with leases, and what follows; when streams are asked what they are.

use std::sync::Arc;

use crate::decide::fleet::AuditOutcome;
use crate::lease::with_causes;
use crate::model::{LeaseKey, Moment};
use crate::stream::ShardFilter;
use crate::worker::event::Event;
use crate::worker::status::Phase;

use super::super::context::Audited;
use super::{Coordinator, JobResult};

/// In periods of the audit: how long a worker that does not audit itself, and whose subscriptions
/// are quiet, goes without a listing.
const LISTED_EVERY: u32 = 2;

impl Coordinator {
    /// Starts an audit beside the loop. It is given the leases that are known of late, because a scan
    /// that misses one would make the audit create it anew, from the initial position.
    pub(super) fn audit(&mut self) {
        let now = self.context.clock().now();
        self.engine.schedule.audit_begins(now);
        let (context, room) = (Arc::clone(&self.context), self.engine.room());
        let known = self.engine.known_of_late(now).cloned().collect();
        self.job(async move { JobResult::Audited(context.audit(room, known).await) });
    }

    /// An audit is done. Its scan is taken in like any other, before the leases that it created are
    /// begun: the plan that follows must know of both.
    pub(super) fn on_audited(&mut self, audited: Audited) {
        self.context.count_audit();
        // The age of the scan counts from its begin: a row may have changed since it was read.
        let seen = audited.look.begun;
        let outcome = AuditOutcome {
            scan: (seen, audited.look.ended),
            put_off: audited.put_off.then(|| self.engine.patience()),
            not_yet: audited.not_yet,
            overtaken: audited.overtaken,
        };
        self.engine
            .schedule
            .audited(outcome, self.context.clock().now());
        let is_there =
            !audited.not_yet || !audited.look.leases.is_empty() || !audited.made.is_empty();
        self.describe();
        // Before this worker's own are begun: others may take the rest meanwhile.
        for key in &audited.made {
            self.announce(key);
        }
        let is_news = self.see_all(audited.look);
        self.acquire_all(audited.acquired);
        if is_news {
            self.has_looked(seen);
        }
        if is_there && !self.started && self.context.is_working() {
            self.started = true;
            self.context.inner.board.reach(Phase::Running);
            self.context.inner.outlet.say(Event::Started);
        }
    }

    /// A stream that could not be described, of several, has no leases until it is: it is not left
    /// to the next audit.
    pub(super) fn describe(&mut self) {
        let context = Arc::clone(&self.context);
        if !self.describing && context.is_working() && context.undescribed().next().is_some() {
            self.describing = true;
            self.job(async move {
                context.describe_rest().await;
                JobResult::Described
            });
        }
    }

    /// Lists the shards of streams of which this worker has had no listing for long, while
    /// subscriptions to them have given no record: another worker audits for all, and only a
    /// listing shows that such a shard is closed.
    pub(super) fn list_for_the_quiet(&mut self, now: Moment) {
        let every = self.context.inner.parts.settings.audit_every * LISTED_EVERY;
        let mut wanted = self.context.inner.parts.streams.all();
        wanted.retain(|of| of.listed.is_wanted(now, every));
        if self.listing || wanted.is_empty() || !self.context.is_working() {
            return;
        }
        self.listing = true;
        let context = Arc::clone(&self.context);
        self.job(async move {
            for of in wanted {
                if let Err(trouble) = context.list_while_working(&of, &ShardFilter::All).await {
                    of.listed.failed(context.clock().now());
                    tracing::debug!(stream = %of.name, trouble = %with_causes(&trouble), "the shards could not be listed");
                }
            }
            JobResult::Listed
        });
    }

    /// A shard could not be read any further: its position may be one of a stream that is not there
    /// any more.
    pub(super) fn describe_anew(&mut self, lease: &LeaseKey) {
        let context = Arc::clone(&self.context);
        if let Some(of) = context
            .inner
            .parts
            .streams
            .of(lease)
            .filter(|_| context.is_working())
        {
            self.job(async move {
                JobResult::DescribedAnew(context.describe_anew(&of).await.map(drop))
            });
        }
    }
}
