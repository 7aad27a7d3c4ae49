use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{ChildShard, RawRecord, SequenceNumber, Shard, ShardId, Timestamp};

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamDescription {
    /// Its ARN.
    pub arn: Arc<str>,
    /// When it was made: a stream of the same name made anew has another time.
    pub created_at: Timestamp,
    /// How long it keeps records.
    pub retention: Duration,
}

impl StreamDescription {
    /// The stream with this ARN, time of creation and retention.
    #[must_use]
    pub fn new(arn: impl Into<Arc<str>>, created_at: Timestamp, retention: Duration) -> Self {
        Self {
            arn: arn.into(),
            created_at,
            retention,
        }
    }

    /// Whether both describe one and the same stream: not one that was deleted, and one that was
    /// made again under its name.
    #[must_use]
    pub fn is_same_stream(&self, other: &Self) -> bool {
        self.arn == other.arn && self.created_at == other.created_at
    }

    /// The name, if the ARN is one of a stream.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.arn.split_once(":stream/").map(|(_, name)| name)
    }

    /// The stream in the KCL's serialised form, as it stands in the keys of leases of an
    /// application that reads several streams: `account:name:creation`, the last in whole seconds.
    #[must_use]
    pub fn identity(&self) -> Arc<str> {
        let mut parts = self.arn.split(':').skip(4);
        let account = parts.next().unwrap_or_default();
        let name = self.arn.rsplit('/').next().unwrap_or_default();
        format!("{account}:{name}:{}", self.created_at.as_millis() / 1000).into()
    }
}

/// Which shards to list: the service's `ShardFilter`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardFilter {
    /// Every shard that still holds records, open or closed.
    All,
    /// The open shards.
    AtLatest,
    /// The shards that were open at the trim horizon.
    AtTrimHorizon,
    /// The shards that were open at this time.
    AtTimestamp(Timestamp),
}

/// Where the next page of shards begins: the stream's own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPageToken(pub String);

/// A page of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardPage {
    /// The shards.
    pub shards: Vec<Shard>,
    /// Where the next page begins; nothing after the last.
    pub next: Option<ShardPageToken>,
    /// The service's time when it answered, never later than that: leases at `LATEST` begin here.
    pub service_time: Timestamp,
}

impl ShardPage {
    /// A page of these shards, answered at this time.
    #[must_use]
    pub const fn new(
        shards: Vec<Shard>,
        next: Option<ShardPageToken>,
        service_time: Timestamp,
    ) -> Self {
        Self {
            shards,
            next,
            service_time,
        }
    }
}

/// Where reading a shard begins.
///
/// There is no "latest": what that means is decided once, when the lease is made, and kept there as
/// a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// The oldest record that is retained.
    TrimHorizon,
    /// The first record that arrived at this time or later.
    Timestamp(Timestamp),
    /// This record, or the next one that is retained.
    Sequence(SequenceNumber),
    /// The record after this one.
    AfterSequence(SequenceNumber),
}

/// A place in a shard that a stream has opened (a shard iterator). It may expire.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    shard: ShardId,
    text: Arc<str>,
}

impl Cursor {
    /// The place in `shard` that a stream calls `text`.
    #[must_use]
    pub fn new(shard: ShardId, text: impl Into<Arc<str>>) -> Self {
        Self {
            shard,
            text: text.into(),
        }
    }

    /// The shard.
    #[must_use]
    pub const fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// The stream's own text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Cursor {
    /// Not the text: a shard iterator is a key to the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cursor").field(&self.shard).finish()
    }
}

/// A page of records.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The records, in the order of their sequence numbers. May be empty when the shard is not.
    pub records: Vec<RawRecord>,
    /// Where the next page begins; nothing when the shard has ended, which the list of shards has
    /// to confirm.
    pub next: Option<Cursor>,
    /// How old the newest record of the page is against the tip of the shard; nothing when the
    /// service did not say.
    pub millis_behind_latest: Option<u64>,
    /// The shards that follow, on the last page of a shard.
    pub children: Vec<ChildShard>,
}

impl Page {
    /// A page of these records with the place of the next one.
    #[must_use]
    pub fn new(records: Vec<RawRecord>, next: Option<Cursor>) -> Self {
        Self {
            records,
            next,
            millis_behind_latest: None,
            children: Vec::new(),
        }
    }

    /// The same page, this far behind the tip.
    #[must_use]
    pub const fn behind(mut self, millis: u64) -> Self {
        self.millis_behind_latest = Some(millis);
        self
    }

    /// The same page with the shards that follow.
    #[must_use]
    pub fn followed_by(mut self, children: Vec<ChildShard>) -> Self {
        self.children = children;
        self
    }
}
