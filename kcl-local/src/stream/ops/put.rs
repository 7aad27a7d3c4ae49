//! `PutRecord` and `PutRecords`.
//!
//! A put holds the gate of its stream from the moment when it assigns sequence numbers until its
//! records are stored. So records become visible in the order of their numbers, and a reader that
//! has passed a position has missed nothing before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrokinesis::types::{EncryptionType, Stream, StreamStatus};
use serde_json::{Value, json};

use super::arn::name_stream;
use super::put_request::{Entry, PutRequest};
use super::request::{invalid, unfit};
use crate::runtime::now_ms;
use crate::stream::records::{Origin, ShardLog, StoredRecord, StreamLog};
use crate::stream::service::{Service, is_closed};
use crate::stream::wire::{Format, Refusal, server_failure};

/// The result for one record of a put.
#[derive(Debug)]
enum Outcome {
    /// It was stored, under this number.
    Stored {
        shard_id: String,
        sequence: Box<str>,
    },
    /// Its shard has used up what it may write in this second.
    Throttled { shard_id: String },
}

/// Puts one record.
///
/// # Errors
///
/// If the request is invalid, the stream does not exist, or the shard's write limits are exceeded.
pub(in crate::stream) async fn put_record(
    service: &Service,
    format: Format,
    body: &[u8],
) -> Result<Value, Refusal> {
    let mut put = PutRequest::one(format, body)?;
    let name = stream_name(service, "PutRecord", &mut put)?;
    let (mut outcomes, encryption) = store(service, &name, put.entries).await?;
    match outcomes.pop() {
        Some(Outcome::Stored { shard_id, sequence }) => Ok(
            json!({ "ShardId": shard_id, "SequenceNumber": sequence, "EncryptionType": encryption }),
        ),
        Some(Outcome::Throttled { shard_id }) => Err(Refusal::client_error(
            "ProvisionedThroughputExceededException",
            Some(&rate_exceeded(&name, &shard_id)),
        )),
        None => Err(Refusal::server_error(None, None)),
    }
}

/// Puts up to 500 records. Each record succeeds or fails on its own.
///
/// # Errors
///
/// If the request is invalid, or the stream does not exist.
///
/// A throttled record is a result and not an error: a producer repeats just those records.
pub(in crate::stream) async fn put_records(
    service: &Service,
    format: Format,
    body: &[u8],
) -> Result<Value, Refusal> {
    let mut put = PutRequest::many(format, body)?;
    let name = stream_name(service, "PutRecords", &mut put)?;
    let (outcomes, encryption) = store(service, &name, put.entries).await?;
    let failed = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Throttled { .. }))
        .count();
    let results: Vec<Value> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Stored { shard_id, sequence } => {
                json!({ "ShardId": shard_id, "SequenceNumber": sequence })
            }
            Outcome::Throttled { shard_id } => json!({
                "ErrorCode": "ProvisionedThroughputExceededException",
                "ErrorMessage": rate_exceeded(&name, &shard_id),
            }),
        })
        .collect();
    Ok(json!({ "FailedRecordCount": failed, "Records": results, "EncryptionType": encryption }))
}

/// The service's message for a throttled record.
fn rate_exceeded(name: &str, shard_id: &str) -> String {
    format!("Rate exceeded for shard {shard_id} in stream {name}.")
}

/// The stream of a put, by name or by ARN, without copying the records.
fn stream_name(
    service: &Service,
    operation: &str,
    put: &mut PutRequest,
) -> Result<String, Refusal> {
    let mut members = json!({ "StreamARN": put.stream_arn.take() });
    if let Some(name) = put.stream_name.take() {
        members["StreamName"] = Value::String(name);
    }
    name_stream(&service.store, operation, &mut members)?;
    match members["StreamName"].take() {
        Value::String(name) => Ok(name),
        _ => Err(unfit("Either StreamName or StreamARN must be provided.")),
    }
}

/// Assigns the records to shards and sequence numbers, and stores them.
///
/// Cancel safe: nothing is stored before the last await, and everything after it.
///
/// # Errors
/// There is no such stream, it is being created or deleted, a record is too large for it, or the
/// journal cannot be written.
async fn store(
    service: &Service,
    name: &str,
    entries: Vec<Entry>,
) -> Result<(Vec<Outcome>, EncryptionType), Refusal> {
    loop {
        service.stream(name).await?;
        let log = service.logs.of(name);
        let _gate = log.gate().await;
        // Read under the gate: see the invariants of the records.
        let stream = service.stream(name).await?;
        if !service.logs.is_current(name, &log) {
            // The stream was deleted and created again in the meantime.
            continue;
        }
        if !matches!(
            stream.stream_status,
            StreamStatus::Active | StreamStatus::Updating
        ) {
            return Err(Refusal::stream_not_found(
                name,
                &service.store.aws_account_id,
            ));
        }
        let outcomes = place(service, &stream, &log, entries)?;
        return Ok((outcomes, stream.encryption_type));
    }
}

/// Finds a shard and a number for each record, and stores them all at once. Records of one shard
/// follow each other in the order of the request.
fn place(
    service: &Service,
    stream: &Stream,
    log: &Arc<StreamLog>,
    entries: Vec<Entry>,
) -> Result<Vec<Outcome>, Refusal> {
    let name = stream.stream_name.as_str();
    let most = usize::try_from(stream.max_record_size_kib)
        .unwrap_or(usize::MAX)
        .saturating_mul(1024);
    if let Some(entry) = entries.iter().find(|entry| entry.data.len() > most) {
        return Err(invalid(&format!(
            "Data has {} bytes; the stream allows {most}",
            entry.data.len()
        )));
    }
    let routes = routes(stream);
    let Some(last) = routes.len().checked_sub(1) else {
        return Err(Refusal::server_error(
            None,
            Some("the stream has no open shard"),
        ));
    };
    let now_ms = now_ms();
    let encrypted = stream.encryption_type == EncryptionType::Kms;
    let mut batches: BTreeMap<i64, Vec<StoredRecord>> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(entries.len());
    for entry in entries {
        let route = &routes[routes
            .partition_point(|route| route.end < entry.hash_key)
            .min(last)];
        let (shard_id, origin) = (route.shard_id.to_owned(), route.origin);
        let weight = entry.data.len() + entry.partition_key.len();
        if !service
            .writes
            .admit_write(name, origin.shard, weight, now_ms)
        {
            outcomes.push(Outcome::Throttled { shard_id });
            continue;
        }
        let batch = batches.entry(origin.shard).or_default();
        let (next, arrival_ms) = match batch.last() {
            Some(last) => (last.index + 1, last.arrival_ms),
            None => log.read(origin.shard, |log: &ShardLog| {
                (log.next(), log.arrival(now_ms))
            }),
        };
        let sequence: Box<str> = origin.sequence(next, arrival_ms).into();
        outcomes.push(Outcome::Stored {
            shard_id,
            sequence: sequence.clone(),
        });
        batch.push(StoredRecord {
            index: next,
            sequence,
            arrival_ms,
            partition_key: entry.partition_key.into(),
            data: entry.data,
            encrypted,
        });
    }
    service
        .logs
        .append(name, log, batches)
        .map_err(|error| server_failure(&error))?;
    Ok(outcomes)
}

/// An open shard and its last hash key: a binary search finds the shard of a record.
struct Route<'a> {
    end: u128,
    shard_id: &'a str,
    origin: Origin,
}

/// The open shards, ordered by hash key; never empty for an active stream.
///
/// A closed shard has no route, so a put during a reshard goes to the children.
fn routes(stream: &Stream) -> Vec<Route<'_>> {
    let mut routes: Vec<Route<'_>> = stream
        .shards
        .iter()
        .filter(|shard| !is_closed(shard))
        .filter_map(|shard| {
            Some(Route {
                end: shard.hash_key_range.end_u128(),
                shard_id: &shard.shard_id,
                origin: Origin::of(shard)?,
            })
        })
        .collect();
    routes.sort_by_key(|route| route.end);
    routes
}
