use clap::ValueEnum;

use super::measure::touch;

/// What is read, by every process alike.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BenchLoad {
    /// User records in the stream, as many in each shard.
    pub records: u64,
    /// Bytes a user record.
    pub size: usize,
    /// Shards of the stream.
    pub shards: u32,
    /// `Limit` of each GetRecords.
    pub limit: u32,
    /// The worker's byte budget.
    pub budget: usize,
    /// User records in a Kinesis record: above 1, these are aggregates.
    pub aggregate: u64,
    /// What the user records of aggregates are keyed with.
    pub keys: LoadKeys,
    /// How the shards are read.
    pub mode: Reading,
    /// The worker and the floor ask for pages in JSON, as the bare loop does.
    pub json: bool,
    /// Over TLS.
    pub tls: bool,
    /// Every byte of the payloads is looked at.
    pub touch: bool,
}

/// How shards are read, by both clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Reading {
    /// By `GetRecords`.
    Polling,
    /// By `SubscribeToShard`.
    FanOut,
}

/// What the user records of aggregates are keyed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum LoadKeys {
    /// One partition key a shard.
    One,
    /// An explicit hash key each.
    Explicit,
    /// A partition key each.
    Distinct,
}

impl BenchLoad {
    /// A load of plain records that are polled.
    #[must_use]
    pub const fn new(records: u64, size: usize, shards: u32, limit: u32, budget: usize) -> Self {
        Self {
            records,
            size,
            shards,
            limit,
            budget,
            aggregate: 1,
            keys: LoadKeys::Explicit,
            mode: Reading::Polling,
            json: false,
            tls: false,
            touch: true,
        }
    }

    /// The same load in aggregates of so many user records.
    #[must_use]
    pub const fn in_aggregates(mut self, of: u64, keys: LoadKeys) -> Self {
        self.aggregate = if of == 0 { 1 } else { of };
        self.keys = keys;
        self
    }

    /// The same load, read like this.
    #[must_use]
    pub const fn read_by(mut self, mode: Reading) -> Self {
        self.mode = mode;
        self
    }

    /// The same load, whose pages the worker asks for in JSON.
    #[must_use]
    pub const fn in_json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// The same load over TLS.
    #[must_use]
    pub const fn over_tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// The same load, whose payloads nobody looks at.
    #[must_use]
    pub const fn touching(mut self, touch: bool) -> Self {
        self.touch = touch;
        self
    }

    /// The sum over the bytes of a payload; 0 when nobody looks at them.
    pub(super) fn touched(&self, payload: &[u8]) -> u64 {
        if self.touch { touch(payload) } else { 0 }
    }

    /// The Kinesis records of one shard.
    pub(super) fn kinesis_records_a_shard(&self) -> u64 {
        (self.records / u64::from(self.shards)).div_ceil(self.aggregate)
    }

    /// The user records one by one.
    pub(super) fn contents(&self) -> Contents {
        Contents {
            content: (0..self.size).map(|n| b'a' + (n % 26) as u8).collect(),
            next: 0,
            records: self.records,
        }
    }
}

impl std::fmt::Display for BenchLoad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (records, size, shards) = (self.records, self.size, self.shards);
        write!(f, "{records} records of {size} bytes")?;
        if self.aggregate > 1 {
            write!(
                f,
                " in aggregates of {}, keys {:?},",
                self.aggregate, self.keys
            )?;
        }
        write!(f, " on {shards} shards, ")?;
        match self.mode {
            Reading::Polling => write!(f, "Limit {}", self.limit)?,
            Reading::FanOut => f.write_str("pushed")?,
        }
        for (is_so, says) in [
            (self.tls, ", TLS"),
            (self.json, ", JSON"),
            (!self.touch, ", not touched"),
        ] {
            f.write_str(if is_so { says } else { "" })?;
        }
        write!(f, ", budget {} MiB", self.budget >> 20)
    }
}

/// The contents of user records: each shows its number.
pub(super) struct Contents {
    content: Vec<u8>,
    next: u64,
    records: u64,
}

impl Contents {
    /// The number and the content of the next one.
    pub(super) fn next(&mut self) -> Option<(u64, &[u8])> {
        let n = self.next;
        if n == self.records {
            return None;
        }
        self.next += 1;
        let digits = format!("{n:012}");
        let head = digits.len().min(self.content.len());
        self.content[..head].copy_from_slice(&digits.as_bytes()[..head]);
        Some((n, &self.content))
    }
}
