use std::fmt;

/// Something in a lease table that is wrong, or worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is.
    pub kind: FindingKind,
    /// What it is about: the key of a lease, a worker, or the table itself as an empty text.
    pub about: String,
    /// What was found, as a sentence.
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
    /// Records are not read, or will not be, until somebody does something.
    Problem,
    /// It mends itself, or harms nobody.
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
    /// A row cannot be read.
    MalformedRow,
    /// A row that no worker can have written.
    ImpossibleRow,
    /// There are no leases.
    NoLeases,
    /// No unfinished lease has these hash keys.
    Hole,
    /// A shard should have a lease and has none.
    MissingLease,
    /// The shard of an unfinished lease has left the stream.
    Orphan,
    /// The shard of a finished lease has left the stream: the row is of no use any more.
    Leftover,
    /// Nobody gets on with a lease.
    Stuck,
    /// The row of a worker that is dead.
    DeadWorker,
    /// Somebody holds more leases than others.
    Unbalanced,
    /// The leases are of several streams, or of one that was made again.
    WrongStream,
    /// Workers of another framework give the leases away.
    LedByOthers,
    /// Records will expire before they are read.
    RetentionNear,
    /// Records expired before they were read, or may have.
    RecordsLost,
    /// A shard could not be asked.
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
