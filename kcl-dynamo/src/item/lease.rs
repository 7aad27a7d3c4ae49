//! Leases as items.
//!
//! A lease is written as an item only when it is created; later writes change single attributes
//! ([`expression`](crate::expression)). It is read leniently where versions of the KCL differ (no
//! `entityType`, no hash keys, no sub-sequence number) and strictly everywhere else.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use kcl_core::lease::{Error, MalformedRow};
use kcl_core::model::{
    Assignee, HashKeyRange, Lease, LeaseKey, Pending, ShardId, Throughput, Timestamp, Token,
    WorkerId,
};

use super::attribute::*;
use super::{Reader, checkpoint_values, number, text};

/// DynamoDB's limit for a partition key, in bytes.
const LONGEST_KEY: usize = 2048;

/// The KCL's `leaseKey`: the shard, or `stream:shard`.
///
/// # Errors
/// `Fatal` for a shard or stream name with which the key would be ambiguous, and for a key that
/// DynamoDB does not accept.
///
/// A key with a `:` in the shard could not be split again. A key that begins with `~` could be the
/// change signal's row or a worker's.
fn key_text(key: &LeaseKey) -> Result<String, Error> {
    let text = key.to_string();
    let wrong = if key.shard.as_str().contains(':')
        || key.shard.as_str().is_empty()
        || key.stream.as_deref() == Some("")
    {
        "expected a non-empty shard name without `:` and, if there is one, a non-empty stream name"
    } else if text.len() > LONGEST_KEY {
        "expected at most 2048 bytes"
    } else if text.starts_with('~') {
        "expected a key that does not begin with `~`"
    } else {
        return Ok(text);
    };
    let shown: String = text.chars().take(160).collect();
    Err(Error::Fatal {
        message: format!("invalid lease key `{shown}`: {wrong}"),
        source: None,
    })
}

/// The key as an attribute.
pub(crate) fn key_value(key: &LeaseKey) -> Result<AttributeValue, Error> {
    key_text(key).map(AttributeValue::S)
}

/// Shards as a set, or `None` if there are none: DynamoDB has no empty set. Duplicates are dropped,
/// because DynamoDB refuses them.
pub(crate) fn shard_set(shards: &[ShardId]) -> Option<AttributeValue> {
    let names: BTreeSet<&str> = shards.iter().map(ShardId::as_str).collect();
    (!names.is_empty())
        .then(|| AttributeValue::Ss(names.into_iter().map(ToOwned::to_owned).collect()))
}

/// What a shard carries, as the KCL's attribute and this crate's.
pub(crate) fn throughput_values(
    throughput: Throughput,
) -> [(&'static str, Option<AttributeValue>); 2] {
    let records = Some(throughput.records).filter(|records| *records > 0);
    [
        (
            THROUGHPUT,
            Some(AttributeValue::N(throughput.kib_per_second())),
        ),
        (RECORDS, records.map(number)),
    ]
}

/// A new lease as an item, with only the attributes that have a value.
///
/// # Errors
/// A key that cannot be stored.
pub(crate) fn lease_item(lease: &Lease) -> Result<Item, Error> {
    let mut item = Item::from([
        (LEASE_KEY.to_owned(), key_value(&lease.key)?),
        (ENTITY_TYPE.to_owned(), text(KIND_LEASE)),
        (LEASE_COUNTER.to_owned(), number(lease.counter)),
        (OWNER_SWITCHES.to_owned(), number(lease.owner_switches)),
    ]);
    let mut set = |attribute: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            item.insert(attribute.to_owned(), value);
        }
    };
    let [checkpoint, sub] = checkpoint_values(&lease.checkpoint);
    set(CHECKPOINT, Some(checkpoint));
    set(CHECKPOINT_SUB, Some(sub));
    set(
        LEASE_OWNER,
        lease.owner.as_ref().map(|owner| text(owner.as_str())),
    );
    set(
        CHECKPOINT_OWNER,
        lease
            .checkpoint_owner
            .as_ref()
            .map(|owner| text(owner.as_str())),
    );
    set(
        TOKEN,
        lease.token.as_ref().map(|token| text(token.as_str())),
    );
    set(
        HOLDER,
        lease
            .token
            .as_ref()
            .and_then(|_| lease.actual_owner())
            .map(|holder| text(holder.as_str())),
    );
    if let Some(pending) = &lease.pending {
        let [at, sub] = checkpoint_values(&pending.at);
        set(PENDING, Some(at));
        set(PENDING_SUB, Some(sub));
        set(
            PENDING_STATE,
            pending
                .state
                .as_ref()
                .map(|state| AttributeValue::B(Blob::new(state.clone()))),
        );
    }
    set(PARENTS, shard_set(&lease.parents));
    set(CHILDREN, shard_set(&lease.children));
    set(
        STARTING_HASH_KEY,
        lease
            .hash_range
            .map(|range| text(range.start().to_string())),
    );
    set(
        ENDING_HASH_KEY,
        lease.hash_range.map(|range| text(range.end().to_string())),
    );
    set(
        START_AT,
        lease.facts.start_at.map(|at| number(at.as_millis())),
    );
    set(
        BEGAN_AT,
        lease.facts.began_at.map(|at| number(at.as_millis())),
    );
    set(STREAM_ARN, lease.facts.stream_arn.as_deref().map(text));
    set(
        STREAM_CREATED_AT,
        lease
            .facts
            .stream_created_at
            .map(|at| number(at.as_millis())),
    );
    if let Some(throughput) = lease.throughput {
        for (attribute, value) in throughput_values(throughput) {
            set(attribute, value);
        }
    }
    set(PAUSED_AT, lease.paused_at.map(|at| number(at.as_millis())));
    set(
        ASSIGNED_TO,
        lease.assigned_to.as_ref().map(|to| text(to.to_string())),
    );
    if let Some(stream) = lease.key.stream.as_deref() {
        set(STREAM_NAME, Some(text(stream)));
        set(SHARD_ID, Some(text(lease.key.shard.as_str())));
    }
    Ok(item)
}

impl Reader<'_> {
    /// Reads the lease of an item, whichever version of the KCL wrote it.
    ///
    /// # Errors
    /// The first attribute that is missing or has a value that cannot be. A worker leaves such a
    /// row alone and reports it.
    pub(super) fn lease(self) -> Result<Lease, MalformedRow> {
        let checkpoint = self.needed_text(CHECKPOINT)?;
        let mut lease = Lease::new(
            LeaseKey::parse(self.key()),
            self.checkpoint(CHECKPOINT, CHECKPOINT_SUB, checkpoint)?,
        );
        lease.owner = self.text(LEASE_OWNER)?.map(WorkerId::from);
        lease.checkpoint_owner = self.text(CHECKPOINT_OWNER)?.map(WorkerId::from);
        lease.token = self.token(&lease)?;
        lease.counter = self.needed_number(LEASE_COUNTER)?;
        lease.owner_switches = self.number(OWNER_SWITCHES)?.unwrap_or(0);
        lease.pending = match self.text(PENDING)? {
            None => None,
            Some(at) => Some(Pending {
                at: self.checkpoint(PENDING, PENDING_SUB, at)?,
                state: self.bytes(PENDING_STATE)?.map(Bytes::copy_from_slice),
            }),
        };
        lease.parents = self.set(PARENTS)?.into_iter().map(ShardId::from).collect();
        lease.children = self.set(CHILDREN)?.into_iter().map(ShardId::from).collect();
        lease.hash_range = self.hash_range()?;
        lease.facts.start_at = self.number(START_AT)?.map(Timestamp::from_millis);
        lease.facts.began_at = self.number(BEGAN_AT)?.map(Timestamp::from_millis);
        lease.facts.stream_arn = self.text(STREAM_ARN)?.map(Into::into);
        lease.facts.stream_created_at = self.number(STREAM_CREATED_AT)?.map(Timestamp::from_millis);
        lease.paused_at = self.number(PAUSED_AT)?.map(Timestamp::from_millis);
        // A text that is none says nothing, and is no reason to leave a shard unread.
        lease.assigned_to = self.text(ASSIGNED_TO)?.and_then(Assignee::parse);
        lease.throughput = self.throughput();
        Ok(lease)
    }

    /// The token of the tenancy, unless it is not the owner's, because a worker that does not know
    /// tokens has taken the lease. Believing it would let the former owner write into a tenancy of
    /// the KCL.
    fn token(self, lease: &Lease) -> Result<Option<Token>, MalformedRow> {
        let holder = self.text(HOLDER)?;
        let is_owners = holder.is_none_or(|holder| {
            lease
                .actual_owner()
                .is_some_and(|owner| owner.as_str() == holder)
        });
        Ok(self.text(TOKEN)?.filter(|_| is_owners).map(Token::from))
    }

    /// What the shard carries. Unknown if the attribute is missing or no such number: it decides
    /// nothing but where the lease belongs, and is no reason to leave a shard unread. A KCL writes
    /// no number of records.
    fn throughput(self) -> Option<Throughput> {
        let text = |attribute| self.0.get(attribute).and_then(|value| value.as_n().ok());
        Some(Throughput {
            bytes: Throughput::bytes_of(text(THROUGHPUT)?)?,
            records: text(RECORDS)
                .and_then(|records| records.parse().ok())
                .unwrap_or(0),
        })
    }

    /// The hash key range. Absent in rows of a KCL before 2.3; an audit adds it.
    fn hash_range(self) -> Result<Option<HashKeyRange>, MalformedRow> {
        let (Some(start), Some(end)) = (self.text(STARTING_HASH_KEY)?, self.text(ENDING_HASH_KEY)?)
        else {
            return Ok(None);
        };
        let allowed = "a range of two decimal numbers below 2^128 with `endingHashKey`";
        let malformed = |_| {
            self.malformed(
                STARTING_HASH_KEY,
                Some(&format!("{start} .. {end}")),
                allowed,
            )
        };
        HashKeyRange::parse(start, end).map(Some).map_err(malformed)
    }
}
