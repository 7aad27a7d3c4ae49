use std::fmt;
use std::time::Duration;

use crate::lease::MalformedRow;
use crate::model::{Lease, ShardId, WorkerId};

/// An application, as its lease table shows it after it was watched for some time.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FleetView {
    /// How long the table was watched before this judgement.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "watched_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub watched: Duration,
    /// Whether that was long enough to know of each worker whether it is alive.
    pub judged: bool,
    /// The workers that have a row or are named by a lease, ordered by name.
    pub workers: Vec<WorkerView>,
    /// The leases, ordered by key.
    pub leases: Vec<LeaseView>,
    /// The rows that cannot be read. They are not in the lists above.
    pub malformed: Vec<MalformedRow>,
    /// If a leader of another framework assigns the leases of this table, the evidence for it.
    pub led_by: Option<String>,
}

impl FleetView {
    /// How many workers are known to be alive.
    #[must_use]
    pub fn alive(&self) -> usize {
        let alive = |worker: &&WorkerView| worker.life == Life::Alive;
        self.workers.iter().filter(alive).count()
    }

    /// The leases that are stuck, with the reason.
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
    /// It was seen to write its row or a lease.
    Alive,
    /// Its row says that it is stopping and giving up its leases.
    Leaving,
    /// It was not seen to write, but was not watched for long enough to count as dead.
    Unknown,
    /// It was watched for as long as workers watch each other, and wrote nothing: other workers
    /// take its leases.
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
    /// has long been dead was deleted by others.
    pub has_row: bool,
    /// The failover time that it declares, if it has a row.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "failover_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub failover: Option<Duration>,
    /// How long it has written nothing while it was watched.
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
    /// The counter of its heartbeats, if it has a row.
    pub counter: Option<u64>,
    /// How many audits it has made, if it has a row.
    pub audits: Option<u64>,
    /// How many unfinished leases it holds.
    pub leases: usize,
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
    /// A worker holds it, and another one has requested it.
    HandOver,
    /// It was handed over to a worker that has not claimed it yet.
    HandedOver,
    /// No worker holds it.
    Free,
    /// Its holder has not renewed it for so long that other workers may take it.
    Expired,
    /// Its shard is finished.
    Ended,
}

impl fmt::Display for LeaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "held",
            Self::HandOver => "hand-over",
            Self::HandedOver => "handed over",
            Self::Free => "free",
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
    /// The worker that holds it.
    pub holder: Option<WorkerId>,
    /// The worker that has requested it, or to which it was handed over but that has not claimed
    /// it.
    pub awaited_by: Option<WorkerId>,
    /// The unfinished parent shard that its shard waits for.
    pub waits_for: Option<ShardId>,
    /// What has changed since the table was first read.
    pub moved: Moved,
    /// Why it makes no progress, if it is stuck.
    pub stuck: Option<Stuck>,
}

/// What has changed of a lease while the table was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Moved {
    /// The counter: the holder renews it.
    pub renewed: bool,
    /// The checkpoint.
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
    /// No worker is alive.
    NobodyAlive,
    /// The worker that holds it is dead.
    HolderDead {
        /// Who.
        worker: WorkerId,
    },
    /// The worker that holds it is alive but does not renew it.
    NotRenewed {
        /// Who.
        worker: WorkerId,
    },
    /// Workers are alive, but none of them has taken it.
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
    /// It moves from worker to worker and makes no progress.
    NoProgress {
        /// How many times the owner has changed since the last checkpoint.
        switches: u64,
    },
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyAlive => f.write_str("no worker of this application is alive"),
            Self::HolderDead { worker } => write!(f, "its holder {worker} is dead"),
            Self::NotRenewed { worker } => {
                write!(f, "its holder {worker} is alive but does not renew it")
            }
            Self::NotTaken => f.write_str(
                "no worker takes it although some are alive: they hold as many leases as they \
                 may, or cannot read it",
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
