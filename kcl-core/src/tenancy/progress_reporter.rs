use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::decide::reading::ReadingChange;
use crate::lease::with_causes;
use crate::model::Moment;
use crate::runtime::{Clock, within};
use crate::stream;

use super::held::{HeldState, lock};
use super::progress::micros;

/// Says that a shard's loop turned, from wherever a part of it runs.
///
/// A lease is renewed only while its consumer makes progress: a worker whose consumer hangs would
/// otherwise keep the shard for ever and read nothing. So each part of the loop reports, and waits
/// that are nobody's fault report too.
#[derive(Clone, Debug)]
pub(crate) struct ProgressReporter {
    /// Where it is written down. The writer reads it when a renewal is due.
    shared: Arc<HeldState>,
    clock: Arc<dyn Clock>,
    /// `None` for a part of the loop that reads nothing.
    teller: Option<Teller>,
}

/// Hears when a shard is not read any more, and when it is again; and what the last call that
/// failed came to.
pub(crate) type Listener = Arc<dyn Fn(ReadingChange, Arc<str>) + Send + Sync>;

/// Who is told of it, and after how long.
#[derive(Clone)]
pub(super) struct Teller {
    /// A shard that is not read for shorter than this is nobody's news.
    pub(super) failover: Duration,
    /// Must not wait: it is called by the part of the loop that has failed.
    pub(super) listener: Listener,
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller")
            .field("failover", &self.failover)
            .finish_non_exhaustive()
    }
}

/// How often a wait that is nobody's fault counts as a turn.
const WAIT_TURN: Duration = Duration::from_secs(1);

impl ProgressReporter {
    pub(super) fn new(
        shared: Arc<HeldState>,
        clock: Arc<dyn Clock>,
        teller: Option<Teller>,
    ) -> Self {
        Self {
            shared,
            clock,
            teller,
        }
    }

    /// The loop turned.
    pub(crate) fn turned(&self) {
        self.shared.progress.turned(self.clock.now());
    }

    /// The stream gave a page or an event: the shard is read.
    pub(crate) fn read(&self) {
        self.shared
            .answered
            .store(micros(self.clock.now()), Ordering::Release);
        self.answered();
    }

    /// The stream answered a call that does not read: what failed before is over.
    pub(crate) fn answered(&self) {
        let (news, error) = {
            let mut reading = lock(&self.shared.reading);
            (reading.0.answered(), reading.1.take())
        };
        self.tell(news, error);
    }

    /// A call that the shard is read by has failed.
    pub(crate) fn failed(&self, error: &stream::Error) {
        self.failed_with(error.kind, with_causes(error).into());
    }

    /// The same, of a failure that is known by its kind and its text.
    pub(crate) fn failed_with(&self, kind: stream::ErrorKind, error: Arc<str>) {
        let failover = self
            .teller
            .as_ref()
            .map_or(Duration::MAX, |teller| teller.failover);
        let news = {
            let mut reading = lock(&self.shared.reading);
            reading.1 = Some(Arc::clone(&error));
            reading.0.failed(kind, self.clock.now(), failover)
        };
        self.tell(news, Some(error));
    }

    /// The same, of a failure that stands for many, from `since` on.
    pub(crate) fn failed_from(&self, since: Moment, kind: stream::ErrorKind, error: Arc<str>) {
        let failover = self
            .teller
            .as_ref()
            .map_or(Duration::MAX, |teller| teller.failover);
        let news = lock(&self.shared.reading).0.failed(kind, since, failover);
        self.tell(news, Some(Arc::clone(&error)));
        self.failed_with(kind, error);
    }

    /// Outside of the lock: the listener may ask for what is locked.
    fn tell(&self, news: Option<ReadingChange>, error: Option<Arc<str>>) {
        if let (Some(news), Some(teller)) = (news, &self.teller) {
            (teller.listener)(news, error.unwrap_or_default());
        }
    }

    /// Waits for something that is not this shard's own fault (memory, parents, a pause): that
    /// counts as progress.
    pub(crate) async fn while_waiting<F: Future>(&self, wait: F) -> F::Output {
        let mut wait = pin!(wait);
        loop {
            self.turned();
            if let Some(output) = within(&*self.clock, WAIT_TURN, wait.as_mut()).await {
                self.turned();
                return output;
            }
        }
    }
}
