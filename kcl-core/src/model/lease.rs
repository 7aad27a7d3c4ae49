use std::fmt;
use std::sync::Arc;

use super::{Checkpoint, HashKeyRange, Pending, ShardId, Timestamp};

/// The key of a lease: a shard, and in an application that reads several streams also the stream.
///
/// ```
/// use kcl_core::model::LeaseKey;
///
/// let key = LeaseKey::single("shardId-000000000000");
/// assert_eq!(key.to_string(), "shardId-000000000000");
/// let one_of_several = LeaseKey { stream: Some("123456789012:orders:1700000000".into()), ..key };
/// assert_eq!(one_of_several.to_string(), "123456789012:orders:1700000000:shardId-000000000000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// The stream in the KCL's serialised form (`account:name:creation`), only where an application
    /// reads several.
    pub stream: Option<Arc<str>>,
    /// The shard.
    pub shard: ShardId,
}

impl LeaseKey {
    /// The key in an application that reads one stream.
    #[must_use]
    pub fn single(shard: impl Into<ShardId>) -> Self {
        Self {
            stream: None,
            shard: shard.into(),
        }
    }

    /// The key of another shard of the same stream.
    #[must_use]
    pub fn sibling(&self, shard: ShardId) -> Self {
        Self {
            stream: self.stream.clone(),
            shard,
        }
    }
}

impl fmt::Display for LeaseKey {
    /// The KCL's `leaseKey`: the shard, or `stream:shard`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            Some(stream) => write!(f, "{stream}:{}", self.shard),
            None => self.shard.fmt(f),
        }
    }
}

macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The value of this text.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_value! {
    /// The name of a worker: what stands as owner in a lease. It tells people who holds a lease;
    /// what tells a worker that it holds one itself is the [`Token`].
    WorkerId
}

text_value! {
    /// The mark of one tenancy of a lease: a fresh random text written by each take, claim and
    /// owned creation.
    ///
    /// Every later write of that tenancy expects it, so a worker that slept through a change of
    /// owner, or another process under the same [`WorkerId`], cannot be mistaken for the owner.
    Token
}

/// What we know of a lease and the KCL has no attribute for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The service's time when a lease at `LATEST` was made, or the time that `AT_TIMESTAMP` means.
    /// The shard is opened at this time until there is a checkpoint, which moves it to
    /// [`began_at`](Self::began_at).
    pub start_at: Option<Timestamp>,
    /// The time at which a lease began that has had a checkpoint since. Nothing is opened at it: it
    /// tells that what came before was perhaps never read.
    pub began_at: Option<Timestamp>,
    /// The ARN of the stream that the shard belongs to.
    pub stream_arn: Option<Arc<str>>,
    /// When that stream was created: a stream of the same name made anew has another time.
    pub stream_created_at: Option<Timestamp>,
}

impl Facts {
    /// The time at which the lease began, if it began at one: whatever its checkpoint is now.
    #[must_use]
    pub fn first_time(&self) -> Option<Timestamp> {
        self.began_at.or(self.start_at)
    }

    /// The facts once this checkpoint is stored. `None` when it changes none of them.
    #[must_use]
    pub(crate) fn passed_by(&self, to: &Checkpoint) -> Option<Self> {
        let is_progress = matches!(to, Checkpoint::At(_) | Checkpoint::ShardEnd);
        (is_progress && self.start_at.is_some()).then(|| Self {
            start_at: None,
            began_at: self.first_time(),
            ..self.clone()
        })
    }
}

/// A row of the lease table: who reads a shard and how far it has been processed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Which shard.
    pub key: LeaseKey,
    /// Who holds it, or, while a hand-over is pending, who is to have it. Nobody's when absent.
    pub owner: Option<WorkerId>,
    /// Who holds it while a hand-over is pending: the owner that has not passed it on yet.
    pub checkpoint_owner: Option<WorkerId>,
    /// The mark of the present tenancy. Absent in a row that nobody of us holds.
    pub token: Option<Token>,
    /// Grows with every write of an owner: its heartbeat, and the fence of every conditional write.
    pub counter: u64,
    /// Changes of owner since the last checkpoint.
    pub owner_switches: u64,
    /// How far the shard has been processed.
    pub checkpoint: Checkpoint,
    /// A checkpoint that was prepared and not committed.
    pub pending: Option<Pending>,
    /// The shards that this one came from.
    pub parents: Vec<ShardId>,
    /// The shards that follow this one, known from its end on.
    pub children: Vec<ShardId>,
    /// The shard's hash keys. Absent in rows of old versions of the KCL.
    pub hash_range: Option<HashKeyRange>,
    /// What the KCL has no attribute for.
    pub facts: Facts,
}

impl Lease {
    /// A lease that nobody holds, with nothing done.
    #[must_use]
    pub fn new(key: LeaseKey, checkpoint: Checkpoint) -> Self {
        Self {
            key,
            owner: None,
            checkpoint_owner: None,
            token: None,
            counter: 0,
            owner_switches: 0,
            checkpoint,
            pending: None,
            parents: Vec::new(),
            children: Vec::new(),
            hash_range: None,
            facts: Facts::default(),
        }
    }

    /// The same lease, held by `owner` from the start (its counter begins at 1, as an owned
    /// creation writes it).
    #[must_use]
    pub fn owned_by(mut self, owner: WorkerId, token: Token) -> Self {
        self.owner = Some(owner);
        self.token = Some(token);
        self.counter = 1;
        self
    }

    /// Who holds the lease now: while a hand-over is pending that is the one who has not passed it
    /// on.
    #[must_use]
    pub fn actual_owner(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }

    /// Whether a hand-over was asked for and is not done.
    #[must_use]
    pub const fn hand_over_pending(&self) -> bool {
        self.checkpoint_owner.is_some()
    }
}
