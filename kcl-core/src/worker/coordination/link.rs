use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::decide::fleet::After;
use crate::decide::gap::DataGap;
use crate::decide::shards::EndVerdict;
use crate::lease::with_causes;
use crate::model::{Checkpoint, ChildShard, Lease, LeaseKey, Moment, ShardId, Timestamp};
use crate::runtime::{Tasks, on_own_thread};
use crate::stream::ErrorKind;
use crate::tenancy::held::Held;
use crate::watermark::Watermark;
use crate::worker::error::RunError;
use crate::worker::settings::CoordinationOn;
use crate::worker::streams::ReadStream;
use crate::worker::worker::WorkerInner;

use super::coordinator::Coordinator;
use super::error::CoordinationError;
use super::gate::AtGate;

/// A lease that this worker has acquired, for the root to work on.
pub(crate) struct Assignment {
    /// The consumer's side of the lease, which is kept from this moment on.
    pub(crate) held: Held,
    /// The row as the acquiring write returned it: the place to begin.
    pub(crate) row: Lease,
    /// The stream of its shard.
    pub(crate) stream: Arc<ReadStream>,
    /// Says when every parent is finished.
    pub(crate) parents: mpsc::Receiver<AtGate>,
}

/// What the coordination tells the root.
pub(crate) enum ToRoot {
    /// Work on this.
    Assigned(Box<Assignment>),
    /// The worker cannot go on.
    Failed(RunError),
    /// A reading that ends is done, as far as it is this worker's.
    Read,
}

/// What the root and the consumers ask for.
pub(crate) enum Request {
    /// A shard has ended: the leases of its children are to be created, before its end is stored.
    Children {
        stream: Arc<ReadStream>,
        parent: LeaseKey,
        children: Vec<ChildShard>,
        answer: oneshot::Sender<Result<Vec<ChildShard>, Unanswered>>,
    },
    /// An answer has said that a shard has ended: is that so?
    End {
        stream: Arc<ReadStream>,
        shard: ShardId,
        said: SaidEnd,
        answer: oneshot::Sender<Result<EndVerdict, Unanswered>>,
    },
    /// The service does not know a shard: where is it?
    ShardFate {
        stream: Arc<ReadStream>,
        lease: LeaseKey,
        checkpoint: Checkpoint,
        answer: oneshot::Sender<ShardFate>,
    },
    /// What time is it for the service? A lease that begins at the tip needs it, as the clock of this
    /// machine may be off.
    StartTime {
        stream: Arc<ReadStream>,
        answer: oneshot::Sender<Result<Timestamp, Unanswered>>,
    },
    /// Nobody works on a lease any more.
    ConsumerEnded { lease: LeaseKey, after: After },
}

/// A question that was not answered: what kind of failure that was, if it was one of the stream,
/// and what was said.
pub(crate) struct Unanswered {
    /// `None` if the table failed, or the listing contradicted itself.
    pub(crate) kind: Option<ErrorKind>,
    /// What was said, with the causes.
    pub(crate) error: Arc<str>,
}

impl Unanswered {
    /// The answer to whoever asked for what has failed.
    pub(super) fn by(trouble: &CoordinationError) -> Self {
        Self {
            kind: trouble.kind(),
            error: with_causes(trouble).into(),
        }
    }

    /// The answer to what is asked of a coordination that has ended. Who asks is about to end too.
    fn coordination_ended() -> Self {
        Self {
            kind: None,
            error: "the coordination has ended".into(),
        }
    }
}

/// What a consumer was told of the end of its shard.
pub(crate) struct SaidEnd {
    /// The shards that follow, as far as the answer named them.
    pub(crate) children: Vec<ChildShard>,
    /// The answers before this one said the same for long enough, of a shard that was listed
    /// closed.
    pub(crate) is_lasting: bool,
    /// When the answer came.
    pub(crate) since: Moment,
}

/// Where a shard is that the service did not know.
pub(crate) enum ShardFate {
    /// It is listed: the answer was a passing one.
    Listed,
    /// The listing failed for now.
    Unknown,
    /// It has left the stream. The leases of what follows are made.
    Left {
        gap: DataGap,
        children: Vec<ChildShard>,
    },
    /// The stream itself is not there, or cannot be listed.
    Failed(RunError),
}

/// The root's and the consumers' side of the coordination.
#[derive(Clone)]
pub(crate) struct Coordination {
    /// Unbounded: a consumer asks a few times in the life of its shard.
    requests: mpsc::UnboundedSender<Request>,
}

/// The root's hold on the coordination thread, which ends when this is dropped. Consumers have no
/// part in it: one whose handler blocks must not keep the thread of a worker that is gone.
pub(crate) struct CoordinationGuard {
    /// Raised when the root wants less; never lowered.
    wanted: WantedPhase,
    /// The coordination itself where it has no thread of its own: it ends with the root.
    _task: Tasks,
}

impl CoordinationGuard {
    /// Take nothing more; end when the last lease is given up.
    pub(crate) fn drain(&self) {
        self.wanted.0.raise(WantedPhase::DRAIN);
    }
}

impl Drop for CoordinationGuard {
    fn drop(&mut self) {
        self.wanted.0.raise(WantedPhase::NOTHING);
    }
}

/// What the root wants of the coordination: first to take and keep leases, then to drain, then
/// nothing more.
#[derive(Clone, Debug, Default)]
pub(super) struct WantedPhase(Watermark);

impl WantedPhase {
    /// Leases are given up, and none is taken.
    const DRAIN: u64 = 1;
    /// The root is gone: the thread ends at once, and leases expire.
    const NOTHING: u64 = 2;

    /// Nothing more is to be taken.
    pub(super) fn stop(&self) {
        self.0.raise(Self::DRAIN);
    }

    /// Leases are to be taken and kept.
    pub(super) fn is_work(&self) -> bool {
        self.0.now() < Self::DRAIN
    }

    /// The root is gone.
    pub(super) fn is_nothing(&self) -> bool {
        self.0.now() >= Self::NOTHING
    }

    /// Nothing more is to be taken, and the coordination ends when the last lease is given up.
    /// Cancel safe.
    pub(super) async fn drain(&self) {
        self.0.reaches(Self::DRAIN).await;
    }

    /// The root is gone. Cancel safe.
    pub(super) async fn nothing(&self) {
        self.0.reaches(Self::NOTHING).await;
    }
}

/// What the start of the coordination gives: a way to ask, the hold on it, and what it tells.
type Started = (
    Coordination,
    CoordinationGuard,
    mpsc::UnboundedReceiver<ToRoot>,
);

impl Coordination {
    /// Starts it, on a thread of its own unless the settings say otherwise.
    pub(crate) fn start(inner: &Arc<WorkerInner>) -> Result<Started, RunError> {
        let (news, heard) = mpsc::unbounded_channel();
        let (requests, asked) = mpsc::unbounded_channel();
        let wanted = WantedPhase::default();
        if inner.stop.borrow().is_some() {
            // Asked to stop before it ran: the thread must not take a lease before the root comes
            // to say so.
            wanted.stop();
        }
        let mut task = Tasks::new();
        let (inner, leash) = (Arc::clone(inner), wanted.clone());
        let place = inner.parts.settings.coordination_on;
        let work = move || Coordinator::new(inner, news, asked, wanted).run();
        match place {
            CoordinationOn::OwnThread => {
                drop(on_own_thread("kcl-coordination", work).map_err(|error| {
                    RunError::Internal(format!("no thread for the coordination: {error}"))
                })?);
            }
            CoordinationOn::CallersRuntime => task.start(work()),
        }
        Ok((
            Self { requests },
            CoordinationGuard {
                wanted: leash,
                _task: task,
            },
            heard,
        ))
    }

    /// Nobody works on this lease any more.
    pub(crate) fn consumer_ended(&self, lease: LeaseKey, after: After) {
        // A thread that has ended has no use for it.
        let _ = self.requests.send(Request::ConsumerEnded { lease, after });
    }

    /// Makes the leases of the shards that follow a finished one, also those that the service did
    /// not name.
    pub(crate) async fn make_children(
        &self,
        stream: Arc<ReadStream>,
        parent: LeaseKey,
        children: Vec<ChildShard>,
    ) -> Result<Vec<ChildShard>, Unanswered> {
        let (answer, made) = oneshot::channel();
        let _ = self.requests.send(Request::Children {
            stream,
            parent,
            children,
            answer,
        });
        made.await
            .unwrap_or_else(|_| Err(Unanswered::coordination_ended()))
    }

    /// What the listing, asked from now on, says of a shard's end.
    pub(crate) async fn judge_end(
        &self,
        stream: &Arc<ReadStream>,
        lease: &LeaseKey,
        said: SaidEnd,
    ) -> Result<EndVerdict, Unanswered> {
        let (answer, judged) = oneshot::channel();
        let _ = self.requests.send(Request::End {
            stream: Arc::clone(stream),
            shard: lease.shard.clone(),
            said,
            answer,
        });
        judged
            .await
            .unwrap_or_else(|_| Err(Unanswered::coordination_ended()))
    }

    /// The service's time, for a lease that says "latest" and not since when.
    pub(crate) async fn start_time(
        &self,
        stream: Arc<ReadStream>,
    ) -> Result<Timestamp, Unanswered> {
        let (answer, time) = oneshot::channel();
        let _ = self.requests.send(Request::StartTime { stream, answer });
        time.await
            .unwrap_or_else(|_| Err(Unanswered::coordination_ended()))
    }

    /// Finds out about a shard that the service did not know.
    pub(crate) async fn whereabouts(
        &self,
        stream: Arc<ReadStream>,
        lease: LeaseKey,
        checkpoint: Checkpoint,
    ) -> ShardFate {
        let (answer, found) = oneshot::channel();
        let _ = self.requests.send(Request::ShardFate {
            stream,
            lease,
            checkpoint,
            answer,
        });
        found.await.unwrap_or(ShardFate::Unknown)
    }
}
