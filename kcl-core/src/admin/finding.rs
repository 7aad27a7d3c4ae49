//! What [`check`](fn@super::check) returns: one finding per thing that is wrong, each with advice.
//!
//! A finding is for two readers. A person reads `says` and `advice`; a program goes by `level` and
//! `kind`, whose names never change, and by `about`.

use std::fmt;

/// Something in a lease table that is wrong, or worth a look.
///
/// # Examples
/// ```
/// use kcl_core::admin::{FindingKind, Level, Observer, check};
/// use kcl_core::MemoryLeaseTable;
/// # use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::lease::Error> {
/// let fleet = Observer::new(Arc::new(MemoryLeaseTable::new())).look().await?;
/// let findings = check(&fleet, None, &[]);
/// assert_eq!(findings[0].kind, FindingKind::NoLeases);
/// assert_eq!(findings[0].level, Level::Problem);
/// println!("{} {}", findings[0].says, findings[0].advice);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is.
    pub kind: FindingKind,
    /// What it is about: the key of a lease, a worker, or the table itself as an empty text. A hole
    /// is about a shard if the stream was read, and otherwise about a stream.
    pub about: String,
    /// What was found, as a sentence. It may change from version to version; do not parse it.
    pub says: String,
    /// What to do about it, as a sentence.
    pub advice: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum Level {
    /// Records are not read, or will not be, until an operator acts. `kcl check` ends with exit code
    /// 1.
    Problem,
    /// It passes by itself, or does no harm.
    Note,
}

/// What a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum FindingKind {
    /// A row cannot be read. No worker reads its shard, and its children wait, until the row is
    /// repaired. Other shards are not affected.
    MalformedRow,
    /// A row that no worker can have written. An edit of the table by hand is the only known cause.
    ImpossibleRow,
    /// There are no leases. The first worker of an application creates them, so either none has run
    /// yet or the stream refuses its calls.
    NoLeases,
    /// No unfinished lease has these hash keys. No worker reads records with these keys.
    /// Workers create missing leases, but do not repair a hole that an edited row leaves.
    Hole,
    /// A shard should have a lease and has none. A live worker creates it with its next audit,
    /// within a minute by default.
    MissingLease,
    /// The shard of an unfinished lease has left the stream. Its unread records have expired. A
    /// live worker goes on with its children and reports the gap.
    Orphan,
    /// The shard of a finished lease has left the stream: the row is of no use any more. The next
    /// audit of a worker deletes it.
    Leftover,
    /// A lease makes no progress. [`Stuck`](super::Stuck) says why. It is found only in a view that
    /// was watched for long enough: after a single look, no worker is known to be dead.
    Stuck,
    /// An operator has paused a shard.
    Paused,
    /// An operator moves a lease to a worker, or drains one.
    Moving,
    /// The row of a worker that is dead. The others take its leases and delete the row.
    DeadWorker,
    /// A worker holds at least two leases more than another. It passes while leases move; if it
    /// stays, hand-overs are refused.
    Unbalanced,
    /// The leases belong to several streams, or to one that was deleted and recreated. Checkpoints
    /// of another stream mean nothing in this one, although their sequence numbers look alike.
    WrongStream,
    /// Workers of another framework assign the leases. The leader of a KCL 3.x and the workers
    /// of this framework would move the same leases back and forth, so the latter keep what they
    /// have and acquire no more.
    LedByOthers,
    /// The next record of a shard expires within a quarter of the stream's retention. A longer
    /// retention keeps what is still there; it does not bring back what has expired.
    RetentionNear,
    /// Records expired before they were read, or may have. Found by reading the shard at the
    /// checkpoint: the record there has expired.
    RecordsLost,
    /// The lag of a shard could not be measured: the call of this program failed. The workers may
    /// have other permissions.
    Unreadable,
}

impl FindingKind {
    /// The kind as it stands in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedRow => "malformed_row",
            Self::ImpossibleRow => "impossible_row",
            Self::NoLeases => "no_leases",
            Self::Hole => "hole",
            Self::MissingLease => "missing_lease",
            Self::Orphan => "orphan",
            Self::Leftover => "leftover",
            Self::Stuck => "stuck",
            Self::Paused => "paused",
            Self::Moving => "moving",
            Self::DeadWorker => "dead_worker",
            Self::Unbalanced => "unbalanced",
            Self::WrongStream => "wrong_stream",
            Self::LedByOthers => "led_by_others",
            Self::RetentionNear => "retention_near",
            Self::RecordsLost => "records_lost",
            Self::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Finding {
    /// A finding that an operator has to act on.
    pub(super) fn problem(
        kind: FindingKind,
        about: impl fmt::Display,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Problem,
            kind,
            about: about.to_string(),
            says: says.into(),
            advice: advice.into(),
        }
    }

    /// A finding that needs no action.
    pub(super) fn note(
        kind: FindingKind,
        about: impl fmt::Display,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Note,
            ..Self::problem(kind, about, says, advice)
        }
    }
}
