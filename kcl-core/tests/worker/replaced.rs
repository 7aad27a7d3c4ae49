//! A stream that is deleted and made again under its name while workers read it, and one that is
//! another than it was said to be.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Consistency, LeaseTable};
use kcl_core::model::{InitialPosition, ShardId, Timestamp};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{
    Cursor, Error, ErrorKind, Page, ShardFilter, ShardPage, ShardPageToken, StartAt, Stream,
    StreamDescription,
};
use kcl_core::worker::{Event, RunError, StreamConfig};

use crate::support::{Fleet, Script, locked, until};

const AN_HOUR: Duration = Duration::from_hours(1);

/// A stream that can be replaced. What was opened of the one before is refused, as the service
/// refuses it.
#[derive(Clone, Debug)]
struct Replaceable(Arc<Mutex<ReplacedState>>);

#[derive(Debug)]
struct ReplacedState {
    now: Option<MemoryStream>,
    generation: u64,
    being_made: bool,
}

impl Replaceable {
    fn new(stream: MemoryStream) -> Self {
        Self(Arc::new(Mutex::new(ReplacedState {
            now: Some(stream),
            generation: 0,
            being_made: false,
        })))
    }

    fn replace(&self, stream: &MemoryStream) {
        let mut state = locked(&self.0);
        state.now = Some(stream.clone());
        state.generation += 1;
    }

    fn set_being_made(&self, being_made: bool) {
        locked(&self.0).being_made = being_made;
    }

    fn now(&self) -> Result<(MemoryStream, u64), Error> {
        let state = locked(&self.0);
        let gone = || Error::new(ErrorKind::Gone, "Kinesis", "there is no such stream");
        Ok((state.now.clone().ok_or_else(gone)?, state.generation))
    }
}

#[async_trait]
impl Stream for Replaceable {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        let (stream, generation) = self.now()?;
        let mut description = stream.describe().await?;
        // A second is the least that tells one from the other in the keys of leases.
        let later =
            description.created_at.as_millis() + 10_000 * i64::try_from(generation).unwrap();
        description.created_at = Timestamp::from_millis(later);
        Ok(description)
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        let (stream, _) = self.now()?;
        let mut page = stream.list_shards(filter, page).await?;
        if locked(&self.0).being_made {
            page.shards.clear();
        }
        Ok(page)
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        let (stream, generation) = self.now()?;
        if generation > 0 && matches!(at, StartAt::Sequence(_) | StartAt::AfterSequence(_)) {
            return Err(Error::new(
                ErrorKind::Denied,
                "GetShardIterator",
                "the sequence number is none of this stream",
            ));
        }
        let cursor = stream.open(shard, at).await?;
        Ok(Cursor::new(
            shard.clone(),
            format!("{generation}/{}", cursor.as_str()),
        ))
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        let (stream, generation) = self.now()?;
        let (of, text) = cursor.as_str().split_once('/').unwrap();
        if *of != generation.to_string() {
            return Err(Error::new(
                ErrorKind::Expired,
                "GetRecords",
                "the iterator is none of this stream",
            ));
        }
        let mut page = stream
            .read(&Cursor::new(cursor.shard().clone(), text), limit)
            .await?;
        page.next = page.next.map(|next| {
            Cursor::new(
                next.shard().clone(),
                format!("{generation}/{}", next.as_str()),
            )
        });
        Ok(page)
    }
}

fn stream(shards: u32, records: usize, what: &str) -> MemoryStream {
    let stream = MemoryStream::new("orders", shards);
    stream
        .put_many((0..records).map(|n| (format!("key-{n}"), format!("{what} {n}"))))
        .unwrap();
    stream
}

fn count(run: &crate::support::Run, what: &str) -> usize {
    run.seen
        .payloads()
        .iter()
        .filter(|payload| payload.starts_with(what))
        .count()
}

#[tokio::test]
async fn a_worker_ends_when_its_stream_is_replaced() {
    let source = Replaceable::new(stream(2, 20, "old"));
    let fleet = Fleet::new(&source, &MemoryLeaseTable::new())
        .with(|builder| builder.audit_every(Duration::from_secs(5)));
    let run = fleet.start(Script::default());
    run.seen.wait_for_records(20).await;
    source.replace(&stream(2, 20, "new"));
    let ended = run.ended().await;
    assert!(
        matches!(ended, Err(RunError::StreamReplaced { .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_shard_that_is_gone_tells_of_a_replaced_stream() {
    let source = Replaceable::new(stream(2, 0, "old"));
    let fleet =
        Fleet::new(&source, &MemoryLeaseTable::new()).with(|builder| builder.audit_every(AN_HOUR));
    let run = fleet.start(Script::default());
    run.seen.wait_for_initialized(2).await;
    source.replace(&stream(1, 0, "new"));
    let ended = run.ended().await;
    assert!(
        matches!(ended, Err(RunError::StreamReplaced { .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_a_stream_is_is_asked_anew_with_each_audit() {
    let (stream, table) = (stream(1, 0, ""), MemoryLeaseTable::new());
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.audit_every(Duration::from_secs(1)))
        .start(Script::default());
    until("three audits", || {
        stream.call_count(Operation::Describe, None) > 3
    })
    .await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn of_several_streams_one_that_is_replaced_is_read_anew() {
    let table = MemoryLeaseTable::new();
    let source = Replaceable::new(stream(2, 20, "old"));
    let visits = MemoryStream::new("visits", 1);
    let streams = vec![
        StreamConfig::new("orders")
            .source(source.clone())
            .initial_position(InitialPosition::TrimHorizon),
        StreamConfig::new("visits").source(visits.clone()),
    ];
    let run = Fleet::of_streams(&table, streams).start(Script::default());
    until("the old stream to be read", || count(&run, "old") == 20).await;
    source.replace(&stream(2, 20, "new"));
    until("the new stream to be read", || count(&run, "new") == 20).await;
    run.heard
        .wait_for("the news", |event| {
            matches!(event, Event::StreamReplaced { .. })
        })
        .await;
    visits.put("key", "visit").unwrap();
    until("the other stream to be read", || count(&run, "visit") == 1).await;
    run.stop().await.unwrap();
    let rows = table.scan(None, Consistency::Strong).await.unwrap().leases;
    assert_eq!(rows.len(), 5, "those of the old stream stay: {rows:#?}");
}

#[tokio::test]
async fn who_does_not_compare_hears_of_a_replaced_stream_by_its_rows() {
    let table = MemoryLeaseTable::new();
    let source = Replaceable::new(stream(1, 20, "old"));
    let start = |others: Vec<StreamConfig>| {
        let orders = StreamConfig::new("orders")
            .source(source.clone())
            .initial_position(InitialPosition::TrimHorizon);
        let fleet = Fleet::of_streams(&table, [vec![orders], others].concat());
        // No audit comes in its way.
        fleet
            .with(|builder| builder.audit_every(AN_HOUR).max_leases(1))
            .start(Script::default())
    };
    // It holds the only lease; the second worker holds all that it may, and no reading of its
    // fails.
    let first = start(Vec::new());
    until("the old stream to be read", || count(&first, "old") == 20).await;
    let visits = MemoryStream::new("visits", 1);
    let second = start(vec![StreamConfig::new("visits").source(visits)]);
    until("the second worker to hold one", || {
        second.worker.status().shards.len() == 1
    })
    .await;
    source.replace(&stream(1, 20, "new"));
    second
        .heard
        .wait_for("the news", |event| {
            matches!(event, Event::StreamReplaced { .. })
        })
        .await;
    until("the new stream to be read", || count(&first, "new") == 20).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_being_made_is_read_soon_after() {
    for several in [false, true] {
        let (source, table) = (
            Replaceable::new(stream(2, 20, "new")),
            MemoryLeaseTable::new(),
        );
        source.set_being_made(true);
        let fleet = if several {
            Fleet::of_streams(
                &table,
                vec![StreamConfig::new("orders").source(source.clone())],
            )
        } else {
            Fleet::new(&source, &table)
        };
        let run = fleet
            .with(|builder| builder.initial_position(InitialPosition::TrimHorizon))
            .start(Script::default());
        // After the first it has compared the shards with the leases in vain.
        let waits = || {
            run.heard
                .count(|event| matches!(event, Event::StepFailed { .. }))
        };
        until("the worker to wait", || waits() >= 2).await;
        assert_eq!(
            run.heard.count(|event| matches!(event, Event::Started)),
            0,
            "it reads nothing"
        );
        source.set_being_made(false);
        tokio::time::timeout(Duration::from_secs(20), run.seen.wait_for_records(20))
            .await
            .expect("soon after it is there");
        run.heard
            .wait_for("the worker to begin", |event| {
                matches!(event, Event::Started)
            })
            .await;
        run.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_source_of_another_stream_ends_the_worker() {
    let table = MemoryLeaseTable::new();
    let payments = MemoryStream::new("payments", 1);
    let alone = Fleet::new(&payments, &table)
        .start(Script::default())
        .ended()
        .await;
    let streams = vec![StreamConfig::new("orders").source(payments.clone())];
    let several = Fleet::of_streams(&table, streams)
        .start(Script::default())
        .ended()
        .await;
    for ended in [alone, several] {
        let error = ended.unwrap_err();
        assert!(matches!(error, RunError::WrongSource { .. }), "{error:?}");
        assert!(error.to_string().contains("stream/payments"), "{error}");
    }
    assert!(
        table
            .scan(None, Consistency::Strong)
            .await
            .unwrap()
            .leases
            .is_empty()
    );
}
