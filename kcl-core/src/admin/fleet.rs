use std::fmt;
use std::time::Duration;

use crate::lease::MalformedRow;
use crate::model::{Lease, ShardId, WorkerId};

/// An application as its lease table shows it, after it was watched for some time.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FleetView {
    /// How long the table was watched before this was judged.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "watched_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub watched: Duration,
    /// Whether that was long enough to tell of each worker whether it is alive.
    pub judged: bool,
    /// The workers, by name: those that have a row, and those that a lease names.
    pub workers: Vec<WorkerView>,
    /// The leases, by key.
    pub leases: Vec<LeaseView>,
    /// The rows that cannot be read. They are in none of the lists above.
    pub malformed: Vec<MalformedRow>,
    /// What shows that workers of another framework give the leases of this table away.
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

/// What is known of a worker's life.
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
    /// Its row says that it is stopping, and hands its leases over.
    Leaving,
    /// It was not seen to write, and not watched for long enough to call it dead.
    Unknown,
    /// It was watched for as long as workers watch each other, and did not write: the others take
    /// its leases.
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

/// A worker as the table shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct WorkerView {
    /// Who.
    pub worker: WorkerId,
    /// Whether it is alive.
    pub life: Life,
    /// Whether it has a row of its own. A Java worker has none of ours; nor has one that was dead
    /// for so long that others have deleted it.
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
    /// How long it has written nothing, as far as it was watched.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "silent_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub silent: Duration,
    /// After how long a silence it counts as dead.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "dead_after_seconds",
            serialize_with = "super::serialize::seconds"
        )
    )]
    pub dead_after: Duration,
    /// Its heartbeats, if it has a row.
    pub counter: Option<u64>,
    /// How often it has compared the shards of the streams with the leases, if it has a row.
    pub audits: Option<u64>,
    /// The unfinished leases that it holds.
    pub leases: usize,
    /// The leases that it has asked others for, or that were handed over to it and that it has not
    /// claimed.
    pub awaited: usize,
}

/// Who reads a shard at present, as its row shows it.
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
    /// A worker holds it, and another one has asked for it.
    HandOver,
    /// It was handed over to a worker that has not claimed it yet.
    HandedOver,
    /// Nobody holds it.
    Free,
    /// Its holder has not renewed it for so long that others may take it.
    Expired,
    /// Its shard is done.
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

/// A lease as the table shows it.
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
    /// Whether somebody holds it.
    pub state: LeaseState,
    /// Who holds it.
    pub holder: Option<WorkerId>,
    /// Who has asked its holder for it, or has been handed it and not claimed it.
    pub awaited_by: Option<WorkerId>,
    /// The parent that its shard waits for: one that is not finished.
    pub waits_for: Option<ShardId>,
    /// What has changed of it since the table was read first.
    pub moved: Moved,
    /// Why nobody gets on with it, if that is so.
    pub stuck: Option<Stuck>,
}

/// What has changed of a lease while the table was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Moved {
    /// Its counter: the holder renews it.
    pub renewed: bool,
    /// Its checkpoint.
    pub checkpoint: bool,
    /// Who holds it.
    pub holder: bool,
    /// It was not there before.
    pub new: bool,
}

/// Why nobody gets on with a lease.
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
    /// The worker that holds it is alive, and does not renew it.
    NotRenewed {
        /// Who.
        worker: WorkerId,
    },
    /// Workers are alive, and none of them has taken it.
    NotTaken,
    /// It was handed over to a worker that is dead or does not claim it.
    NotClaimed {
        /// Who.
        worker: WorkerId,
    },
    /// The row of its parent cannot be read: it waits until that is repaired.
    ParentMalformed {
        /// The parent.
        parent: ShardId,
    },
    /// It changes hands and makes no progress.
    NoProgress {
        /// Changes of owner since the last checkpoint.
        switches: u64,
    },
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyAlive => f.write_str("no worker of this application is alive"),
            Self::HolderDead { worker } => write!(f, "its holder {worker} is dead"),
            Self::NotRenewed { worker } => {
                write!(f, "its holder {worker} is alive and does not renew it")
            }
            Self::NotTaken => f.write_str(
                "nobody takes it although workers are alive: they are full, or cannot read it",
            ),
            Self::NotClaimed { worker } => {
                write!(f, "it was handed over to {worker}, who does not claim it")
            }
            Self::ParentMalformed { parent } => {
                write!(
                    f,
                    "it waits for its parent {parent}, whose row is malformed"
                )
            }
            Self::NoProgress { switches } => write!(
                f,
                "it has changed hands {switches} times since its last checkpoint: whoever reads it fails or dies"
            ),
        }
    }
}
