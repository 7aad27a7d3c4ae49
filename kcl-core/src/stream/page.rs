//! The values that calls to a stream take and return.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{ChildShard, RawRecord, SequenceNumber, Shard, ShardId, Timestamp};

/// The description of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamDescription {
    /// Its ARN.
    pub arn: Arc<str>,
    /// When it was created. A stream that was deleted and created again under the same name has
    /// another time.
    pub created_at: Timestamp,
    /// How long it retains records.
    pub retention: Duration,
}

impl StreamDescription {
    /// Creates the description of a stream.
    #[must_use]
    pub fn new(arn: impl Into<Arc<str>>, created_at: Timestamp, retention: Duration) -> Self {
        Self {
            arn: arn.into(),
            created_at,
            retention,
        }
    }

    /// Whether both describe the same stream, and not a deleted one and another that was created
    /// again under its name.
    #[must_use]
    pub fn is_same_stream(&self, other: &Self) -> bool {
        self.arn == other.arn && self.created_at == other.created_at
    }

    /// The stream's name, or `None` if the ARN is not that of a stream.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.arn.split_once(":stream/").map(|(_, name)| name)
    }

    /// The stream in the KCL's serialised form, `account:name:creation`, as it appears in lease
    /// keys of an application that reads several streams. The creation time is in whole seconds
    /// since the Unix epoch.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use kcl_core::model::Timestamp;
    /// use kcl_core::stream::StreamDescription;
    ///
    /// let stream = StreamDescription::new(
    ///     "arn:aws:kinesis:us-east-1:123456789012:stream/orders",
    ///     Timestamp::from_millis(1_700_000_000_123),
    ///     Duration::from_secs(24 * 3600),
    /// );
    /// assert_eq!(stream.name(), Some("orders"));
    /// assert_eq!(&*stream.identity(), "123456789012:orders:1700000000");
    /// ```
    #[must_use]
    pub fn identity(&self) -> Arc<str> {
        let mut parts = self.arn.split(':').skip(4);
        let account = parts.next().unwrap_or_default();
        let name = self.arn.rsplit('/').next().unwrap_or_default();
        format!("{account}:{name}:{}", self.created_at.as_millis() / 1000).into()
    }
}

/// Which shards to list: the service's `ShardFilter`.
///
/// A filter saves pages: a stream that was resharded often lists far more closed shards than open
/// ones.
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

/// Where the next page of shards begins: text in the stream's own format, opaque to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPageToken(pub String);

/// A page of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardPage {
    /// The shards.
    pub shards: Vec<Shard>,
    /// Where the next page begins, or `None` after the last page.
    pub next: Option<ShardPageToken>,
    /// The service's clock when it answered, never later than that. New leases at `LATEST` begin at
    /// this time.
    pub service_time: Timestamp,
}

impl ShardPage {
    /// Creates a page of shards.
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

/// Where the reading of a shard begins.
///
/// There is no "latest": what that means is decided once, when the lease is created, and stored in
/// the lease as a time.
///
/// A reader that resumes opens the shard *at* its last record and drops that record, instead of
/// opening it *after* the record. If the record has expired, the first one that comes tells so, and
/// what may have been lost is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// At the oldest retained record.
    TrimHorizon,
    /// At the first record that arrived at this time or later.
    Timestamp(Timestamp),
    /// At this record, or at the next retained one if this record has expired.
    Sequence(SequenceNumber),
    /// After this record.
    AfterSequence(SequenceNumber),
}

/// A position in a shard that a stream has opened: a shard iterator. It may expire.
///
/// Kinesis lets a shard iterator expire after five minutes. That is no failure: the reader opens
/// the shard again.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    /// For whoever reads with it: the text alone does not tell.
    shard: ShardId,
    /// Only the stream that made it understands it. It may grant access to the records, so `Debug`
    /// does not show it.
    text: Arc<str>,
}

impl Cursor {
    /// Creates a cursor from the stream's own text for a position in `shard`.
    #[must_use]
    pub fn new(shard: ShardId, text: impl Into<Arc<str>>) -> Self {
        Self {
            shard,
            text: text.into(),
        }
    }

    /// The shard that it belongs to.
    #[must_use]
    pub const fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// The stream's own text for the position.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Cursor {
    /// Does not show the text: a shard iterator gives access to the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cursor").field(&self.shard).finish()
    }
}

/// A page of records.
///
/// # Examples
/// A page that ends its shard, as a stream of one's own would return it:
///
/// ```
/// use kcl_core::model::{RawRecord, SequenceNumber};
/// use kcl_core::stream::Page;
///
/// let record = RawRecord::new(SequenceNumber::from_u128(7), "customer-7", "an order");
/// let page = Page::new(vec![record], None).behind(0);
/// assert!(page.next.is_none());
/// assert_eq!(page.millis_behind_latest, Some(0));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The records, in the order of their sequence numbers. May be empty although the shard holds
    /// more records.
    pub records: Vec<RawRecord>,
    /// Where the next page begins. `None` if the shard has ended, which the list of shards has yet
    /// to confirm.
    pub next: Option<Cursor>,
    /// How far the newest record of the page is behind the tip of the shard, in milliseconds.
    /// `None` if the service did not say.
    pub millis_behind_latest: Option<u64>,
    /// The child shards, on the last page of a shard.
    pub children: Vec<ChildShard>,
}

impl Page {
    /// Creates a page of these records, with the position of the next page.
    #[must_use]
    pub fn new(records: Vec<RawRecord>, next: Option<Cursor>) -> Self {
        Self {
            records,
            next,
            millis_behind_latest: None,
            children: Vec::new(),
        }
    }

    /// The same page, this many milliseconds behind the tip.
    #[must_use]
    pub const fn behind(mut self, millis: u64) -> Self {
        self.millis_behind_latest = Some(millis);
        self
    }

    /// The same page with these child shards.
    #[must_use]
    pub fn followed_by(mut self, children: Vec<ChildShard>) -> Self {
        self.children = children;
        self
    }
}
