//! What an [`Observer`](super::Observer) has found out about a fleet: plain values, made by
//! `judge.rs` from rows and from how they have changed.

use std::fmt;
use std::time::Duration;

use crate::lease::MalformedRow;
use crate::model::{Lease, ShardId, WorkerId};

use super::PublishedLag;

/// An application, as its lease table shows it after it was watched for some time.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::admin::{LeaseState, Life, Observer, Stuck};
/// use kcl_core::lease::LeaseTable;
/// use kcl_core::model::{Checkpoint, Lease, LeaseKey, WorkerId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::lease::Error> {
/// let table = MemoryLeaseTable::new();
/// let mut lease = Lease::new(LeaseKey::single("shardId-000000000000"), Checkpoint::TrimHorizon);
/// lease.owner = Some(WorkerId::new("one"));
/// table.create(&lease).await?;
///
/// let mut observer = Observer::new(Arc::new(table));
/// let fleet = observer.look().await?;
/// assert_eq!(fleet.leases[0].state, LeaseState::Held);
/// // A single look cannot tell whether the holder is alive.
/// assert_eq!((fleet.workers[0].life, fleet.judged), (Life::Unknown, false));
/// assert_eq!(fleet.stuck().count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FleetView {
    /// How long the table was watched before this judgement. Zero after a single look.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "watched_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub watched: Duration,
    /// Whether that was long enough to know of each worker whether it is alive. While it is false,
    /// nothing can be concluded from a worker that is not known to be alive, nor from a lease that
    /// is not known to be stuck.
    pub judged: bool,
    /// The workers that have a row or are named by a lease, ordered by name. Only unfinished leases
    /// count, so a worker that has read a shard to its end and is gone does not appear.
    pub workers: Vec<WorkerView>,
    /// The leases, ordered by key.
    pub leases: Vec<LeaseView>,
    /// The rows that cannot be read. They are not in the lists above. Each names its attribute,
    /// what was found in it and what is allowed.
    pub malformed: Vec<MalformedRow>,
    /// If a leader of another framework assigns the leases of this table, the evidence for it. A
    /// row of a KCL 3.x leader that keeps changing, for example.
    pub led_by: Option<String>,
}

impl FleetView {
    /// How many workers are known to be alive. A worker that is leaving is not counted, nor is one
    /// that is not known yet.
    #[must_use]
    pub fn alive(&self) -> usize {
        let alive = |worker: &&WorkerView| worker.life == Life::Alive;
        self.workers.iter().filter(alive).count()
    }

    /// The leases whose shards are not read to their end. Ordered by key.
    pub fn unfinished(&self) -> impl Iterator<Item = &LeaseView> {
        let is_unfinished = |lease: &&LeaseView| lease.state != LeaseState::Ended;
        self.leases.iter().filter(is_unfinished)
    }

    /// The leases that are stuck, with the reason. Ordered by key.
    pub fn stuck(&self) -> impl Iterator<Item = (&LeaseView, &Stuck)> {
        self.leases
            .iter()
            .filter_map(|lease| Some((lease, lease.stuck.as_ref()?)))
    }
}

/// Whether a worker is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum Life {
    /// It was seen to write its row or a lease. One write is enough, after the table was first
    /// read. A worker writes every third of its failover time, so this is known within about 4 s by
    /// default.
    Alive,
    /// Its row says that it is stopping and giving up its leases. No lease is handed over to it any
    /// more. It may still hold some, and reads them.
    Leaving,
    /// It was not seen to write, but was not watched for long enough to count as dead.
    Unknown,
    /// It was watched for as long as workers watch each other, and wrote nothing: other workers
    /// take its leases. That takes 4/5 of the failover time, and the whole of it for a worker of
    /// the Java KCL. A worker that has stopped and released its leases does not appear: it has
    /// deleted its row.
    Dead,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Alive => "alive",
            Self::Leaving => "leaving",
            Self::Unknown => "not judged",
            Self::Dead => "dead",
        })
    }
}

/// A worker, as the table shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct WorkerView {
    /// Its id.
    pub worker: WorkerId,
    /// Whether it is alive.
    pub life: Life,
    /// Whether it has a row. A Java worker has none of this framework, and the row of a worker that
    /// has long been dead was deleted by others. Without a row, it is judged by its leases alone.
    pub has_row: bool,
    /// The failover time that it declares, if it has a row. Each worker is judged by its own if
    /// that is longer than the observer's.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "failover_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub failover: Option<Duration>,
    /// How long it has written nothing while it was watched. An upper bound: it may have written
    /// right after the row was read.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "silent_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub silent: Duration,
    /// After this long without a write it counts as dead.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "dead_after_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub dead_after: Duration,
    /// The counter of its heartbeats, if it has a row. It says nothing by itself; that it grows
    /// shows life.
    pub counter: Option<u64>,
    /// Whether the heartbeats of its row hold its leases, whose counters may then stand still for
    /// hours. Otherwise it renews each of them.
    pub heartbeats: bool,
    /// Whether an operator drains it: it gives its leases to others and takes none, as long as there are
    /// others that are not drained.
    pub draining: bool,
    /// How many audits it has made, if it has a row. One live worker at a time compares the leases
    /// with the shards of the stream. If no worker's number grows for some minutes, no missing
    /// lease is created.
    pub audits: Option<u64>,
    /// How many unfinished leases it holds. By actual owner: a lease that was requested from it
    /// still counts as its own.
    pub leases: usize,
    /// How far behind the lease is that is furthest behind of those that it holds, as its row says.
    /// `None` if that is not known of all of them, or if its version does not say it.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "behind_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub behind: Option<Duration>,
    /// How many leases it has requested from others, or that were handed over to it but that it has
    /// not claimed.
    pub awaited: usize,
}

/// The state of a lease, as its row shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum LeaseState {
    /// A worker holds it.
    Held,
    /// A worker holds it, and another one has requested it. The holder finishes its batch first. If
    /// that takes longer than its drain limit, it refuses.
    HandOver,
    /// It was handed over to a worker that has not claimed it yet. It is usual for a moment. If it
    /// stays, the worker that handed it over takes it back.
    HandedOver,
    /// No worker holds it. Any live worker with room may take it, so this lasts only if there is
    /// none.
    Free,
    /// An operator has paused it, and no worker holds it.
    Paused,
    /// Its holder has shown no life for so long, by renewals of the lease or by the heartbeats that
    /// hold it, that other workers may take it. A child that waits for its parent does not expire: its
    /// lease is held meanwhile.
    Expired,
    /// Its shard is finished. The row stays while the stream lists the shard, so that no worker
    /// reads it a second time.
    Ended,
}

impl fmt::Display for LeaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "held",
            Self::HandOver => "hand-over",
            Self::HandedOver => "handed over",
            Self::Free => "free",
            Self::Paused => "paused",
            Self::Expired => "expired",
            Self::Ended => "ended",
        })
    }
}

/// A lease, as the table shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LeaseView {
    /// The row.
    #[cfg_attr(
        feature = "serde",
        serde(flatten, serialize_with = "super::serialize::lease")
    )]
    pub lease: Lease,
    /// Its state.
    pub state: LeaseState,
    /// The worker that holds it. By the rule of the workers: while a request is open, it is the
    /// checkpoint owner and not the owner.
    pub holder: Option<WorkerId>,
    /// The worker that has requested it, or to which it was handed over but that has not claimed
    /// it.
    pub awaited_by: Option<WorkerId>,
    /// The unfinished parent shard that its shard waits for. A parent whose row is malformed counts
    /// as unfinished.
    pub waits_for: Option<ShardId>,
    /// How far behind it is, as its holder says. `None` if no live worker holds it, if it waits for a
    /// parent, or if its holder does not say it.
    pub lag: Option<PublishedLag>,
    /// What has changed since the table was first read. All false after a single look.
    pub moved: Moved,
    /// Why it makes no progress, if it is stuck.
    pub stuck: Option<Stuck>,
}

/// What has changed of a lease while the table was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Moved {
    /// The counter: the holder renews it. A checkpoint moves it, too. Where heartbeats hold the lease,
    /// only a checkpoint does.
    pub renewed: bool,
    /// The checkpoint. A lease of a shard without new records is held and has the same checkpoint.
    pub checkpoint: bool,
    /// The worker that holds it.
    pub holder: bool,
    /// It did not exist before.
    pub new: bool,
}

/// Why a lease makes no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "reason", rename_all = "snake_case")
)]
pub enum Stuck {
    /// No worker is alive. It is given for every unfinished lease, as no other reason matters then.
    NoLiveWorker,
    /// The worker that holds it is dead. It is taken within the failover time by a live worker with
    /// room.
    HolderDead {
        /// Who.
        worker: WorkerId,
    },
    /// The worker that holds it is alive but does not renew it. Its row changes and the lease does
    /// not: the worker is up, but its shard makes no progress, or its writes to this lease fail.
    NotRenewed {
        /// Who.
        worker: WorkerId,
    },
    /// Each call of its handler has failed for at least [`STUCK_AFTER`](super::STUCK_AFTER), as its
    /// holder says.
    HandlerFails {
        /// Who.
        worker: WorkerId,
        /// For how long.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "seconds", serialize_with = "super::serialize::seconds")
        )]
        for_long: Duration,
    },
    /// A call of its handler has not returned for at least that long, as its holder says. A call
    /// that takes longer than `handler_budget` loses the lease.
    HandlerBusy {
        /// Who.
        worker: WorkerId,
        /// For how long.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "seconds", serialize_with = "super::serialize::seconds")
        )]
        for_long: Duration,
    },
    /// Each call that reads its shard has failed for at least that long, as its holder says.
    ReadsFail {
        /// Who.
        worker: WorkerId,
        /// For how long.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "seconds", serialize_with = "super::serialize::seconds")
        )]
        for_long: Duration,
    },
    /// Workers are alive, but none of them has taken it. For at least as long as a lease takes to
    /// expire.
    NotTaken,
    /// It was handed over to a worker that is dead or does not claim it.
    NotClaimed {
        /// Who.
        worker: WorkerId,
    },
    /// The row of its parent is malformed: it waits until that is repaired.
    ParentMalformed {
        /// The parent.
        parent: ShardId,
    },
    /// It moves from worker to worker and makes no progress. Three times or more without a
    /// checkpoint: one change may be a crash and another a hand-over. A record that crashes its
    /// process looks like this.
    NoProgress {
        /// How many times the owner has changed since the last checkpoint.
        switches: u64,
    },
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLiveWorker => f.write_str("no worker of this application is alive"),
            Self::HolderDead { worker } => write!(f, "its holder {worker} is dead"),
            Self::NotRenewed { worker } => {
                write!(f, "its holder {worker} is alive but does not renew it")
            }
            Self::HandlerFails { worker, for_long } => write!(
                f,
                "its holder {worker} says that the handler has failed for {} s",
                for_long.as_secs()
            ),
            Self::HandlerBusy { worker, for_long } => write!(
                f,
                "its holder {worker} says that the handler has been in one call for {} s",
                for_long.as_secs()
            ),
            Self::ReadsFail { worker, for_long } => write!(
                f,
                "its holder {worker} says that the shard could not be read for {} s",
                for_long.as_secs()
            ),
            Self::NotTaken => f.write_str(
                "no live worker takes it: each holds as many leases as it may, or cannot read the \
                 shard",
            ),
            Self::NotClaimed { worker } => {
                write!(f, "it was handed over to {worker}, which does not claim it")
            }
            Self::ParentMalformed { parent } => {
                write!(
                    f,
                    "it waits for its parent {parent}, whose row is malformed"
                )
            }
            Self::NoProgress { switches } => write!(
                f,
                "its owner has changed {switches} times since its last checkpoint: every worker \
                 that reads it fails or dies"
            ),
        }
    }
}
