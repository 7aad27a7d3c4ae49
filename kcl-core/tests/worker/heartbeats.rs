//! Leases that the heartbeats of their worker hold: what they cost, who takes them, and what a worker
//! does that was declared dead.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::Duration;

use kcl_core::lease::{Change, KeepAlive, LeaseTable, WorkerRow};
use kcl_core::model::{Lease, LeaseKey};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Builder, Event, Liveness};

use super::fleet;
use super::hand_over::{count, rows, wait_for};
use crate::support::{Call, Fault, Fleet, Run, Script, UnrulyTable, at, one_shard, until};

const F: Duration = Duration::from_millis(1500);

pub(super) async fn row_of(table: &UnrulyTable, worker: &str) -> Option<WorkerRow> {
    table.rows.get_worker(&worker.into()).await.unwrap()
}

/// Waits until the row of the worker says this.
async fn says(table: &UnrulyTable, worker: &str, keep_alive: KeepAlive) {
    wait_for_row(table, worker, |row| row.keep_alive == keep_alive).await;
}

async fn wait_for_row(table: &UnrulyTable, worker: &str, wanted: impl Fn(&WorkerRow) -> bool) {
    let is_so = async || row_of(table, worker).await.is_some_and(|row| wanted(&row));
    fleet::wait_for("the row of a worker", is_so).await;
}

fn start(
    stream: &MemoryStream,
    table: &UnrulyTable,
    id: &str,
    with: impl Fn(Builder) -> Builder + Send + 'static,
) -> Run {
    let id = id.to_owned();
    Fleet::new(stream, table)
        .with(move |builder| with(builder.worker_id(id).failover(F).liveness(Liveness::Auto)))
        .start(Script::default())
}

fn renewals(table: &UnrulyTable) -> usize {
    let all = table.written();
    all.iter()
        .filter(|write| matches!(write.change, Change::Renew))
        .count()
}

/// Waits for so many heartbeats of the worker.
async fn beats(table: &UnrulyTable, worker: &str, number: u64) {
    let before = row_of(table, worker).await.map_or(0, |row| row.counter);
    wait_for_row(table, worker, |row| row.counter >= before + number).await;
}

#[tokio::test]
async fn a_quiet_lease_costs_no_write() {
    let (stream, table) = (MemoryStream::new("orders", 8), UnrulyTable::new());
    let run = start(&stream, &table, "w", |builder| builder);
    wait_for(&table, "the leases", |rows| count(rows, "w") == 8).await;
    says(&table, "w", KeepAlive::Heartbeats).await;
    // Each lease is renewed once after that, to go over.
    beats(&table, "w", 2).await;
    let (before, counters) = (renewals(&table), rows(&table).await);
    beats(&table, "w", 6).await;
    assert_eq!(renewals(&table), before);
    assert_eq!(
        rows(&table).await,
        counters,
        "nothing has moved for two failover times"
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_to_be_compatible_moves_every_counter() {
    let (stream, table) = (MemoryStream::new("orders", 2), UnrulyTable::new());
    let run = start(&stream, &table, "w", |builder| {
        builder.liveness(Liveness::Compatible)
    });
    wait_for(&table, "the leases", |rows| count(rows, "w") == 2).await;
    says(&table, "w", KeepAlive::Heartbeats).await;
    beats(&table, "w", 2).await;
    let counters: Vec<u64> = rows(&table).await.iter().map(|row| row.counter).collect();
    wait_for(&table, "the counters", |rows| {
        rows.iter()
            .zip(&counters)
            .all(|(row, before)| row.counter > *before)
    })
    .await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn the_row_of_a_dead_worker_is_killed_before_its_leases_go() {
    let (stream, table) = (MemoryStream::new("orders", 3), UnrulyTable::new());
    let first = start(&stream, &table, "first", |builder| builder);
    wait_for(&table, "the first worker", |rows| count(rows, "first") == 3).await;
    says(&table, "first", KeepAlive::Heartbeats).await;
    first.crash().await;
    let second = start(&stream, &table, "second", |builder| builder);
    wait_for(&table, "the second worker", |rows| {
        count(rows, "second") == 3
    })
    .await;
    let row = row_of(&table, "first").await;
    assert!(
        row.is_none_or(|row| row.keep_alive == KeepAlive::Killed),
        "the row of the dead worker is killed, and deleted later"
    );
    // A Java KCL before 3.5 could not start on it.
    let is_gone = async || row_of(&table, "first").await.is_none();
    fleet::wait_for("the row of the dead worker to be deleted", is_gone).await;
    second.stop().await.unwrap();
}

/// Its heartbeats do not arrive, and everything else does.
#[tokio::test]
async fn a_worker_whose_heartbeats_fail_loses_its_leases() {
    let (stream, table) = (MemoryStream::new("orders", 3), UnrulyTable::new());
    let first = start(&stream, &table, "first", |builder| builder);
    wait_for(&table, "the first worker", |rows| count(rows, "first") == 3).await;
    says(&table, "first", KeepAlive::Heartbeats).await;
    table.set_worker_rule(|row| {
        if row.worker.as_str() == "first" && row.keep_alive != KeepAlive::Killed {
            Fault::LoseWrite
        } else {
            Fault::None
        }
    });
    let second = start(&stream, &table, "second", |builder| builder);
    wait_for(&table, "the second worker", |rows| {
        count(rows, "second") == 3
    })
    .await;
    let losses = || {
        let calls = first.seen.calls();
        let is_loss = |call: &Call| matches!(call, Call::LeaseLost { .. });
        calls.iter().filter(|(_, call)| is_loss(call)).count()
    };
    until("the first worker to lose its leases", || losses() == 3).await;
    // It works again under another incarnation.
    table.set_worker_rule(|_| Fault::None);
    wait_for(&table, "shares", |rows| count(rows, "first") >= 1).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// A worker of a version that knows only renewals would take what stands still.
#[tokio::test]
async fn beside_a_worker_without_heartbeats_each_lease_is_renewed() {
    let (stream, table) = (MemoryStream::new("orders", 2), UnrulyTable::new());
    let run = start(&stream, &table, "w", |builder| builder);
    wait_for(&table, "the leases", |rows| count(rows, "w") == 2).await;
    says(&table, "w", KeepAlive::Heartbeats).await;
    let mut old = WorkerRow::new("old".into(), "i".into(), F);
    table
        .rows
        .write_worker(&old.worker, None, Some(&old))
        .await
        .unwrap();
    let counters: Vec<u64> = rows(&table).await.iter().map(|row| row.counter).collect();
    let renews = |rows: &[Lease]| {
        rows.iter()
            .zip(&counters)
            .all(|(row, before)| row.counter >= before + 2)
    };
    loop {
        let next = old.next();
        table
            .rows
            .write_worker(&old.worker, Some(&old), Some(&next))
            .await
            .unwrap();
        old = next;
        if renews(&rows(&table).await) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    says(&table, "w", KeepAlive::Renewals).await;
    // It is gone: the heartbeats are enough again.
    table
        .rows
        .write_worker(&old.worker, Some(&old), None)
        .await
        .unwrap();
    says(&table, "w", KeepAlive::Heartbeats).await;
    run.stop().await.unwrap();
}

/// A lease is put back by its holder although that renews nothing.
#[tokio::test]
async fn a_row_that_was_deleted_is_put_back_with_its_checkpoint() {
    let (stream, table) = (MemoryStream::new("orders", 2), UnrulyTable::new());
    for number in 0..20 {
        stream
            .put(&format!("key-{number}"), format!("{number}"))
            .unwrap();
    }
    let audits = |builder: Builder| builder.audit_every(Duration::from_secs(1));
    let first = start(&stream, &table, "first", audits);
    let second = start(&stream, &table, "second", audits);
    wait_for(&table, "shares", |rows| {
        count(rows, "first") == 1
            && count(rows, "second") == 1
            && rows.iter().all(|row| row.checkpoint.position().is_some())
    })
    .await;
    says(&table, "first", KeepAlive::Heartbeats).await;
    says(&table, "second", KeepAlive::Heartbeats).await;
    beats(&table, "second", 2).await;
    for row in rows(&table).await {
        table
            .rows
            .delete(&row.key, &kcl_core::lease::Expect::default())
            .await
            .unwrap();
        wait_for(&table, "the row", |rows| rows.len() == 2).await;
        let again = table.rows.get(&row.key).await.unwrap().unwrap();
        assert_eq!((again.checkpoint, again.token), (row.checkpoint, row.token));
    }
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// No write of its holder would find it: the shard is quiet.
#[tokio::test]
async fn an_edited_checkpoint_of_a_quiet_lease_is_noticed() {
    let (stream, shard, sequences) = one_shard(3);
    let table = UnrulyTable::new();
    let run = start(&stream, &table, "w", |builder| builder);
    run.seen.wait_for_records(3).await;
    wait_for(&table, "the checkpoint", |rows| {
        rows.iter().all(|row| row.checkpoint == at(&sequences[2]))
    })
    .await;
    says(&table, "w", KeepAlive::Heartbeats).await;
    beats(&table, "w", 2).await;
    table.rows.edit(&LeaseKey::single(shard), |row| {
        row.checkpoint = at(&sequences[0]);
    });
    run.seen.wait_for_records(5).await;
    assert_eq!(run.seen.payloads(), ["0", "1", "2", "1", "2"]);
    run.stop().await.unwrap();
}

/// Its heartbeats would hold the lease for as long as the call lasts, although nobody reads the shard.
#[tokio::test]
async fn a_lease_that_is_lost_in_a_call_that_hangs_is_free() {
    let (stream, table) = (MemoryStream::new("orders", 2), UnrulyTable::new());
    let shards = stream.open_shards();
    let (open, gate) = tokio::sync::watch::channel(false);
    let hanging = Script::process(move |input| {
        let mut gate = gate.clone();
        async move {
            if input.records.iter().any(|record| record.data == "hang") {
                let _ = gate.wait_for(|open| *open).await;
            }
            Ok(())
        }
    });
    let id = "first".to_owned();
    let first = Fleet::new(&stream, &table)
        .with(move |builder| {
            let builder = builder.worker_id(id).failover(F);
            builder.liveness(Liveness::Auto)
        })
        .start(hanging);
    wait_for(&table, "the leases", |rows| count(rows, "first") == 2).await;
    says(&table, "first", KeepAlive::Heartbeats).await;
    stream.put_to(&shards[0], "k", "hang").unwrap();
    until("the call", || {
        first.seen.payloads().contains(&"hang".to_owned())
    })
    .await;
    table.set_worker_rule(|_| Fault::LoseWrite);
    let lost = |event: &Event| matches!(event, Event::LeaseLost { .. });
    until("the loss", || first.heard.count(lost) == 2).await;
    table.set_worker_rule(|_| Fault::None);
    beats(&table, "first", 1).await;
    let second = start(&stream, &table, "second", |builder| builder);
    wait_for(&table, "the shard of the call that hangs", |rows| {
        rows.iter().any(|row| {
            row.key.shard == shards[0]
                && row.actual_owner().is_some_and(|of| of.as_str() == "second")
        })
    })
    .await;
    open.send_replace(true);
    second.stop().await.unwrap();
    first.stop().await.unwrap();
}
