use std::ops::Range;

use crate::model::{HashKeyRange, RawRecord, Record};

use super::digests::{DIGEST, digests};
use super::envelope;
use super::message::{Corrupt, Message};

/// Takes the records of one shard apart.
///
/// ```
/// use kcl_core::aggregate::Aggregator;
/// use kcl_core::deaggregate::Deaggregator;
/// use kcl_core::model::{RawRecord, SequenceNumber};
///
/// let mut aggregator = Aggregator::new();
/// aggregator.add("customer-7", None, b"first")?;
/// aggregator.add("customer-8", None, b"second")?;
/// let aggregate = aggregator.finish().expect("two records were added");
///
/// let raw = RawRecord::new(SequenceNumber::from_u128(1), aggregate.partition_key, aggregate.data);
/// let user_records = Deaggregator::new(None).take_apart(vec![raw]).records;
/// assert_eq!(user_records[1].partition_key, "customer-8");
/// assert_eq!(user_records[1].sub_sequence(), 1);
/// # Ok::<(), kcl_core::aggregate::AddError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deaggregator {
    /// What user records are compared with. Nothing when there is nothing to find out.
    range: Option<HashKeyRange>,
}

/// What became of a page.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct UserRecords {
    /// The user records, in order.
    pub records: Vec<Record>,
    /// How many Kinesis records were aggregates.
    pub aggregates: u64,
    /// How many Kinesis records begin like an aggregate and are none; each was handed on as it is.
    pub corrupt: u64,
    /// The memory that all of it takes, in bytes: the list, the keys, and the Kinesis records that
    /// the payloads are views into.
    pub occupied: usize,
}

/// How many records are looked at together: enough for their digests to be found at once, and few
/// enough for the processor's cache to have their bytes still when they are read after that.
const GROUP: usize = 16;

/// What a shared text takes beside its letters: two counts.
const SHARED: usize = 2 * size_of::<usize>();

impl Deaggregator {
    /// For a shard that takes these hash keys. Nothing is out of an unknown range, nor out of the
    /// whole.
    #[must_use]
    pub fn new(range: Option<HashKeyRange>) -> Self {
        Self {
            range: range.filter(|range| *range != HashKeyRange::WHOLE),
        }
    }

    /// The user records of these Kinesis records: those of aggregates one by one, others as they
    /// are. An aggregate that holds none gives none. An aggregate in an aggregate is a payload like
    /// any other.
    #[must_use]
    pub fn take_apart(&self, raw: Vec<RawRecord>) -> UserRecords {
        // Counted before the list is made: growing it would copy it, and leave up to half of it
        // empty.
        let parts = RecordKind::of_all(&raw);
        let count = parts.iter().map(RecordKind::records).sum();
        let mut all = UserRecords {
            records: Vec::with_capacity(count),
            ..UserRecords::default()
        };
        for (part, raw) in parts.into_iter().zip(raw) {
            if part.records() == 0 {
                // Nothing is left that is a view into it.
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
                        Ok(()) => {
                            all.aggregates += 1;
                            all.occupied += message.key_bytes() + SHARED;
                        }
                        Err(reason) => {
                            // All of it or nothing: what was read so far comes again within the
                            // whole.
                            all.records.truncate(before);
                            all.push_corrupt(raw, reason);
                        }
                    }
                }
            }
        }
        all.occupied += all.records.capacity() * size_of::<Record>();
        all
    }
}

/// What a Kinesis record is.
enum RecordKind {
    Plain,
    Corrupt(Corrupt),
    Aggregate(Range<usize>, Message),
}

impl RecordKind {
    /// Some together, for their digests.
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

    /// A record that starts like an aggregate, with the digest that its message has.
    fn of(data: &[u8], at: Range<usize>, digest: Option<[u8; DIGEST]>) -> Result<Self, Corrupt> {
        let message = data.get(at.clone()).unwrap_or_default();
        if digest.is_none_or(|digest| !data.ends_with(&digest)) {
            return Err(Corrupt::Digest);
        }
        Ok(Self::Aggregate(at, Message::scan(message)?))
    }

    const fn records(&self) -> usize {
        match self {
            Self::Plain | Self::Corrupt(_) => 1,
            Self::Aggregate(_, message) => message.records(),
        }
    }
}

impl UserRecords {
    fn push_plain(&mut self, raw: RawRecord) {
        self.occupied += raw.partition_key.len() + SHARED;
        self.records.push(raw.into());
    }

    fn push_corrupt(&mut self, raw: RawRecord, reason: Corrupt) {
        tracing::warn!(sequence = %raw.sequence, reason = %reason, "record starts with the KPL magic number but is not a valid aggregate; delivered unchanged");
        self.corrupt += 1;
        self.push_plain(raw);
    }
}
