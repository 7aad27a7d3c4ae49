use std::ops::Range;

use crate::model::{HashKeyRange, RawRecord, Record};

use super::digests::{DIGEST, digests};
use super::envelope;
use super::message::{Corrupt, Message};

/// Extracts the user records from the Kinesis records of one shard.
///
/// ```
/// use kcl_core::aggregate::Aggregator;
/// use kcl_core::model::{RawRecord, SequenceNumber};
/// # #[cfg(feature = "testing")]
/// use kcl_core::testing::internals::Deaggregator;
///
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), kcl_core::aggregate::AddError> {
/// let mut aggregator = Aggregator::new();
/// aggregator.add("customer-7", None, b"first")?;
/// aggregator.add("customer-8", None, b"second")?;
/// let aggregate = aggregator.finish().expect("two records were added");
///
/// let raw = RawRecord::new(SequenceNumber::from_u128(1), aggregate.partition_key, aggregate.data);
/// let user_records = Deaggregator::new(None).take_apart(vec![raw]).records;
/// assert_eq!(user_records[1].partition_key, "customer-8");
/// assert_eq!(user_records[1].sub_sequence(), 1);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deaggregator {
    /// The range that hash keys are checked against. `None` if there is nothing to check. The whole
    /// range is stored as `None`: no key can be outside of it, and hashing every key to find that
    /// out would be wasted.
    range: Option<HashKeyRange>,
}

/// The user records of one page.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct UserRecords {
    /// The user records, in order. Those outside the shard's range are among them, marked. Whoever
    /// reads the page decides whether to drop them.
    pub records: Vec<Record>,
    /// How many Kinesis records were aggregates. Empty ones count.
    pub aggregates: u64,
    /// How many Kinesis records start with the KPL magic number but are not valid aggregates. Each
    /// was passed on unchanged.
    pub corrupt: u64,
    /// How many of the user records are outside the shard's range.
    pub(crate) out_of_range: u64,
    /// The memory that all of this takes, in bytes: the list, the keys, and the Kinesis records
    /// whose bytes the payloads share. The byte budget is charged with this number. A payload is a
    /// slice of its Kinesis record, so one user record that is kept keeps the whole Kinesis record
    /// in memory.
    pub occupied: usize,
}

/// How many records are processed together: enough to compute their digests in parallel, and few
/// enough that their bytes are still in the CPU cache when they are parsed afterwards.
/// Twice as many as are digested at once, so that an input that ends early is followed by another.
const GROUP: usize = 32;

/// The overhead of an `Arc<str>`, in bytes: its two reference counts.
const SHARED: usize = 2 * size_of::<usize>();

impl Deaggregator {
    /// Creates a deaggregator for a shard with this hash key range. If the range is `None` or the
    /// whole range, no record is out of range.
    #[must_use]
    pub fn new(range: Option<HashKeyRange>) -> Self {
        Self {
            range: range.filter(|range| *range != HashKeyRange::WHOLE),
        }
    }

    /// Returns the user records of these Kinesis records: aggregates are split into their user
    /// records, and other records are returned as they are. An empty aggregate yields no record. An
    /// aggregate within an aggregate is an ordinary payload.
    #[must_use]
    pub fn take_apart(&self, raw: Vec<RawRecord>) -> UserRecords {
        if !raw.iter().any(|raw| envelope::begins(&raw.data)) {
            return UserRecords::plain(raw);
        }
        // Counted before the list is allocated: growing it would copy it and leave up to half of it
        // unused.
        let parts = RecordKind::of_all(&raw);
        let count = parts.iter().map(RecordKind::records).sum();
        let mut all = UserRecords {
            records: Vec::with_capacity(count),
            ..UserRecords::default()
        };
        for (part, raw) in parts.into_iter().zip(raw) {
            if part.records() == 0 {
                // An empty aggregate: no payload shares its bytes.
                all.aggregates += 1;
                continue;
            }
            all.occupied += raw.data.len();
            match part {
                RecordKind::Plain => all.push_plain(raw),
                RecordKind::Corrupt(reason) => all.push_corrupt(raw, reason),
                RecordKind::Aggregate(at, message) => {
                    let before = all.records.len();
                    match message.read(&raw, &at, self.range, &mut all.records) {
                        Ok(out_of_range) => {
                            all.aggregates += 1;
                            all.out_of_range += out_of_range;
                            all.occupied += message.key_bytes() + SHARED;
                        }
                        Err(reason) => {
                            // All or nothing: the record is delivered as a whole, so the user
                            // records read so far are removed.
                            all.records.truncate(before);
                            all.push_corrupt(raw, reason);
                        }
                    }
                }
            }
        }
        all.with_list()
    }
}

/// The kind of a Kinesis record.
enum RecordKind {
    /// It does not begin with the magic number.
    Plain,
    /// It begins with the magic number and is not an aggregate. It is delivered like a plain
    /// record.
    Corrupt(Corrupt),
    /// Its digest matches. The range is where its message is in the data. The user records have
    /// been counted, and may still prove invalid when they are read.
    Aggregate(Range<usize>, Message),
}

impl RecordKind {
    /// Classifies several records together, so that their digests are computed in parallel.
    fn of_all(raw: &[RawRecord]) -> Vec<Self> {
        let mut parts = Vec::with_capacity(raw.len());
        for group in raw.chunks(GROUP) {
            let opened: Vec<_> = group
                .iter()
                .map(|raw| (raw, envelope::open(&raw.data)))
                .collect();
            let message = |at: &Option<Result<Range<usize>, Corrupt>>| at.clone()?.ok();
            let messages: Vec<_> = opened
                .iter()
                .filter_map(|(raw, at)| Some(raw.data.get(message(at)?).unwrap_or_default()))
                .collect();
            let mut digests = digests(&messages).into_iter();
            parts.extend(opened.into_iter().map(|(raw, at)| match at {
                None => Self::Plain,
                Some(Err(reason)) => Self::Corrupt(reason),
                Some(Ok(at)) => {
                    Self::of(&raw.data, at, digests.next()).unwrap_or_else(Self::Corrupt)
                }
            }));
        }
        parts
    }

    /// Classifies a record that starts like an aggregate, given the digest of its message.
    fn of(data: &[u8], at: Range<usize>, digest: Option<[u8; DIGEST]>) -> Result<Self, Corrupt> {
        let message = data.get(at.clone()).unwrap_or_default();
        if digest.is_none_or(|digest| !data.ends_with(&digest)) {
            return Err(Corrupt::Digest);
        }
        Ok(Self::Aggregate(at, Message::scan(message)?))
    }

    /// How many records it will yield: 0 for an empty aggregate only. For an aggregate that proves
    /// invalid later this is too high, which costs some unused capacity and nothing else.
    const fn records(&self) -> usize {
        match self {
            Self::Plain | Self::Corrupt(_) => 1,
            Self::Aggregate(_, message) => message.records(),
        }
    }
}

impl UserRecords {
    /// Of a page in which nothing begins like an aggregate: nothing is sorted by what it is. A page of
    /// 10,000 records would otherwise take a second list of a megabyte.
    fn plain(raw: Vec<RawRecord>) -> Self {
        let mut all = Self {
            records: Vec::with_capacity(raw.len()),
            ..Self::default()
        };
        for raw in raw {
            all.occupied += raw.data.len();
            all.push_plain(raw);
        }
        all.with_list()
    }

    /// All records are in the list: it is counted, too.
    fn with_list(mut self) -> Self {
        self.occupied += self.records.capacity() * size_of::<Record>();
        self
    }

    /// Also for aggregates that are not valid ones, so that nothing a producer wrote is lost.
    fn push_plain(&mut self, raw: RawRecord) {
        self.occupied += raw.partition_key.len() + SHARED;
        self.records.push(raw.into());
    }

    /// The log names the sequence number and the reason, never the data.
    fn push_corrupt(&mut self, raw: RawRecord, reason: Corrupt) {
        tracing::warn!(sequence = %raw.sequence, reason = %reason, "record starts with the KPL \
            magic number but is not a valid aggregate; delivered unchanged");
        self.corrupt += 1;
        self.push_plain(raw);
    }
}
