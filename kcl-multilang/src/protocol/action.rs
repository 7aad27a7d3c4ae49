use std::fmt;

/// What a child is asked to do, and answers with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Get ready for the records of a shard.
    Initialize,
    /// Process records.
    ProcessRecords,
    /// The shard belongs to another worker now.
    LeaseLost,
    /// Every record of the shard has been delivered.
    ShardEnded,
    /// The shard is about to be given up.
    ShutdownRequested,
}

impl Action {
    /// Every action, for a search by name. `checkpoint` is no action: a child is never asked for
    /// one. `shutdown`, which the libraries' oldest interface has, is none either: they make it of
    /// the two that end a shard, and no daemon sends it.
    pub(super) const ALL: [Self; 5] = [
        Self::Initialize,
        Self::ProcessRecords,
        Self::LeaseLost,
        Self::ShardEnded,
        Self::ShutdownRequested,
    ];

    /// As the messages name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::ProcessRecords => "processRecords",
            Self::LeaseLost => "leaseLost",
            Self::ShardEnded => "shardEnded",
            Self::ShutdownRequested => "shutdownRequested",
        }
    }

    /// The action of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
