use std::fmt;
use std::sync::Arc;

use super::{InvalidValue, SequenceNumber};

/// The id of a shard within its stream, as the service assigns it (`shardId-000000000000`).
///
/// The service numbers shards in the order in which they are created. Only the question whether a
/// shard has left the stream uses that; a server with other ids makes the answer take longer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// Creates the id with this text.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ShardId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for ShardId {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A range of hash keys, both bounds included. A shard receives the records whose hash key is in
/// its range. The hash key of a record is the MD5 digest of its partition key, read as a number of
/// 128 bits, unless the producer gave an explicit one.
///
/// ```
/// use kcl_core::model::HashKeyRange;
///
/// let lower = HashKeyRange::parse("0", "170141183460469231731687303715884105727")?;
/// assert!(lower.contains(1));
/// assert!(!lower.contains(u128::MAX));
/// assert!(HashKeyRange::new(2, 1).is_err());
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKeyRange {
    start: u128,
    end: u128,
}

fn invalid_range(start: &str, end: &str) -> InvalidValue {
    let expected = "two decimal numbers below 2^128, the first not above the second";
    InvalidValue::new("hash key range", format!("`{start}` to `{end}`"), expected)
}

impl HashKeyRange {
    /// Every hash key.
    pub const WHOLE: Self = Self {
        start: 0,
        end: u128::MAX,
    };

    /// The range with these bounds, both included.
    ///
    /// # Errors
    /// If `start` is greater than `end`.
    pub fn new(start: u128, end: u128) -> Result<Self, InvalidValue> {
        if start > end {
            return Err(invalid_range(&start.to_string(), &end.to_string()));
        }
        Ok(Self { start, end })
    }

    /// The range with these bounds, given as decimal numbers as Kinesis writes them.
    ///
    /// # Errors
    /// If a bound is not a number below 2^128, or `start` is greater than `end`.
    pub fn parse(start: &str, end: &str) -> Result<Self, InvalidValue> {
        match (start.parse(), end.parse()) {
            (Ok(start), Ok(end)) => Self::new(start, end),
            _ => Err(invalid_range(&cut(start), &cut(end))),
        }
    }

    /// The lowest hash key.
    #[must_use]
    pub const fn start(&self) -> u128 {
        self.start
    }

    /// The highest hash key.
    #[must_use]
    pub const fn end(&self) -> u128 {
        self.end
    }

    /// Whether the hash key is in the range.
    #[must_use]
    pub const fn contains(&self, hash_key: u128) -> bool {
        self.start <= hash_key && hash_key <= self.end
    }
}

/// The part of a text that an error repeats: short, because the text comes from a table or the
/// network.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A shard as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shard {
    /// Its id.
    pub id: ShardId,
    /// The shards that it came from: none, the one that was split, or the two that were merged. A
    /// parent may have been removed from the stream already.
    pub parents: Vec<ShardId>,
    /// The hash keys whose records it receives.
    pub hash_range: HashKeyRange,
    /// The lowest sequence number that it can hold, used only for ordering. `None` if the service
    /// did not say.
    pub starting_sequence: Option<SequenceNumber>,
    /// Whether it is closed, that is, receives no more records. It may still hold records that
    /// nobody has read.
    pub closed: bool,
}

impl Shard {
    /// Creates an open shard without parents.
    #[must_use]
    pub fn new(id: impl Into<ShardId>, hash_range: HashKeyRange) -> Self {
        Self {
            id: id.into(),
            parents: Vec::new(),
            hash_range,
            starting_sequence: None,
            closed: false,
        }
    }

    /// The same shard with these parents.
    #[must_use]
    pub fn with_parents(mut self, parents: impl IntoIterator<Item = ShardId>) -> Self {
        self.parents = parents.into_iter().collect();
        self
    }

    /// The same shard, closed.
    #[must_use]
    pub const fn closed(mut self) -> Self {
        self.closed = true;
        self
    }
}

/// A child of a closed shard, as the last page of its parent describes it. The service names
/// children only there, and a listing may lag behind it by seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildShard {
    /// Its id.
    pub id: ShardId,
    /// All its parents: two after a merge.
    pub parents: Vec<ShardId>,
    /// The hash keys whose records it receives.
    pub hash_range: HashKeyRange,
}

impl ChildShard {
    /// Creates the child of these parents.
    #[must_use]
    pub fn new(id: impl Into<ShardId>, parents: Vec<ShardId>, hash_range: HashKeyRange) -> Self {
        Self {
            id: id.into(),
            parents,
            hash_range,
        }
    }
}
