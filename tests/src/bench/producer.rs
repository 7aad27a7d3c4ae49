use std::error::Error;

use kcl_core::aggregate::{Aggregate, Aggregator};
use kcl_core::model::HashKeyRange;
use md5::{Digest, Md5};

use super::load::Contents;
use super::{BenchLoad, LoadKeys};

/// Produces the Kinesis records of a load, as a producer does that knows the shards.
pub(super) struct LoadProducer {
    contents: Contents,
    kind: LoadKind,
    shards: Vec<Shard>,
    /// The next partition key of [`LoadKeys::Distinct`] to be looked at.
    key: u64,
}

enum LoadKind {
    Plain,
    Aggregates(LoadKeys),
}

struct Shard {
    range: HashKeyRange,
    open: Aggregator,
    /// User records that it has not got yet.
    left: u64,
    /// A partition key that belongs to it.
    key: String,
}

/// A Kinesis record to put.
pub(super) struct Put {
    pub(super) partition_key: String,
    pub(super) explicit_hash_key: Option<u128>,
    pub(super) data: Vec<u8>,
}

impl From<Aggregate> for Put {
    fn from(aggregate: Aggregate) -> Self {
        let Aggregate {
            partition_key,
            explicit_hash_key,
            data,
            ..
        } = aggregate;
        Self {
            partition_key,
            explicit_hash_key,
            data: data.into(),
        }
    }
}

impl LoadProducer {
    /// A producer for a stream with these shards.
    pub(super) fn new(load: &BenchLoad, ranges: &[HashKeyRange]) -> Result<Self, Box<dyn Error>> {
        let kind = if load.aggregate > 1 {
            LoadKind::Aggregates(load.keys)
        } else {
            LoadKind::Plain
        };
        let left = load.records / ranges.len() as u64;
        let mut shards = Vec::with_capacity(ranges.len());
        for range in ranges {
            // No limit but the number: an aggregate may be as large as the service takes.
            let open = Aggregator::new()
                .with_max_bytes(1024 * 1024)?
                .with_max_records(load.aggregate)?;
            let key = (0..)
                .map(customer)
                .find(|key| range.contains(hash_key(key)))
                .ok_or("no key for a shard")?;
            shards.push(Shard {
                range: *range,
                open,
                left,
                key,
            });
        }
        Ok(Self {
            contents: load.contents(),
            kind,
            shards,
            key: 0,
        })
    }

    /// The next Kinesis record; nothing after the last.
    pub(super) fn next(&mut self) -> Result<Option<Put>, Box<dyn Error>> {
        while let Some((n, content)) = self.contents.next() {
            // Spread evenly: every shard has the same work.
            let turn = usize::try_from(n)? % self.shards.len();
            let full = match self.kind {
                LoadKind::Plain => {
                    return Ok(Some(Put {
                        partition_key: format!("key-{}", n % 1000),
                        explicit_hash_key: Some(self.shards[turn].range.start()),
                        data: content.to_vec(),
                    }));
                }
                LoadKind::Aggregates(LoadKeys::One) => {
                    let Shard { open, key, .. } = &mut self.shards[turn];
                    open.add(key, None, content)?
                }
                LoadKind::Aggregates(LoadKeys::Explicit) => {
                    let Shard {
                        open, key, range, ..
                    } = &mut self.shards[turn];
                    open.add(key, Some(within(*range, n)), content)?
                }
                LoadKind::Aggregates(LoadKeys::Distinct) => {
                    let (shard, key) = distinct(&mut self.shards, &mut self.key)?;
                    shard.open.add(&key, None, content)?
                }
            };
            if let Some(full) = full {
                return Ok(Some(full.into()));
            }
        }
        Ok(self
            .shards
            .iter_mut()
            .find_map(|shard| shard.open.finish())
            .map(Put::from))
    }
}

/// The next partition key whose shard still wants one.
fn distinct<'a>(
    shards: &'a mut [Shard],
    next: &mut u64,
) -> Result<(&'a mut Shard, String), Box<dyn Error>> {
    loop {
        let key = customer(*next);
        *next += 1;
        let hash_key = hash_key(&key);
        let at = shards
            .iter()
            .position(|shard| shard.range.contains(hash_key))
            .ok_or("a hash key of no shard")?;
        if shards[at].left > 0 {
            shards[at].left -= 1;
            return Ok((&mut shards[at], key));
        }
    }
}

fn customer(n: u64) -> String {
    format!("customer-{n}")
}

fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// A hash key of the range, another one for each `n`.
fn within(range: HashKeyRange, n: u64) -> u128 {
    // The multiplier spreads them: no two are near each other.
    let spread = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let keys = (range.end() - range.start()).wrapping_add(1);
    // All hash keys are one more than the number holds.
    range.start() + spread.checked_rem(keys).unwrap_or(spread)
}
