//! A lease that goes from one worker to another while answers get lost, minds change, and handlers
//! take their time.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::{Call, Fault, Fleet, Gate, Nth, PATIENCE, Run, Script, UnrulyTable, until};
use kcl_core::lease::{Change, Changed, Consistency, LeaseTable};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Builder, Event, Liveness, StreamConfig};

pub(super) const F: Duration = Duration::from_millis(1500);

pub(super) async fn rows(table: &UnrulyTable) -> Vec<Lease> {
    table
        .rows
        .scan(None, Consistency::Strong)
        .await
        .unwrap()
        .leases
}

/// Waits until the rows are as wanted.
pub(super) async fn wait_for(table: &UnrulyTable, what: &str, wanted: impl Fn(&[Lease]) -> bool) {
    let begun = Instant::now();
    loop {
        let rows = rows(table).await;
        if wanted(&rows) {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "still waiting for {what}: {rows:#?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_of(row: &Lease, worker: &str) -> bool {
    row.owner == Some(WorkerId::new(worker))
        && row.token.is_some()
        && row.checkpoint_owner.is_none()
}

pub(super) fn count(rows: &[Lease], worker: &str) -> usize {
    rows.iter().filter(|row| is_of(row, worker)).count()
}

/// The lease that is being asked for.
pub(super) async fn requested(table: &UnrulyTable) -> LeaseKey {
    wait_for(table, "a request", |rows| {
        rows.iter().any(Lease::hand_over_pending)
    })
    .await;
    rows(table)
        .await
        .into_iter()
        .find(Lease::hand_over_pending)
        .unwrap()
        .key
}

pub(super) struct HandOverWorld {
    pub(super) stream: MemoryStream,
    pub(super) table: UnrulyTable,
    pub(super) put: u32,
}

impl HandOverWorld {
    /// Three shards: a worker that joins is to have one of them.
    pub(super) fn new() -> Self {
        Self {
            stream: MemoryStream::new("orders", 3),
            table: UnrulyTable::new(),
            put: 0,
        }
    }

    pub(super) fn start(
        &self,
        id: &str,
        script: Script,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Run {
        let id = id.to_owned();
        Fleet::new(&self.stream, &self.table)
            .with(move |builder| change(builder.worker_id(id).failover(F)))
            .start(script)
    }

    /// A first worker with these handlers has all shards and is asked for one of them by a second
    /// worker.
    pub(super) async fn asked(
        &mut self,
        script: Script,
        change: impl Fn(Builder) -> Builder,
    ) -> (Run, Run, LeaseKey) {
        self.put(60);
        let first = self.start("first", script, &change);
        wait_for(&self.table, "the first worker", |rows| {
            count(rows, "first") == 3
        })
        .await;
        let second = self.start("second", Script::default(), change);
        let key = requested(&self.table).await;
        (first, second, key)
    }

    pub(super) fn put(&mut self, records: u32) {
        let from = self.put;
        self.put += records;
        self.stream
            .put_many((from..self.put).map(|n| (format!("key-{n}"), format!("{n}"))))
            .unwrap();
    }

    /// Every record was handed out once, to whichever worker.
    pub(super) async fn assert_read_once(&self, runs: &[&Run]) {
        let all = || -> Vec<String> { runs.iter().flat_map(|run| run.seen.payloads()).collect() };
        until("every record", || {
            all().into_iter().collect::<BTreeSet<_>>().len() >= self.put as usize
        })
        .await;
        assert_eq!(all().len(), self.put as usize, "duplicates");
    }

    /// Updates of a lease that were carried out and answered.
    pub(super) fn stored(&self, key: &LeaseKey, wanted: impl Fn(&Change) -> bool) -> usize {
        self.table
            .written()
            .iter()
            .filter(|write| write.key == *key && write.stored && wanted(&write.change))
            .count()
    }
}

pub(super) fn was_told_to_stop(run: &Run, key: &LeaseKey) -> usize {
    run.seen
        .count(&key.shard, |call| *call == Call::ShutdownRequested)
}

/// The write landed; its answer was lost.
#[tokio::test]
async fn a_lease_handed_over_by_a_lost_answer_is_drained() {
    let mut world = HandOverWorld::new();
    world.put(60);
    let passes = Nth::default();
    let seen = passes.clone();
    world.table.set_rule(move |_, change| match change {
        Some(Change::PassOn { .. }) if seen.next() == 1 => Fault::LoseAnswer,
        // Until the owner has asked again.
        Some(Change::Claim { .. }) if seen.count() < 2 => Fault::Throttle,
        _ => Fault::None,
    });
    let first = world.start("first", Script::default(), |builder| builder);
    wait_for(&world.table, "the first worker", |rows| {
        count(rows, "first") == 3
    })
    .await;
    let second = world.start("second", Script::default(), |builder| builder);
    wait_for(&world.table, "the second worker", |rows| {
        count(rows, "second") == 1
    })
    .await;
    assert_eq!(passes.count(), 2, "asked once more");
    first
        .heard
        .wait_for(
            "the hand-over",
            |event| matches!(event, Event::LeaseHandedOver { to, .. } if to.as_str() == "second"),
        )
        .await;
    first
        .heard
        .wait_for("the release", |event| {
            matches!(event, Event::LeaseReleased { .. })
        })
        .await;
    assert_eq!(
        first
            .heard
            .count(|event| matches!(event, Event::LeaseLost { .. })),
        0
    );
    world.put(60);
    world.assert_read_once(&[&first, &second]).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// Before the former owner knows that its hand-over has landed.
#[tokio::test]
async fn a_lease_claimed_before_its_owner_knows_is_read_once() {
    let mut world = HandOverWorld::new();
    world.put(60);
    let (passes, claims) = (Nth::default(), Nth::default());
    let (passing, claiming) = (passes.clone(), claims.clone());
    world.table.set_rule(move |_, change| match change {
        Some(Change::PassOn { .. }) if passing.next() == 1 => Fault::LoseAnswer,
        Some(Change::PassOn { .. }) if claiming.count() == 0 => Fault::LoseWrite,
        Some(Change::Claim { .. }) => {
            claiming.next();
            Fault::None
        }
        _ => Fault::None,
    });
    let first = world.start("first", Script::default(), |builder| builder);
    wait_for(&world.table, "the first worker", |rows| {
        count(rows, "first") == 3
    })
    .await;
    let second = world.start("second", Script::default(), |builder| builder);
    wait_for(&world.table, "the second worker", |rows| {
        count(rows, "second") == 1
    })
    .await;
    let key = rows(&world.table)
        .await
        .into_iter()
        .find(|row| is_of(row, "second"))
        .unwrap()
        .key;
    assert!(
        passes.count() > 0 && claims.count() == 1,
        "passed on and claimed, not freed and taken"
    );
    world.put(60);
    world.assert_read_once(&[&first, &second]).await;
    until("the end of the first consumer", || {
        first
            .heard
            .count(|event| matches!(event, Event::LeaseLost { lease, .. } | Event::LeaseReleased { lease } if *lease == key))
            == 1
    })
    .await;
    assert_eq!(was_told_to_stop(&first, &key), 1);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn an_owner_whose_batch_outlasts_a_request_reads_on() {
    let mut world = HandOverWorld::new();
    world.put(60);
    let gate = Gate::new();
    let renewing = |builder: Builder| builder.liveness(Liveness::Kcl);
    let first = world.start("first", gate.processing(), renewing);
    wait_for(&world.table, "the first worker", |rows| {
        count(rows, "first") == 3
    })
    .await;
    until("a batch of each shard", || first.seen.batches() == 3).await;
    let second = world.start("second", Script::default(), renewing);
    let key = requested(&world.table).await;
    // Each write tells the owner who asks; the second one comes after it has heard of it from the
    // first.
    let renewals = || world.stored(&key, |change| matches!(change, Change::Renew));
    let before = renewals();
    until("the owner to hear of the request", || {
        renewals() >= before + 2
    })
    .await;
    second.stop().await.unwrap();
    wait_for(&world.table, "the withdrawal", |rows| {
        count(rows, "first") == 3
    })
    .await;
    let before = renewals();
    until("the owner to hear of the withdrawal", || {
        renewals() >= before + 2
    })
    .await;
    gate.open();
    world.put(60);
    world.assert_read_once(&[&first]).await;
    assert_eq!(
        was_told_to_stop(&first, &key),
        0,
        "the shard stayed where it was"
    );
    assert_eq!(count(&rows(&world.table).await, "first"), 3);
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_lease_being_drained_for_a_withdrawn_request_is_freed() {
    let (mut world, gate) = (HandOverWorld::new(), Gate::new());
    let slow = |builder: Builder| builder.failover(Duration::from_secs(5));
    let (first, second, key) = world.asked(gate.at_the_stop(), slow).await;
    until("the owner to give it up", || {
        was_told_to_stop(&first, &key) == 1
    })
    .await;
    second.stop().await.unwrap();
    wait_for(&world.table, "the withdrawal", |rows| {
        count(rows, "first") == 3
    })
    .await;
    gate.open();
    first
        .heard
        .wait_for(
            "the release",
            |event| matches!(event, Event::LeaseReleased { lease } if *lease == key),
        )
        .await;
    let released = Instant::now();
    // More than the change signal can tell of: a scan follows, and what it shows of this lease may
    // be older than the release.
    for other in 0..100 {
        world
            .table
            .announce(&[Changed::Lease(LeaseKey::single(format!("other-{other}")))])
            .await
            .unwrap();
    }
    let taken = |change: &Change| matches!(change, Change::Take { .. });
    until("the lease to be taken again", || {
        world.stored(&key, taken) == 1
    })
    .await;
    assert!(
        released.elapsed() < Duration::from_secs(5),
        "who is alone looks again all the same: {:?}",
        released.elapsed()
    );
    world.put(60);
    world.assert_read_once(&[&first]).await;
    assert_eq!(
        world.stored(&key, |change| matches!(change, Change::PassOn { .. })),
        0
    );
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_row_read_before_its_hand_over_is_no_sign_of_a_duplicate_id() {
    let mut world = HandOverWorld {
        stream: MemoryStream::new("orders", 8),
        ..HandOverWorld::new()
    };
    world.put(80);
    // What a worker reads of a row is 200 ms old, and it reads all the time.
    world.table.set_slow_reads(Duration::from_millis(200));
    world.table.set_signal_interval(Duration::from_millis(20));
    let first = world.start("first", Script::default(), |builder| builder);
    wait_for(&world.table, "the first worker", |rows| {
        count(rows, "first") == 8
    })
    .await;
    let table = world.table.rows.clone();
    let announcing = tokio::spawn(async move {
        loop {
            let rows = table.scan(None, Consistency::Strong).await.unwrap().leases;
            let all: Vec<_> = rows
                .into_iter()
                .map(|row| Changed::Lease(row.key))
                .collect();
            table.announce(&all).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for _ in 0..10 {
        world.put(40);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let second = world.start("second", Script::default(), |builder| builder);
    wait_for(&world.table, "the second worker", |rows| {
        count(rows, "second") == 4 && count(rows, "first") == 4
    })
    .await;
    tokio::time::sleep(F / 2).await;
    world.put(80);
    world.assert_read_once(&[&first, &second]).await;
    announcing.abort();
    // A lease that time has run out for on a busy machine may be taken; one that was taken for a
    // former tenancy's is not to be had.
    let refused = |write: &&crate::support::Written| {
        matches!(write.change, Change::Take { .. }) && !write.stored
    };
    assert_eq!(
        world.table.written().iter().filter(refused).count(),
        0,
        "nor of a lease to be taken back"
    );
    first
        .stop()
        .await
        .expect("nobody else works under its name");
    second
        .stop()
        .await
        .expect("nobody else works under its name");
}

/// However long that takes.
#[tokio::test]
async fn a_removed_stream_is_given_up_and_its_leases_go_to_requesters() {
    let table = UnrulyTable::new();
    let stream = |name: &str, shards: u32| {
        let stream = MemoryStream::new(name, shards);
        stream
            .put_many((0..30).map(|n| (format!("key-{n}"), format!("{name}-{n}"))))
            .unwrap();
        stream
    };
    let (orders, visits) = (stream("orders", 1), stream("visits", 3));
    let start = |id: &str, script: Script| {
        let (id, orders, visits) = (id.to_owned(), orders.clone(), visits.clone());
        let streams = vec![
            StreamConfig::new("orders").source(orders),
            StreamConfig::new("visits").source(visits),
        ];
        let drain = Duration::from_millis(100);
        Fleet::of_streams(&table, streams)
            .with(move |builder| {
                let builder = builder.worker_id(id).failover(F).drain_limit(drain);
                builder.liveness(Liveness::Kcl)
            })
            .start(script)
    };
    let gate = Gate::new();
    let first = start("first", gate.processing());
    wait_for(&table, "the first worker", |rows| count(rows, "first") == 4).await;
    until("a batch of each shard", || first.seen.batches() == 4).await;
    assert!(first.worker.remove_stream("visits").unwrap());
    let second = start("second", Script::default());
    let is_visits = |row: &&Lease| {
        row.key
            .stream
            .as_deref()
            .is_some_and(|stream| stream.contains("visits"))
    };
    let asked = |rows: &[Lease]| {
        rows.iter()
            .filter(is_visits)
            .find(|row| row.hand_over_pending())
            .map(|row| row.key.clone())
    };
    wait_for(&table, "a request", |rows| asked(rows).is_some()).await;
    let key = asked(&rows(&table).await).unwrap();
    // What is to be given up is not kept when the limit for a hand-over has passed: the owner hears
    // of the request with its next write.
    let renewals = || {
        table
            .written()
            .iter()
            .filter(|write| write.key == key && matches!(write.change, Change::Renew))
            .count()
    };
    let before = renewals();
    until("the limit to pass", || renewals() >= before + 3).await;
    gate.open();
    let all_of_second = |rows: &[Lease]| {
        rows.iter()
            .filter(is_visits)
            .all(|row| is_of(row, "second"))
    };
    wait_for(
        &table,
        "all of the stream to be the second worker's",
        all_of_second,
    )
    .await;
    let visits_read = |run: &Run| {
        run.seen
            .payloads()
            .into_iter()
            .filter(|payload| payload.starts_with("visits"))
            .count()
    };
    until("every record", || {
        visits_read(&first) + visits_read(&second) >= 30
    })
    .await;
    assert_eq!(visits_read(&first) + visits_read(&second), 30, "duplicates");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}
