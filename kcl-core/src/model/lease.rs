use std::fmt;
use std::sync::Arc;

use super::{Assignee, Checkpoint, HashKeyRange, Pending, ShardId, Throughput, Timestamp};

/// The key of a lease: the shard and, in an application that reads several streams, the stream.
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
    /// The stream in the KCL's serialised form (`account:name:creation`, the creation time in
    /// seconds since the Unix epoch). `None` in an application that reads one stream.
    pub stream: Option<Arc<str>>,
    /// The shard.
    pub shard: ShardId,
}

impl LeaseKey {
    /// The key of a shard in an application that reads one stream.
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

    /// The key that this text is of, as [`Display`](fmt::Display) writes it: what stands before the
    /// last colon is the stream. The id of a shard has no colon in Kinesis.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.rsplit_once(':') {
            Some((stream, shard)) => Self {
                stream: Some(stream.into()),
                shard: shard.into(),
            },
            None => Self::single(text),
        }
    }
}

impl fmt::Display for LeaseKey {
    /// Writes the KCL's `leaseKey`: the shard, or `stream:shard`.
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
            /// Creates the value with this text.
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
    /// The name of a worker, as it is written into a lease as its owner. It tells people who holds
    /// a lease; a worker itself relies on the [`Token`] to know that it still holds one.
    WorkerId
}

text_value! {
    /// The identity of one tenancy, that is, of one period for which a worker holds a lease: a
    /// fresh random text that each take, claim and owned creation writes.
    ///
    /// Every later write of that tenancy expects this token, so a worker that was suspended during
    /// a change of owner, or another process with the same [`WorkerId`], cannot be mistaken for the
    /// owner.
    Token
}

impl Token {
    /// The token of a tenancy of this incarnation of a worker, with a random text of its own.
    #[must_use]
    pub fn of_tenancy(incarnation: &Self, random: &Self) -> Self {
        format!("{incarnation}:{random}").as_str().into()
    }

    /// The incarnation that holds the lease, if the token names it. It leads from a lease to the row
    /// whose heartbeats may hold it. Versions that know no heartbeats name none.
    #[must_use]
    pub fn incarnation(&self) -> Option<&str> {
        Some(self.as_str().split_once(':')?.0)
    }
}

/// What this crate stores about a lease in addition to the KCL's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The service's time when a lease at `LATEST` was created, or the time that `AT_TIMESTAMP`
    /// stands for. The shard is opened at this time until the first checkpoint, which moves the
    /// time to [`began_at`](Self::began_at).
    pub start_at: Option<Timestamp>,
    /// The time at which the lease began, if it has had a checkpoint since. The shard is not opened
    /// at this time; it shows that earlier records may never have been read.
    pub began_at: Option<Timestamp>,
    /// The ARN of the stream that the shard belongs to.
    pub stream_arn: Option<Arc<str>>,
    /// When that stream was created. A stream that was deleted and created again under the same
    /// name has another time.
    pub stream_created_at: Option<Timestamp>,
}

impl Facts {
    /// The time at which the lease began, whatever its checkpoint is now. `None` if it did not
    /// begin at a time.
    #[must_use]
    pub fn first_time(&self) -> Option<Timestamp> {
        self.began_at.or(self.start_at)
    }

    /// The facts after this checkpoint is stored, or `None` if it changes none of them. Only
    /// progress ends the use of the first time: a checkpoint that goes back to a sentinel, as an
    /// operator may write it, needs a time of its own.
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

/// A row of the lease table: which worker reads a shard, and how far it has been processed.
///
/// ```text
///                   owner    checkpoint_owner   token
///   free            -        -                  -
///   held by A       A        -                  t
///   requested by B  B        A                  t      A reads on, and still holds it
///   handed over     B        -                  -      nobody reads; B has to claim it
///   held by B       B        -                  u
/// ```
///
/// A Java worker writes no token. The KCL knows the other two attributes, and all rows above mean
/// the same to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Which shard, and of which stream.
    pub key: LeaseKey,
    /// The worker that holds the lease or, while a hand-over is pending, the worker that requested
    /// it. `None` if the lease is free.
    pub owner: Option<WorkerId>,
    /// While a hand-over is pending, the worker that still holds the lease; otherwise `None`.
    pub checkpoint_owner: Option<WorkerId>,
    /// The token of the current tenancy. `None` if the lease is free, handed over and not yet
    /// claimed, or held by a worker of the Java KCL.
    pub token: Option<Token>,
    /// Grows by one with every write of an owner. It is the owner's heartbeat, and most conditional
    /// writes expect it.
    pub counter: u64,
    /// How often the owner has changed since the last checkpoint. The KCL counts it, too. If it
    /// grows while the checkpoint stands still, every reader of the shard fails.
    pub owner_switches: u64,
    /// How far the shard has been processed.
    pub checkpoint: Checkpoint,
    /// A checkpoint that was prepared but not committed. The next owner receives it in
    /// `initialize`.
    pub pending: Option<Pending>,
    /// The shards that were split or merged into this one. The shard is read only when each of them
    /// is finished or gone.
    pub parents: Vec<ShardId>,
    /// The shards that follow this one. Empty until they are known, which is when the shard has
    /// been read to its end.
    pub children: Vec<ShardId>,
    /// The shard's hash key range. `None` in rows written by old versions of the KCL.
    pub hash_range: Option<HashKeyRange>,
    /// When an operator paused the shard, or `None` if it is not paused. Nobody takes a paused
    /// lease. A worker that holds it drains the shard and frees the lease; if that worker is dead,
    /// others free it. The time belongs to operators: no write of a worker changes it.
    pub paused_at: Option<Timestamp>,
    /// The worker that an operator moves the lease to, or `None`. While that process lives, it requests
    /// the lease, and others leave a free one to it for a short while. It keeps the lease for a minute
    /// before it ends the assignment. An assignment belongs to operators: no other write of a worker
    /// changes it, except that an owner ends one whose worker is long gone.
    pub assigned_to: Option<Assignee>,
    /// What the shard carried when its owner last wrote, or `None` if that is not known: the shard
    /// was never read, or its owner does not measure it. Written along with renewals, checkpoints
    /// and hand-overs. It tells where the lease belongs and is no part of any condition.
    pub throughput: Option<Throughput>,
    /// What the KCL has no attribute for.
    pub facts: Facts,
}

impl Lease {
    /// A free lease with this checkpoint, which no worker has held yet.
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
            paused_at: None,
            assigned_to: None,
            throughput: None,
            facts: Facts::default(),
        }
    }

    /// The same lease, held by `owner` from the start. Its counter starts at 1, as in every lease
    /// that is created with an owner.
    #[must_use]
    pub fn owned_by(mut self, owner: WorkerId, token: Token) -> Self {
        self.owner = Some(owner);
        self.token = Some(token);
        self.counter = 1;
        self
    }

    /// The worker that holds the lease now. While a hand-over is pending, that is still the
    /// previous owner.
    #[must_use]
    pub fn actual_owner(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }

    /// Whether an operator has paused the shard.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// Whether a hand-over was requested and is not finished. The actual owner reads on meanwhile.
    #[must_use]
    pub const fn hand_over_pending(&self) -> bool {
        self.checkpoint_owner.is_some()
    }
}
