//! Several streams in one worker, added and removed while it runs.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    CutStream, Fault, Fleet, HookedStream, Nth, Pushing, Run, Script, UnrulyTable, until,
};
use kcl_core::Worker;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Consistency, LeaseTable};
use kcl_core::model::{InitialPosition, Lease};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{ErrorKind, Stream};
use kcl_core::worker::{Builder, CoordinationOn, Event, RunError, StreamConfig};

async fn rows(table: &MemoryLeaseTable) -> Vec<Lease> {
    table.scan(None, Consistency::Strong).await.unwrap().leases
}

fn config(stream: &MemoryStream, name: &str) -> StreamConfig {
    StreamConfig::new(name).source(stream.clone())
}

fn stream(name: &str, records: usize) -> MemoryStream {
    let stream = MemoryStream::new(name, 2);
    put(&stream, name, 0..records);
    stream
}

fn put(stream: &MemoryStream, name: &str, records: std::ops::Range<usize>) {
    stream
        .put_many(records.map(|n| (format!("key-{n}"), format!("{name} {n}"))))
        .unwrap();
}

fn start(table: &MemoryLeaseTable, streams: Vec<StreamConfig>) -> Run {
    Fleet::of_streams(table, streams).start(Script::default())
}

fn count(run: &Run, name: &str) -> usize {
    run.seen
        .payloads()
        .iter()
        .filter(|payload| payload.starts_with(name))
        .count()
}

#[tokio::test]
async fn the_leases_of_each_stream_are_told_apart_as_the_kcl_does() {
    // Both have shards of the same names.
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let run = start(
        &table,
        vec![config(&orders, "orders"), config(&visits, "visits")],
    );
    until("both streams to be read", || {
        count(&run, "orders") == 20 && count(&run, "visits") == 20
    })
    .await;
    let description = orders.describe().await.unwrap();
    let keys: BTreeSet<String> = rows(&table)
        .await
        .into_iter()
        .map(|row| row.key.to_string())
        .collect();
    assert_eq!(keys.len(), 4);
    let second = description.created_at.as_millis() / 1000;
    let account = description.arn.split(':').nth(4).unwrap();
    for shard in orders.open_shards() {
        assert!(
            keys.contains(&format!("{account}:orders:{second}:{shard}")),
            "{keys:?}"
        );
    }
    run.stop().await.unwrap();
}

#[tokio::test]
async fn an_added_stream_is_read_at_once_from_where_it_says() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let run = start(&table, vec![config(&orders, "orders")]);
    until("the first stream to be read", || {
        count(&run, "orders") == 20
    })
    .await;
    run.worker
        .add_stream(config(&visits, "visits").initial_position(InitialPosition::TrimHorizon))
        .unwrap();
    until("the second stream to be read", || {
        count(&run, "visits") == 20
    })
    .await;
    run.worker
        .add_stream(config(&visits, "visits"))
        .expect("it is read already");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_added_during_an_audit_is_read_at_once() {
    let (orders, visits, clicks) = (
        stream("orders", 20),
        stream("visits", 20),
        stream("clicks", 20),
    );
    let table = MemoryLeaseTable::new();
    let run = start(&table, vec![config(&orders, "orders")]);
    until("the first stream to be read", || {
        count(&run, "orders") == 20
    })
    .await;
    let slow = HookedStream::new(&visits);
    let listings = Nth::default();
    let listed = listings.clone();
    slow.before(move |operation, _| {
        let wait = operation == Operation::ListShards && listed.next() == 1;
        async move {
            if wait {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    });
    run.worker
        .add_stream(StreamConfig::new("visits").source(slow))
        .unwrap();
    until("the comparison to be under way", || listings.count() > 0).await;
    run.worker.add_stream(config(&clicks, "clicks")).unwrap();
    until("the last stream to be read", || count(&run, "clicks") == 20).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_could_not_be_described_is_read_soon_after() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let run = start(&table, vec![config(&orders, "orders")]);
    until("the first stream to be read", || {
        count(&run, "orders") == 20
    })
    .await;
    visits.fail_next(Operation::Describe, ErrorKind::Throttled, 2);
    run.worker.add_stream(config(&visits, "visits")).unwrap();
    until("the added stream to be read", || {
        count(&run, "visits") == 20
    })
    .await;
    run.stop().await.unwrap();
}

/// It takes the service half a minute to make a stream.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_there_yet_is_asked_for_every_4_s() {
    let (world, table) = (Pushing::new(1), MemoryLeaseTable::new());
    let visits = MemoryStream::with_clock("visits", 1, Arc::new(world.clock));
    let absent = CutStream::new(&visits);
    absent.fail_only(ErrorKind::Gone, &["DescribeStreamSummary"]);
    let streams = vec![
        StreamConfig::new("orders").source(world.stream.clone()),
        StreamConfig::new("visits").source(absent.clone()),
    ];
    let clock = world.clock;
    let own = move |builder: Builder| {
        builder
            .clock(clock)
            .coordination_on(CoordinationOn::CallersRuntime)
    };
    let run = Fleet::of_streams(&table, streams)
        .with(own)
        .start(Script::default());
    tokio::time::sleep(Duration::from_secs(130)).await;
    absent.mend();
    visits.put("k", "visit").unwrap();
    let made = tokio::time::Instant::now();
    run.seen.wait_for_records(1).await;
    assert!(
        made.elapsed() < Duration::from_secs(6),
        "{:?}",
        made.elapsed()
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn leases_that_were_made_before_the_table_got_busy_are_read() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = UnrulyTable::new();
    let creations = Nth::default();
    // The first stream's come through; then the table is busy for longer than one comparison tries.
    table.set_rule(move |_, change| match change {
        None if (3..=2 + 2 * 5).contains(&creations.next()) => Fault::Throttle,
        _ => Fault::None,
    });
    let run = Fleet::of_streams(
        &table,
        vec![config(&orders, "orders"), config(&visits, "visits")],
    )
    .start(Script::default());
    until("both streams to be read", || {
        count(&run, "orders") == 20 && count(&run, "visits") == 20
    })
    .await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_removed_stream_resumes_where_it_was_when_added_again() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let run = start(
        &table,
        vec![config(&orders, "orders"), config(&visits, "visits")],
    );
    until("both streams to be read", || {
        count(&run, "orders") == 20 && count(&run, "visits") == 20
    })
    .await;
    assert!(run.worker.remove_stream("visits").unwrap());
    assert!(!run.worker.remove_stream("visits").unwrap(), "it is gone");
    let free = async || {
        rows(&table)
            .await
            .iter()
            .filter(|row| row.owner.is_none())
            .count()
    };
    while free().await < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    put(&visits, "visits", 20..40);
    put(&orders, "orders", 20..40);
    until("the other stream to be read on", || {
        count(&run, "orders") == 40
    })
    .await;
    assert_eq!(count(&run, "visits"), 20, "it is not read any more");
    run.worker.add_stream(config(&visits, "visits")).unwrap();
    until("the stream to be read again", || {
        count(&run, "visits") == 40
    })
    .await;
    assert_eq!(run.seen.payloads().len(), 80, "duplicates");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn streams_that_are_not_read_here_are_left_to_others() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let first = start(&table, vec![config(&orders, "orders")]);
    let second = start(&table, vec![config(&visits, "visits")]);
    until("both streams to be read", || {
        count(&first, "orders") == 20 && count(&second, "visits") == 20
    })
    .await;
    assert_eq!((count(&first, "visits"), count(&second, "orders")), (0, 0));
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn an_unreadable_stream_stops_none_of_the_others() {
    let orders = stream("orders", 20);
    let table = MemoryLeaseTable::new();
    let gone = stream("visits", 1);
    gone.fail_next(Operation::Describe, ErrorKind::Gone, u32::MAX);
    let run = start(
        &table,
        vec![config(&orders, "orders"), config(&gone, "visits")],
    );
    until("the other stream to be read", || {
        count(&run, "orders") == 20
    })
    .await;
    run.stop().await.unwrap();
}

#[test]
fn a_stream_is_named_once_and_one_or_several_are_two_modes() {
    let orders = MemoryStream::new("orders", 1);
    let build = |streams: Vec<StreamConfig>, one: Option<&str>| {
        let mut builder = Worker::builder()
            .application("tests")
            .lease_table(MemoryLeaseTable::new())
            .processor(|_: &kcl_core::processor::ShardRef| crate::support::Scribe {
                seen: crate::support::Seen::default(),
                script: Script::default(),
            })
            .streams(streams);
        if let Some(one) = one {
            builder = builder.stream(one);
        }
        builder.build().map_err(|error| error.to_string())
    };
    let both = build(vec![config(&orders, "orders")], Some("visits")).unwrap_err();
    assert!(
        both.contains("`visits`") && both.contains("either `stream` or `streams`"),
        "{both}"
    );
    let twice = build(
        vec![config(&orders, "orders"), config(&orders, "orders")],
        None,
    )
    .unwrap_err();
    assert!(twice.contains("`orders` twice"), "{twice}");
    let named = build(vec![config(&orders, "not a name")], None).unwrap_err();
    assert!(named.contains("`not a name`"), "{named}");
    assert!(build(Vec::new(), None).is_ok(), "streams may come later");
}

/// The end of a worker that reads `orders` in the other way than one before it has: what it said,
/// and that nothing was read or written.
async fn refused(table: &MemoryLeaseTable, fleet: Fleet) -> String {
    let before = rows(table).await;
    let run = fleet.start(Script::default());
    let seen = run.seen.clone();
    let error = run.ended().await.unwrap_err();
    assert!(matches!(error, RunError::OtherMode { .. }), "{error}");
    assert_eq!(seen.calls(), [], "nothing is handed out");
    assert_eq!(rows(table).await, before, "nothing is written");
    assert!(
        table
            .scan(None, Consistency::Strong)
            .await
            .unwrap()
            .workers
            .is_empty(),
        "nothing is written"
    );
    error.to_string()
}

#[tokio::test]
async fn an_only_stream_that_becomes_one_of_several_is_refused() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&orders, &table).start(Script::default());
    until("the stream to be read", || count(&run, "orders") == 20).await;
    run.stop().await.unwrap();
    let several = || {
        Fleet::of_streams(
            &table,
            vec![config(&orders, "orders"), config(&visits, "visits")],
        )
    };
    let said = refused(&table, several()).await;
    assert!(
        said.contains("stream/orders") && said.contains("with `stream` as before"),
        "{said}"
    );
    // A KCL keeps nowhere which stream its only one was.
    for row in rows(&table).await {
        table.edit(&row.key, |row| {
            row.facts = kcl_core::model::Facts::default();
        });
    }
    refused(&table, several()).await;
    // What is left of another stream is nobody's concern.
    let run = start(&MemoryLeaseTable::new(), vec![config(&visits, "visits")]);
    until("the other stream to be read", || {
        count(&run, "visits") == 20
    })
    .await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn one_of_several_streams_that_becomes_the_only_one_is_refused() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let run = start(&table, vec![config(&orders, "orders")]);
    until("the stream to be read", || count(&run, "orders") == 20).await;
    run.stop().await.unwrap();
    let said = refused(&table, Fleet::new(&orders, &table)).await;
    assert!(
        said.contains("stream/orders") && said.contains("with `streams` as before"),
        "{said}"
    );
    let run = Fleet::new(&visits, &table)
        .with(|builder| builder.stream("visits"))
        .start(Script::default());
    until("a stream of which there are no leases to be read", || {
        count(&run, "visits") == 20
    })
    .await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn two_ways_that_begin_at_once_end_at_the_next_audit() {
    let orders = stream("orders", 20);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&orders, &table)
        .with(|builder| builder.audit_every(Duration::from_secs(1)))
        .start(Script::default());
    until("the stream to be read", || count(&run, "orders") == 20).await;
    // As a worker of the other way makes them that has seen no rows either.
    let identity = orders.describe().await.unwrap().identity();
    for mut row in rows(&table).await {
        row.key.stream = Some(identity.clone());
        table.create(&row).await.unwrap();
    }
    let error = run.ended().await.unwrap_err();
    assert!(
        matches!(
            error,
            RunError::OtherMode {
                is_one_of_several: false,
                ..
            }
        ),
        "{error}"
    );
}

/// The others are read on.
#[tokio::test]
async fn an_added_stream_that_was_the_only_one_is_left() {
    let (orders, visits) = (stream("orders", 20), stream("visits", 20));
    let table = MemoryLeaseTable::new();
    let run = start(&table, vec![config(&visits, "visits")]);
    until("the first stream to be read", || {
        count(&run, "visits") == 20
    })
    .await;
    // The rows of the application when it read this one alone, put back from a backup.
    let only = MemoryLeaseTable::new();
    let alone = Fleet::new(&orders, &only).start(Script::default());
    until("the stream to be read alone", || {
        count(&alone, "orders") == 20
    })
    .await;
    alone.stop().await.unwrap();
    for row in rows(&only).await {
        table.create(&row).await.unwrap();
    }
    run.worker.add_stream(config(&orders, "orders")).unwrap();
    let is_said = |event: &Event| matches!(event, Event::StepFailed { error, .. } if error.contains("with `stream` as before"));
    run.heard.wait_for("the refusal", is_said).await;
    put(&visits, "visits", 20..40);
    until("the first stream to be read on", || {
        count(&run, "visits") == 40
    })
    .await;
    assert_eq!(count(&run, "orders"), 0, "it is not begun anew");
    run.stop().await.unwrap();
}
