//! A lease in a form that a person can read and edit, and that outlives the table it comes from.
//!
//! Everything that matters is kept exactly: sequence numbers and hash keys are decimal text,
//! because JSON numbers lose digits above 2^53, and a lost digit in a checkpoint would be a record
//! lost or repeated.

use bytes::Bytes;

use crate::model::{
    Assignee, Checkpoint, Facts, HashKeyRange, InvalidValue, Lease, LeaseKey, Pending, Position,
    ShardId, Throughput, Timestamp,
};

/// A lease as text and numbers: what `kcl export` writes and `kcl import` reads.
///
/// With the feature `serde`, it can be serialized and deserialized. Absent values are left out.
/// Unknown fields are rejected, because they would be lost.
///
/// # Examples
/// ```
/// use kcl_core::admin::LeaseRecord;
/// use kcl_core::model::{Checkpoint, Lease, LeaseKey};
///
/// let lease = Lease::new(LeaseKey::single("shardId-000000000000"), Checkpoint::TrimHorizon);
/// let mut record = LeaseRecord::from(&lease);
/// assert_eq!(record.checkpoint, "TRIM_HORIZON");
/// assert_eq!(Lease::try_from(&record)?, lease, "nothing is lost on the way");
///
/// record.checkpoint = "4959".to_owned();
/// assert!(matches!(Lease::try_from(&record)?.checkpoint, Checkpoint::At(_)));
/// record.checkpoint = "the end".to_owned();
/// assert!(Lease::try_from(&record).is_err());
/// # Ok::<(), kcl_core::admin::InvalidRecord>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct LeaseRecord {
    /// The stream in the KCL's serialised form, only in an application that reads several streams.
    /// `account:name:created`. It is part of the lease's key.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub stream: Option<String>,
    /// The shard.
    ///
    /// For example `shardId-000000000003`. It must not be empty.
    pub shard: String,
    /// The worker that holds it or, while a hand-over is pending, that has requested it. Absent if
    /// the lease is free.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub owner: Option<String>,
    /// While a hand-over is pending, the worker that still holds it. With it, `owner` is only the
    /// requester.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub checkpoint_owner: Option<String>,
    /// The token of the current tenancy. Absent if the lease is free, or held by a Java worker. A
    /// worker that finds another token than its own has lost the lease.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub token: Option<String>,
    /// The counter, which is its heartbeat and fence. Every write of an owner increases it, and
    /// expects the value before.
    pub counter: u64,
    /// How many times the owner has changed since the last checkpoint. A number that grows while
    /// the checkpoint stays shows a shard that crashes its readers.
    pub owner_switches: u64,
    /// `TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`, `SHARD_END`, a sequence number, or a sequence
    /// number, a dot and a sub-sequence number. Everything up to and including it is done. A
    /// missing sub-sequence number is 0: of an aggregate, only the first user record is done.
    pub checkpoint: String,
    /// A checkpoint that was prepared but not committed. The next owner gets it in `initialize` and
    /// decides what to do with it.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub pending: Option<PendingRecord>,
    /// The shards that it came from. One after a split, two after a merge. The shard waits for
    /// them.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Vec::is_empty")
    )]
    pub parents: Vec<String>,
    /// The shards that follow it. Known once the shard has ended.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Vec::is_empty")
    )]
    pub children: Vec<String>,
    /// The lowest and the highest hash key, decimal numbers. Both included. Holes are found by it,
    /// and user records outside their shard; who holds the lease does not depend on it.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub hash_range: Option<[String; 2]>,
    /// The time that `LATEST` or `AT_TIMESTAMP` stands for, in milliseconds since 1970. The words
    /// alone would mean another time at each start. The KCL does not store it.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub start_at: Option<i64>,
    /// The time at which a lease that has had a checkpoint began, in milliseconds since 1970. The
    /// leases of other shards of the stream are created by it.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub began_at: Option<i64>,
    /// When an operator paused the shard, in milliseconds since 1970.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub paused_at: Option<i64>,
    /// The worker that an operator moves the lease to.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub assigned_to: Option<String>,
    /// The process of that worker, without which the assignment counts for nothing.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub assigned_process: Option<String>,
    /// What the shard carries, in bytes per second, if its owner has measured it.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub bytes_per_second: Option<u64>,
    /// The same in records per second.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub records_per_second: Option<u64>,
    /// The ARN of the stream. Two regions may have streams of one name; this tells them apart.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub stream_arn: Option<String>,
    /// When the stream was created, in milliseconds since 1970. A stream that was deleted and
    /// created again has the same name, and another time.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub stream_created_at: Option<i64>,
}

/// A prepared checkpoint as text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PendingRecord {
    /// The checkpoint that the application intended to commit. In the form of
    /// [`LeaseRecord::checkpoint`].
    pub at: String,
    /// The application's state, as hexadecimal digits, because it may be any bytes.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub state: Option<String>,
}

/// Why a record is not a valid lease. It names the shard, so that one line in a file of thousands
/// can be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease of the shard `{shard}` is invalid: {why}")]
pub struct InvalidRecord {
    /// Its shard, as given in the record.
    pub shard: String,
    /// What is wrong.
    pub why: WrongValue,
}

/// What is wrong with a value of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongValue {
    /// The shard or the stream is empty.
    #[error("its `{0}` is empty: expected a name")]
    Empty(&'static str),
    /// A checkpoint is invalid.
    #[error(
        "its checkpoint `{text}` is invalid: expected TRIM_HORIZON, LATEST, AT_TIMESTAMP, \
         SHARD_END, or a sequence number, optionally with a dot and a sub-sequence number"
    )]
    Checkpoint {
        /// The text, at most its first 160 characters. More would fill the terminal if a file of
        /// another kind was given.
        text: String,
        /// Why it is not a position.
        source: InvalidValue,
    },
    /// A hash key range is invalid. Not a decimal number below 2^128, or the end before the start.
    #[error(transparent)]
    HashRange(#[from] InvalidValue),
    /// The pending state is invalid.
    #[error("its pending state is invalid: expected an even number of hexadecimal digits")]
    State,
}

impl From<&Lease> for LeaseRecord {
    fn from(lease: &Lease) -> Self {
        let ids = |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect();
        let pending = |pending: &Pending| PendingRecord {
            at: pending.at.to_string(),
            state: pending.state.as_deref().map(to_hex),
        };
        Self {
            stream: lease.key.stream.as_deref().map(ToOwned::to_owned),
            shard: lease.key.shard.to_string(),
            owner: lease.owner.as_ref().map(ToString::to_string),
            checkpoint_owner: lease.checkpoint_owner.as_ref().map(ToString::to_string),
            token: lease.token.as_ref().map(ToString::to_string),
            counter: lease.counter,
            owner_switches: lease.owner_switches,
            checkpoint: lease.checkpoint.to_string(),
            pending: lease.pending.as_ref().map(pending),
            parents: ids(&lease.parents),
            children: ids(&lease.children),
            hash_range: lease
                .hash_range
                .map(|range| [range.start().to_string(), range.end().to_string()]),
            start_at: lease.facts.start_at.map(Timestamp::as_millis),
            began_at: lease.facts.began_at.map(Timestamp::as_millis),
            paused_at: lease.paused_at.map(Timestamp::as_millis),
            assigned_to: lease.assigned_to.as_ref().map(|to| to.worker.to_string()),
            assigned_process: lease
                .assigned_to
                .as_ref()
                .map(|to| to.incarnation.as_str().to_owned()),
            bytes_per_second: lease.throughput.map(|carried| carried.bytes),
            records_per_second: lease.throughput.map(|carried| carried.records),
            stream_arn: lease.facts.stream_arn.as_deref().map(ToOwned::to_owned),
            stream_created_at: lease.facts.stream_created_at.map(Timestamp::as_millis),
        }
    }
}

impl TryFrom<&LeaseRecord> for Lease {
    type Error = InvalidRecord;

    fn try_from(record: &LeaseRecord) -> Result<Self, InvalidRecord> {
        lease(record).map_err(|why| InvalidRecord {
            shard: record.shard.clone(),
            why,
        })
    }
}

/// All of it or nothing: a lease that is only partly understood would be imported with the rest
/// missing.
fn lease(record: &LeaseRecord) -> Result<Lease, WrongValue> {
    if record.shard.is_empty() {
        return Err(WrongValue::Empty("shard"));
    }
    if record.stream.as_deref() == Some("") {
        return Err(WrongValue::Empty("stream"));
    }
    let ids = |ids: &[String]| ids.iter().map(|id| ShardId::from(id.as_str())).collect();
    let key = LeaseKey {
        stream: record.stream.as_deref().map(Into::into),
        shard: record.shard.as_str().into(),
    };
    let mut lease = Lease::new(key, checkpoint(&record.checkpoint)?);
    lease.owner = record.owner.as_deref().map(Into::into);
    lease.checkpoint_owner = record.checkpoint_owner.as_deref().map(Into::into);
    lease.token = record.token.as_deref().map(Into::into);
    lease.counter = record.counter;
    lease.owner_switches = record.owner_switches;
    lease.pending = record.pending.as_ref().map(pending).transpose()?;
    lease.parents = ids(&record.parents);
    lease.children = ids(&record.children);
    lease.hash_range = match &record.hash_range {
        Some([start, end]) => Some(HashKeyRange::parse(start, end)?),
        None => None,
    };
    lease.paused_at = record.paused_at.map(Timestamp::from_millis);
    lease.assigned_to = record
        .assigned_to
        .as_deref()
        .zip(record.assigned_process.as_deref())
        .map(|(worker, process)| Assignee::new(worker.into(), process.into()));
    lease.throughput = record.bytes_per_second.map(|bytes| Throughput {
        bytes,
        records: record.records_per_second.unwrap_or(0),
    });
    lease.facts = Facts {
        start_at: record.start_at.map(Timestamp::from_millis),
        began_at: record.began_at.map(Timestamp::from_millis),
        stream_arn: record.stream_arn.as_deref().map(Into::into),
        stream_created_at: record.stream_created_at.map(Timestamp::from_millis),
    };
    Ok(lease)
}

/// A pending checkpoint without a state is usual: only some applications store one.
fn pending(record: &PendingRecord) -> Result<Pending, WrongValue> {
    Ok(Pending {
        at: checkpoint(&record.at)?,
        state: record
            .state
            .as_deref()
            .map(|hex| from_hex(hex).ok_or(WrongValue::State))
            .transpose()?,
    })
}

/// The words of the KCL, or a position as [`Position`] writes itself.
fn checkpoint(text: &str) -> Result<Checkpoint, WrongValue> {
    Ok(match text {
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "LATEST" => Checkpoint::Latest,
        "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
        "SHARD_END" => Checkpoint::ShardEnd,
        position => {
            Checkpoint::At(position.parse::<Position>().map_err(|source| {
                WrongValue::Checkpoint {
                    // Cut short, because it may be anything.
                    text: position.chars().take(160).collect(),
                    source,
                }
            })?)
        }
    })
}

/// Two lower-case digits for each byte.
fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` if a digit is missing or is none. An empty text is an empty state, which differs from no
/// state.
fn from_hex(text: &str) -> Option<Bytes> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Lease {
        let mut lease = Lease::new(
            LeaseKey {
                stream: Some("1:orders:1700000000".into()),
                shard: "shardId-7".into(),
            },
            Checkpoint::At(
                "49590338271490256608559692538361571095921575989136588898.3"
                    .parse()
                    .unwrap(),
            ),
        );
        lease.owner = Some("b".into());
        lease.checkpoint_owner = Some("a".into());
        lease.token = Some("t".into());
        (lease.counter, lease.owner_switches) = (9, 2);
        lease.pending = Some(Pending {
            at: Checkpoint::ShardEnd,
            state: Some(Bytes::from_static(b"\x00\xffx")),
        });
        lease.parents = vec!["shardId-1".into(), "shardId-2".into()];
        lease.children = vec!["shardId-8".into()];
        lease.hash_range = Some(HashKeyRange::WHOLE);
        lease.paused_at = Some(Timestamp::from_millis(4));
        lease.assigned_to = Some(Assignee::new("a worker".into(), "p".into()));
        lease.throughput = Some(Throughput {
            bytes: 2048,
            records: 3,
        });
        lease.facts = Facts {
            start_at: Some(Timestamp::from_millis(1)),
            began_at: Some(Timestamp::from_millis(-2)),
            stream_arn: Some("arn".into()),
            stream_created_at: Some(Timestamp::from_millis(3)),
        };
        lease
    }

    #[test]
    fn a_lease_is_read_back_from_its_record() {
        let bare = Lease::new(LeaseKey::single("0"), Checkpoint::Latest);
        for lease in [full(), bare] {
            assert_eq!(Lease::try_from(&LeaseRecord::from(&lease)), Ok(lease));
        }
    }

    #[test]
    fn a_record_that_is_no_lease_says_what_is_wrong() {
        let said = |change: fn(&mut LeaseRecord)| {
            let mut record = LeaseRecord::from(&full());
            change(&mut record);
            Lease::try_from(&record).unwrap_err().to_string()
        };
        let checkpoint = said(|record| record.checkpoint = "NOWHERE".to_owned());
        assert!(
            checkpoint.contains("`shardId-7`") && checkpoint.contains("`NOWHERE`"),
            "{checkpoint}"
        );
        let range = said(|record| record.hash_range = Some(["2".to_owned(), "1".to_owned()]));
        assert!(range.contains("hash key range `2` to `1`"), "{range}");
        for state in ["0", "zz", "é"] {
            let mut record = LeaseRecord::from(&full());
            record.pending.as_mut().unwrap().state = Some(state.to_owned());
            assert!(Lease::try_from(&record).is_err(), "{state}");
        }
        assert!(said(|record| record.shard.clear()).contains("`shard` is empty"));
    }
}
