//! Operations for tests, without an SDK: each call is a request to the same front that clients
//! reach over HTTP.
//!
//! They are what a test needs besides a worker: streams, records, reshards. A call goes through the
//! front in the same form as over HTTP, so it cannot do anything that a client could not.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use base64_simd::STANDARD;
use kcl_core::model::{SequenceNumber, ShardId};
use serde_json::{Value, json};
use tower_service::Service;

use super::LocalStream;
use super::front::{BODY_BYTES, TARGET};
use super::wire::Format;
use crate::runtime::sleep;

/// How often a stream that is changing is checked.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Records of one `PutRecords` call (Kinesis API).
const RECORDS: usize = 500;
/// How many bytes of records are put in one call at most: well below the limit of a request.
const BYTES: usize = 5 * 1024 * 1024;

/// A call to a [`LocalStream`] failed.
///
/// # Examples
/// ```
/// use kcl_local::stream::LocalStream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kinesis = LocalStream::start().await?;
/// let refused = kinesis.put("orders", "customer-7", "an order").await.unwrap_err();
/// assert_eq!((refused.operation, &*refused.kind), ("PutRecord", "ResourceNotFoundException"));
/// # kinesis.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} failed with {kind}: {message}")]
#[non_exhaustive]
pub struct CallError {
    /// The operation of the Kinesis API, such as `SplitShard`.
    pub operation: &'static str,
    /// The error type of the API, such as `ResourceNotFoundException`.
    pub kind: String,
    /// The error message.
    pub message: String,
}

/// Where a record was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Put {
    /// The shard.
    pub shard: ShardId,
    /// Its sequence number in the shard.
    pub sequence: SequenceNumber,
}

/// Operations on streams, records and shards, for tests and examples. For the rest of the Kinesis
/// API, use the [client](Self::client).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kcl_local::stream::LocalStream;
///
/// let kinesis = LocalStream::start().await?;
/// kinesis.create("orders", 1).await?;
/// let put = kinesis.put("orders", "customer-7", "an order").await?;
/// let [left, right] = kinesis.split("orders", &put.shard).await?;
/// let merged = kinesis.merge("orders", &left, &right).await?;
/// assert_eq!(kinesis.open_shards("orders").await?, [merged]);
/// # kinesis.stop().await;
/// # Ok(())
/// # }
/// ```
impl LocalStream {
    /// Creates a stream with this many shards, and waits until it is ACTIVE.
    ///
    /// # Errors
    /// If the stream exists already, or the name or the number of shards is invalid.
    ///
    /// # Examples
    /// ```
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinesis = LocalStream::start().await?;
    /// kinesis.create("orders", 2).await?;
    /// let refused = kinesis.create("orders", 2).await.unwrap_err();
    /// assert_eq!(refused.kind, "ResourceInUseException");
    /// # kinesis.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create(&self, stream: &str, shards: u32) -> Result<(), CallError> {
        self.call(
            "CreateStream",
            json!({ "StreamName": stream, "ShardCount": shards }),
        )
        .await?;
        self.wait_until_active(stream).await
    }

    /// Waits until the stream is ACTIVE, that is, until no change of it is in progress. Cancel
    /// safe.
    ///
    /// # Errors
    /// If there is no such stream.
    pub async fn wait_until_active(&self, stream: &str) -> Result<(), CallError> {
        loop {
            let described = self
                .call("DescribeStreamSummary", json!({ "StreamName": stream }))
                .await?;
            if described["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return Ok(());
            }
            self.rest().await;
        }
    }

    /// Puts a record, and returns where it was stored.
    ///
    /// # Errors
    /// If there is no such stream, the record is invalid, or [write
    /// limits](super::LocalStreamBuilder::write_limits) are on and exceeded.
    pub async fn put(
        &self,
        stream: &str,
        partition_key: &str,
        data: impl AsRef<[u8]>,
    ) -> Result<Put, CallError> {
        let data = STANDARD.encode_to_string(data.as_ref());
        let request = json!({ "StreamName": stream, "PartitionKey": partition_key, "Data": data });
        read_put("PutRecord", &self.call("PutRecord", request).await?)
    }

    /// Puts records, each with its partition key, in as many calls as needed. Returns where they
    /// were stored, in the same order.
    ///
    /// # Errors
    /// As for [`put`](Self::put). The records before the rejected one have been put, and perhaps
    /// some of those that follow it in the same call.
    ///
    /// # Examples
    /// ```
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinesis = LocalStream::start().await?;
    /// kinesis.create("orders", 1).await?;
    /// let orders = (0..1000).map(|number| (format!("customer-{number}"), format!("order {number}")));
    /// let stored = kinesis.put_all("orders", orders).await?;
    /// assert_eq!(stored.len(), 1000);
    /// assert!(stored[0].sequence < stored[999].sequence);
    /// # kinesis.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_all<K: AsRef<str>, D: AsRef<[u8]>>(
        &self,
        stream: &str,
        records: impl IntoIterator<Item = (K, D)>,
    ) -> Result<Vec<Put>, CallError> {
        let mut records = records.into_iter().peekable();
        let mut all = Vec::new();
        while records.peek().is_some() {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            while entries.len() < RECORDS
                && let Some((key, data)) =
                    records.next_if(|(_, data)| bytes == 0 || bytes + data.as_ref().len() <= BYTES)
            {
                bytes += data.as_ref().len();
                entries.push(json!({ "PartitionKey": key.as_ref(), "Data": STANDARD.encode_to_string(data.as_ref()) }));
            }
            let answer = self
                .call(
                    "PutRecords",
                    json!({ "StreamName": stream, "Records": entries }),
                )
                .await?;
            for result in answer["Records"].as_array().into_iter().flatten() {
                all.push(read_put("PutRecords", result)?);
            }
        }
        Ok(all)
    }

    /// The open shards, ordered by hash key.
    ///
    /// # Errors
    /// If there is no such stream.
    pub async fn open_shards(&self, stream: &str) -> Result<Vec<ShardId>, CallError> {
        let mut open: Vec<_> = self
            .shards(stream)
            .await?
            .into_iter()
            .filter(Listed::is_open)
            .collect();
        open.sort_by_key(|shard| shard.first);
        Ok(open.into_iter().map(|shard| shard.id).collect())
    }

    /// Splits a shard in the middle of its hash key range, and waits until that is finished.
    /// Returns the two child shards, the one with the lower keys first.
    ///
    /// # Errors
    /// If there is no such stream or shard, the stream is not ACTIVE, or the shard has only one
    /// hash key.
    ///
    /// # Examples
    /// A child is read after its parent; its records follow those of the parent:
    ///
    /// ```
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinesis = LocalStream::start().await?;
    /// kinesis.create("orders", 1).await?;
    /// let before = kinesis.put("orders", "customer-7", "an order").await?;
    /// let [left, right] = kinesis.split("orders", &before.shard).await?;
    /// let after = kinesis.put("orders", "customer-7", "another order").await?;
    /// assert!(after.shard == left || after.shard == right);
    /// # kinesis.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn split(&self, stream: &str, shard: &ShardId) -> Result<[ShardId; 2], CallError> {
        let operation = "SplitShard";
        let shards = self.shards(stream).await?;
        // If the shard does not exist, the server reports it.
        let found = shards.iter().find(|listed| listed.id == *shard);
        let middle = found.map_or(1, |shard| shard.first + (shard.last - shard.first) / 2 + 1);
        let request = json!({ "StreamName": stream, "ShardToSplit": shard.to_string(), "NewStartingHashKey": middle.to_string() });
        self.call(operation, request).await?;
        let children = self.children(stream, shard).await?;
        <[ShardId; 2]>::try_from(children).map_err(|found| {
            odd(
                operation,
                &format!("expected two child shards, got {found:?}"),
            )
        })
    }

    /// Merges two shards with adjacent hash key ranges, and waits until that is finished. Returns
    /// the child shard.
    ///
    /// # Errors
    /// If there is no such stream or shard, the stream is not ACTIVE, or the ranges are not
    /// adjacent.
    pub async fn merge(
        &self,
        stream: &str,
        shard: &ShardId,
        neighbour: &ShardId,
    ) -> Result<ShardId, CallError> {
        let operation = "MergeShards";
        let request = json!({ "StreamName": stream, "ShardToMerge": shard.to_string(), "AdjacentShardToMerge": neighbour.to_string() });
        self.call(operation, request).await?;
        let children = self.children(stream, shard).await?;
        <[ShardId; 1]>::try_from(children)
            .map(|[child]| child)
            .map_err(|found| {
                odd(
                    operation,
                    &format!("expected one child shard, got {found:?}"),
                )
            })
    }

    /// The children of a shard once no change of the stream is in progress, ordered by hash key.
    async fn children(&self, stream: &str, parent: &ShardId) -> Result<Vec<ShardId>, CallError> {
        self.wait_until_active(stream).await?;
        let mut children = self.shards(stream).await?;
        children.retain(|shard| shard.parents.contains(parent));
        children.sort_by_key(|shard| shard.first);
        Ok(children.into_iter().map(|shard| shard.id).collect())
    }

    /// All shards of a stream, over as many pages as there are.
    async fn shards(&self, stream: &str) -> Result<Vec<Listed>, CallError> {
        let operation = "ListShards";
        let mut shards = Vec::new();
        let mut page = self
            .call(operation, json!({ "StreamName": stream }))
            .await?;
        loop {
            for shard in page["Shards"].as_array().into_iter().flatten() {
                shards.push(
                    Listed::read(shard)
                        .ok_or_else(|| odd(operation, "a shard without a hash key range"))?,
                );
            }
            let Some(next) = page["NextToken"].as_str() else {
                return Ok(shards);
            };
            page = self.call(operation, json!({ "NextToken": next })).await?;
        }
    }

    /// Waits a moment, on the server's runtime: the caller's may have no timer.
    async fn rest(&self) {
        if let Some(rest) = self.runtime.spawn(sleep(LOOK_EVERY)) {
            drop(rest.await);
        }
    }

    /// Makes one request, which continues even if this future is dropped.
    ///
    /// The signature is a fixed one, because signatures are required and not checked.
    ///
    /// # Errors
    /// The error of the operation, by its type in the API.
    async fn call(&self, operation: &'static str, request: Value) -> Result<Value, CallError> {
        let request = Request::builder()
            .method(Method::POST)
            .header(CONTENT_TYPE, Format::Json.content_type())
            .header("x-amz-target", format!("{TARGET}{operation}"))
            .header(
                AUTHORIZATION,
                "AWS4-HMAC-SHA256 Credential=local/20260101/local/kinesis/aws4_request, \
                 SignedHeaders=host, Signature=0",
            )
            .header("x-amz-date", "20260101T000000Z")
            .body(Body::from(Format::Json.encode(&request)))
            .map_err(|error| odd(operation, &error.to_string()))?;
        let mut router = self.router.clone();
        // The store starts tasks that finish a change: they must run on the server's runtime, not
        // on the caller's.
        let answer = self.runtime.spawn(async move {
            let Ok(response) = router.call(request).await;
            let status = response.status();
            (status, to_bytes(response.into_body(), BODY_BYTES).await)
        });
        let ended = || odd(operation, "the server has ended");
        let (status, body) = answer.ok_or_else(ended)?.await.map_err(|_| ended())?;
        let body = body.map_err(|error| odd(operation, &error.to_string()))?;
        let value = Format::Json.decode(&body).unwrap_or(Value::Null);
        if status == StatusCode::OK {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let kind = text("__type").unwrap_or_else(|| status.to_string());
        Err(CallError {
            operation,
            kind,
            message: text("message")
                .or_else(|| text("Message"))
                .unwrap_or_default(),
        })
    }
}

/// A listed shard.
struct Listed {
    id: ShardId,
    /// Its lowest hash key.
    first: u128,
    /// Its highest hash key.
    last: u128,
    /// None, one after a split, two after a merge.
    parents: Vec<ShardId>,
    /// Whether it takes no more records.
    closed: bool,
}

impl Listed {
    /// The shard of an element of `Shards`; `None` if a member is missing.
    fn read(shard: &Value) -> Option<Self> {
        let key = |name: &str| shard["HashKeyRange"][name].as_str()?.parse().ok();
        let parents = ["ParentShardId", "AdjacentParentShardId"]
            .iter()
            .filter_map(|name| shard[name].as_str());
        Some(Self {
            id: shard["ShardId"].as_str()?.into(),
            first: key("StartingHashKey")?,
            last: key("EndingHashKey")?,
            parents: parents.map(ShardId::from).collect(),
            closed: shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string(),
        })
    }

    const fn is_open(&self) -> bool {
        !self.closed
    }
}

/// Where a record was stored, or why it was not: a record of `PutRecords` can fail on its own.
fn read_put(operation: &'static str, put: &Value) -> Result<Put, CallError> {
    if let Some(kind) = put["ErrorCode"].as_str() {
        let message = put["ErrorMessage"].as_str().unwrap_or_default().to_owned();
        return Err(CallError {
            operation,
            kind: kind.to_owned(),
            message,
        });
    }
    let read = || {
        Some(Put {
            shard: put["ShardId"].as_str()?.into(),
            sequence: put["SequenceNumber"].as_str()?.parse().ok()?,
        })
    };
    read().ok_or_else(|| odd(operation, "an answer without a shard and a sequence number"))
}

/// The error for an unexpected answer.
fn odd(operation: &'static str, what: &str) -> CallError {
    CallError {
        operation,
        kind: "InternalFailure".to_owned(),
        message: what.to_owned(),
    }
}
