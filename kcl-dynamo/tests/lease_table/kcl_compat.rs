//! Beside Java workers: what is written when, and when nothing is taken.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::Clock as _;
use kcl_core::lease::{Changed, Consistency, Error, LeaseTable as _, WorkerRow, Write};
use kcl_core::model::{Checkpoint, Lease, LeaseKey, Timestamp};
use kcl_dynamo::{Coexistence, DynamoLeaseTable, JavaWorkers, OpenOptions};
use serde_json::{Value, json};

use crate::support::{Dynamo, Fault, TimerClock};

pub(super) const COMPATIBLE: &str = include_str!("../golden/kcl-3.5.1-compatible-with-2x.json");

pub(super) const TWO_WORKERS: &str = include_str!("../golden/kcl-3.5.1-two-workers.json");

pub(super) fn items(golden: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(golden).unwrap();
    golden["items"].as_array().unwrap().clone()
}

/// Rows as they are while their writers are at work: metrics of this moment.
pub(super) fn at_work(mut items: Vec<Value>) -> Vec<Value> {
    for item in &mut items {
        if item["entityType"]["S"] == "WORKER_METRIC_STATS" {
            item["lut"]["N"] = seconds().to_string().into();
        }
    }
    items
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a Java worker would write now"
)]
pub(super) fn seconds() -> i64 {
    Timestamp::from(std::time::SystemTime::now()).as_millis() / 1000
}

pub(super) fn table_of(dynamo: &Dynamo, table: &str, key: &str) {
    let body = json!({
        "TableName": table, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": key, "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": key, "AttributeType": "S" }],
    });
    dynamo.ask("CreateTable", body);
}

pub(super) fn with(items: &[Value]) -> Dynamo {
    let dynamo = Dynamo::new();
    table_of(&dynamo, "application", "leaseKey");
    put(&dynamo, items);
    dynamo
}

pub(super) fn put(dynamo: &Dynamo, items: &[Value]) {
    for item in items {
        dynamo.ask(
            "PutItem",
            json!({ "TableName": "application", "Item": item }),
        );
    }
}

pub(super) fn rows(dynamo: &Dynamo) -> Vec<Value> {
    let mut rows = dynamo.ask("Scan", json!({ "TableName": "application" }))["Items"]
        .as_array()
        .unwrap()
        .clone();
    rows.sort_by_key(|row| row["leaseKey"]["S"].to_string());
    rows
}

fn kinds(dynamo: &Dynamo) -> Vec<String> {
    let mut kinds: Vec<String> = rows(dynamo)
        .iter()
        .map(|row| row["entityType"]["S"].as_str().unwrap_or("-").to_owned())
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

pub(super) fn old_lease() -> Value {
    json!({
        "leaseKey": { "S": "shardId-000000000000" }, "leaseOwner": { "S": "java-1" }, "leaseCounter": { "N": "5" },
        "ownerSwitchesSinceCheckpoint": { "N": "0" }, "checkpoint": { "S": "TRIM_HORIZON" },
        "checkpointSubSequenceNumber": { "N": "0" },
    })
}

pub(super) fn lease() -> Lease {
    let row = Lease::new(
        LeaseKey::single("shardId-000000000009"),
        Checkpoint::TrimHorizon,
    );
    row.owned_by("rust-1".into(), "token".into())
}

pub(super) fn leader(version: &str) -> Value {
    json!({ "leaseKey": { "S": "Leader" }, "entityType": { "S": "LEADER" }, "recordVersionNumber": { "S": version } })
}

pub(super) fn open(dynamo: &Dynamo, options: OpenOptions) -> DynamoLeaseTable {
    options
        .open_with_client(&dynamo.client(), "application")
        .unwrap()
}

pub(super) fn worker() -> WorkerRow {
    worker_named("rust-1")
}

fn worker_named(name: &str) -> WorkerRow {
    WorkerRow::new(name.into(), "incarnation-1".into(), Duration::from_secs(10))
}

pub(super) async fn take(table: &DynamoLeaseTable) -> Result<Lease, Error> {
    let seen = table
        .scan(None, Consistency::Strong)
        .await
        .unwrap()
        .leases
        .remove(0);
    let write = Write::take(&seen, "rust-1".into(), "token".into());
    table.update(&seen.key, &write).await
}

/// A worker's life: its row comes, shows life, leaves, and it announces what it does.
pub(super) async fn live(table: &DynamoLeaseTable) {
    let first = worker();
    table
        .write_worker(&first.worker, None, Some(&first))
        .await
        .unwrap();
    assert!(matches!(
        table.write_worker(&first.worker, None, Some(&first)).await,
        Err(Error::Conflict { .. })
    ));
    table
        .write_worker(&first.worker, Some(&first), Some(&first.next()))
        .await
        .unwrap();
    assert!(matches!(
        table
            .write_worker(&first.worker, Some(&first), Some(&first.next()))
            .await,
        Err(Error::Conflict { .. })
    ));
    assert_eq!(
        table.get_worker(&first.worker).await.unwrap(),
        Some(first.next())
    );
    let found = table.scan(None, Consistency::Strong).await.unwrap();
    let listed: &[WorkerRow] = if table.coexistence() == Coexistence::Exclusive {
        &[first.next()]
    } else {
        &[]
    };
    assert_eq!(
        found.workers, listed,
        "without rows in the table nobody is listed"
    );
    table
        .announce(&[Changed::Worker(first.worker.clone())])
        .await
        .unwrap();
    table.change_signal().await.unwrap();
}

/// Where a KCL before 3.5 may read the table, no row beside leases is written.
#[tokio::test]
async fn where_an_old_kcl_may_read_only_leases_are_written() {
    let coordinator = |dynamo: &Dynamo| table_of(dynamo, "application-CoordinatorState", "key");
    let nothing = |_: &Dynamo| {};
    let twice = |version: &str| {
        let migration = json!({ "leaseKey": { "S": "Migration3.0" }, "entityType": { "S": "CLIENT_VERSION_MIGRATION" }, "cv": { "S": version } });
        vec![migration]
    };
    type Case<'a> = (&'static str, Vec<Value>, &'a dyn Fn(&Dynamo));
    let cases: [Case<'_>; 5] = [
        ("a lease without a kind", vec![old_lease()], &nothing),
        ("a fleet in 2.x mode", at_work(items(COMPATIBLE)), &nothing),
        (
            "a fleet in 2.x mode that has stopped",
            items(COMPATIBLE),
            &nothing,
        ),
        (
            "a fleet that was rolled back",
            twice("CLIENT_VERSION_2X"),
            &nothing,
        ),
        (
            "the tables of a KCL from 3.0 to 3.4",
            items(TWO_WORKERS),
            &coordinator,
        ),
    ];
    for (what, items, prepare) in cases {
        let dynamo = with(&items);
        prepare(&dynamo);
        let table = open(&dynamo, OpenOptions::new());
        table.setup().await.unwrap();
        assert_eq!(table.coexistence(), Coexistence::LeasesOnly, "{what}");
        let before = rows(&dynamo);
        dynamo.take_calls();
        live(&table).await;
        assert_eq!(rows(&dynamo), before, "{what}");
        assert!(
            dynamo
                .take_calls()
                .iter()
                .all(|call| ["Scan", "DeleteItem"].contains(&call.operation.as_str())),
            "{what}"
        );
        table
            .write_worker(&worker().next().worker, Some(&worker().next()), None)
            .await
            .unwrap();
        assert_eq!(table.get_worker(&worker().worker).await.unwrap(), None);
        // Leases are shared.
        if before.iter().any(|row| row["checkpoint"].is_object()) {
            take(&table).await.unwrap();
        }
    }
}

/// Where nobody else is, the rows of workers are those of the KCL with a mark of ours.
#[tokio::test]
async fn worker_rows_are_the_kcls_with_a_mark_of_ours() {
    for items in [Vec::new(), items(TWO_WORKERS)] {
        let dynamo = with(&items);
        let table = open(&dynamo, OpenOptions::new());
        table.setup().await.unwrap();
        assert_eq!(table.coexistence(), Coexistence::Exclusive);
        let before = seconds();
        live(&table).await;
        let row = rows(&dynamo)
            .into_iter()
            .find(|row| row["leaseKey"]["S"] == "rust-1")
            .unwrap();
        assert_eq!(row["entityType"]["S"], "WORKER_METRIC_STATS");
        assert_eq!(
            (&row["sts"], &row["opr"]),
            (&json!({ "M": {} }), &json!({ "M": {} }))
        );
        assert_eq!(row["sup"]["N"], "1");
        for attribute in ["lut", "slu"] {
            let at: i64 = row[attribute]["N"].as_str().unwrap().parse().unwrap();
            assert!((before..=before + 60).contains(&at), "{attribute} is {at}");
        }
        assert_eq!(row["rsIncarnation"]["S"], "incarnation-1");
        assert!(kinds(&dynamo).contains(&"RS_FLEET".to_owned()));

        let removed = table.retire().await.unwrap();
        assert_eq!(removed, 2);
        assert_eq!(
            rows(&dynamo).len(),
            items.len(),
            "what is left is as it was"
        );
    }
}

/// A worker that leaves is gone for a leader of the KCL before its first lease is free.
#[tokio::test(start_paused = true)]
async fn a_leaving_worker_is_gone_for_a_kcl_before_a_lease_is_free() {
    let dynamo = with(&[]);
    let table = open(
        &dynamo,
        OpenOptions::new().clock(Arc::new(TimerClock::new())),
    );
    table.setup().await.unwrap();
    let (row, lease) = (
        worker(),
        Lease::new(
            LeaseKey::single("shardId-000000000009"),
            Checkpoint::TrimHorizon,
        ),
    );
    table
        .write_worker(&row.worker, None, Some(&row))
        .await
        .unwrap();
    let held = table
        .create(&lease.owned_by("rust-1".into(), "token".into()))
        .await
        .unwrap();
    dynamo.take_calls();
    dynamo.fault("UpdateItem", Fault::DoneLate(Duration::from_millis(700)));
    let (leaving, release) = (row.leaving(), Write::release(&held, None));
    let leave = table.write_worker(&row.worker, Some(&row), Some(&leaving));
    let (left, released) = tokio::join!(leave, table.update(&held.key, &release));
    left.unwrap();
    released.unwrap();
    let keys: Vec<Value> = dynamo
        .take_calls()
        .iter()
        .map(|call| call.body["Key"]["leaseKey"]["S"].clone())
        .collect();
    assert_eq!(keys, ["rust-1", "shardId-000000000009"]);
    // Its rule: metrics that are older than 60 s are nobody's.
    let row = rows(&dynamo)
        .into_iter()
        .find(|row| row["leaseKey"]["S"] == "rust-1")
        .unwrap();
    for attribute in ["lut", "slu"] {
        assert_eq!(row[attribute]["N"], "0", "{row}");
    }
    table
        .write_worker(&leaving.worker, Some(&leaving), None)
        .await
        .unwrap();
    assert_eq!(rows(&dynamo).len(), 1);
}

/// The user's word that nobody is there counts more than old leases.
#[tokio::test]
async fn the_users_word_counts_more_than_old_leases() {
    let dynamo = with(&[old_lease()]);
    let table = open(
        &dynamo,
        OpenOptions::new().java_workers(JavaWorkers::Absent),
    );
    table.setup().await.unwrap();
    table.scan(None, Consistency::Strong).await.unwrap();
    assert_eq!(table.coexistence(), Coexistence::Exclusive);
    live(&table).await;
    assert!(kinds(&dynamo).contains(&"WORKER_METRIC_STATS".to_owned()));
}

/// Whatever a read finds that has to go, rows of ours where Java workers share the leases: a
/// heartbeat takes it away.
#[tokio::test(start_paused = true)]
async fn a_read_of_the_table_writes_nothing() {
    for (comes, coexistence) in [
        (vec![], Coexistence::Exclusive),
        (vec![old_lease()], Coexistence::LeasesOnly),
        (vec![leader("b")], Coexistence::KclLeads),
    ] {
        let dynamo = with(&[leader("a")]);
        let clock = TimerClock::new();
        let table = open(&dynamo, OpenOptions::new().clock(Arc::new(clock)));
        table.setup().await.unwrap();
        live(&table).await;
        put(&dynamo, &comes);
        let before = rows(&dynamo);
        dynamo.take_calls();
        for consistency in [
            Consistency::Strong,
            Consistency::Eventual,
            Consistency::Strong,
        ] {
            table.scan(None, consistency).await.unwrap();
            table.get(&lease().key).await.unwrap();
            table.get_worker(&worker().worker).await.unwrap();
            table.change_signal().await.unwrap();
            // The worker of the row is dead after its failover time.
            clock
                .sleep_until(clock.now() + Duration::from_secs(11))
                .await;
        }
        let reads = |call: &str| ["GetItem", "Scan"].contains(&call);
        assert!(
            dynamo
                .take_calls()
                .iter()
                .all(|call| reads(&call.operation)),
            "{coexistence:?}"
        );
        assert_eq!(rows(&dynamo), before, "{coexistence:?}");
        assert_eq!(table.coexistence(), coexistence);

        let other = worker_named("rust-2");
        table
            .write_worker(&other.worker, None, Some(&other))
            .await
            .unwrap();
        let ours = rows(&dynamo)
            .iter()
            .filter(|row| row["rsIncarnation"].is_object() || row["rsValue"].is_object())
            .count();
        assert_eq!(
            ours,
            if coexistence == Coexistence::Exclusive {
                3
            } else {
                0
            },
            "{coexistence:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn while_java_workers_may_share_the_leases_there_is_no_signal() {
    let dynamo = with(&[old_lease()]);
    let clock = TimerClock::new();
    let table = open(&dynamo, OpenOptions::new().clock(Arc::new(clock)));
    table.setup().await.unwrap();
    dynamo.take_calls();
    for _ in 0..100 {
        clock
            .sleep_until(clock.now() + Duration::from_millis(100))
            .await;
        assert_eq!(table.change_signal().await.unwrap(), None);
    }
    assert!(dynamo.take_calls().is_empty());
}

#[tokio::test]
async fn a_worker_whose_id_is_the_key_of_another_row_is_told_so() {
    let dynamo = with(&items(TWO_WORKERS));
    let table = open(&dynamo, OpenOptions::new());
    table.setup().await.unwrap();
    let before = rows(&dynamo);
    let row = worker_named("w1");
    for error in [
        table
            .write_worker(&row.worker, None, Some(&row))
            .await
            .unwrap_err(),
        table.get_worker(&row.worker).await.unwrap_err(),
    ] {
        assert!(
            !error.is_transient() && error.to_string().contains("`WORKER_METRIC_STATS`"),
            "{error}"
        );
    }
    // Where a name could be that of a row that there is one of, the key is another one.
    for name in ["Leader", "Migration3.0", "shardId-000000000000", "~fleet-0"] {
        let row = worker_named(name);
        table
            .write_worker(&row.worker, None, Some(&row))
            .await
            .unwrap();
        table
            .write_worker(&row.worker, Some(&row), Some(&row.next()))
            .await
            .unwrap();
        table
            .write_worker(&row.next().worker, Some(&row.next()), None)
            .await
            .unwrap();
    }
    assert_eq!(rows(&dynamo), before);
}
