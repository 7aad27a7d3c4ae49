//! `GetRecords`.
//!
//! The record at an iterator is found by its index, so reading costs the same at any place of a
//! shard. An iterator contains a position and a time, so nothing has to be remembered for it.

use std::sync::Arc;

use axum::response::Response;
use ferrokinesis::shard_iterator::{create_shard_iterator, decode_shard_iterator};
use serde::Deserialize;
use serde_json::Value;

use super::request::{check_range, parse, unfit};
use crate::runtime::now_ms;
use crate::stream::records::{Position, StoredRecord};
use crate::stream::service::{Service, horizon_ms, is_closed};
use crate::stream::shards::children;
use crate::stream::wire::{Format, PageEnd, Refusal, get_records_body, reply, server_failure};

/// Records on one page (`GetRecords`: 10,000).
const PAGE_RECORDS: u64 = 10_000;
/// Bytes of payloads and partition keys on one page (`GetRecords`: 10 MiB).
///
/// A record is counted with its key. A single record is returned whatever its size.
const PAGE_BYTES: usize = 10 * 1024 * 1024;

/// The request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecordsRequest {
    shard_iterator: String,
    limit: Option<u64>,
    stream_name: Option<String>,
}

/// Reads a page of records.
///
/// The end of a closed shard is a separate, empty page, without a next iterator and with the
/// children.
///
/// # Errors
///
/// If the iterator is invalid or too old, its stream or shard does not exist, or the shard's read
/// limits are exceeded.
///
/// The order is that of a reader that must not miss anything: expired records are removed, a put
/// that is in progress on a closed shard is waited for, and only then is it decided whether the
/// shard has ended.
pub(in crate::stream) async fn get_records(
    service: &Service,
    format: Format,
    data: Value,
) -> Result<Response, Refusal> {
    let request: GetRecordsRequest = parse(data)?;
    let limit = check_range(
        "Limit",
        request.limit.unwrap_or(PAGE_RECORDS),
        1..=PAGE_RECORDS,
    )?;
    let not_ours = || unfit("Invalid ShardIterator.");
    let (given_ms, name, shard_id, sequence) =
        decode_shard_iterator(&request.shard_iterator).map_err(|_| not_ours())?;
    let position = Position::at(&sequence).ok_or_else(not_ours)?;
    if request.stream_name.is_some_and(|given| given != name) {
        return Err(unfit(&format!(
            "the ShardIterator is of the stream {name}, not of the one in StreamARN"
        )));
    }
    let now_ms = now_ms();
    let age_ms = now_ms.saturating_sub(given_ms);
    if u128::from(age_ms) > service.iterator_lifetime.as_millis() {
        let message = format!(
            "Iterator expired. It is {age_ms} milliseconds old; the tolerated age is {} \
             milliseconds.",
            service.iterator_lifetime.as_millis()
        );
        return Err(Refusal::client_error(
            "ExpiredIteratorException",
            Some(&message),
        ));
    }

    let stream = service.stream(&name).await?;
    let (shard, origin) = service.shard(&stream, &shard_id)?;
    if origin != position.origin {
        return Err(not_ours());
    }
    if !service.reads.admit_read(&name, origin.shard, now_ms) {
        let message = format!("Rate exceeded for shard {shard_id} in stream {name}.");
        return Err(Refusal::client_error(
            "ProvisionedThroughputExceededException",
            Some(&message),
        ));
    }
    service
        .logs
        .trim(&name, origin.shard, horizon_ms(&stream, now_ms))
        .map_err(|error| server_failure(&error))?;
    let log = service.logs.of(&name);
    let closed = is_closed(shard);
    if closed {
        // A put that found the shard open may still be in progress.
        drop(log.gate().await);
    }
    let page = log.page(origin.shard, position.index, limit, PAGE_BYTES);
    service
        .reads
        .charge_read(&name, origin.shard, page.weight());

    let ended = closed && page.at_tip && page.records.is_empty();
    let next = Position {
        origin,
        index: page.next,
    }
    .to_token();
    let end = PageEnd {
        next: (!ended).then(|| create_shard_iterator(&name, &shard_id, &next, now_ms)),
        millis_behind: page.millis_behind(now_ms),
        children: ended.then(|| children(&stream.shards, &shard_id)),
    };
    let records = page
        .records
        .iter()
        .map(Arc::as_ref as fn(&Arc<StoredRecord>) -> &StoredRecord);
    Ok(reply(
        format.content_type(),
        get_records_body(format, records, &end),
    ))
}
