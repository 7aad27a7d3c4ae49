//! Rows that Java workers wrote, read and written by this table.

use std::collections::BTreeMap;

use kcl_core::lease::{Consistency, LeaseTable as _, ScanPage, Write};
use kcl_core::model::{
    Checkpoint, HashKeyRange, Lease, LeaseKey, Pending, Position, SequenceNumber, Throughput,
};
use kcl_dynamo::{Coexistence, DynamoLeaseTable, JavaWorkers, OpenOptions};
use serde_json::{Value, json};

use crate::support::Dynamo;

const FRESH: &str = include_str!("../golden/kcl-3.5.1-fresh-table.json");
const TWO_WORKERS: &str = include_str!("../golden/kcl-3.5.1-two-workers.json");
const COMPATIBLE: &str = include_str!("../golden/kcl-3.5.1-compatible-with-2x.json");

/// An item as a KCL 1.x or an early 2.x keeps it: no kind, no hash key range.
fn old_row() -> Value {
    json!({
        "leaseKey": { "S": "shardId-000000000007" },
        "leaseOwner": { "S": "java-1" },
        "leaseCounter": { "N": "812" },
        "ownerSwitchesSinceCheckpoint": { "N": "2" },
        "checkpoint": { "S": "49680422809885382548054078813628539987200795934472536066" },
        "checkpointSubSequenceNumber": { "N": "3" },
        "parentShardId": { "SS": ["shardId-000000000001"] },
    })
}

pub(super) fn items(golden: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(golden).unwrap();
    golden["items"].as_array().unwrap().clone()
}

/// A table with these items in it, as another program left it. The user says that nobody else is
/// there.
pub(super) async fn table_with(items: &[Value]) -> (Dynamo, DynamoLeaseTable) {
    let dynamo = Dynamo::new();
    let table = OpenOptions::new()
        .java_workers(JavaWorkers::Absent)
        .open_with_client(&dynamo.client(), "application")
        .unwrap();
    table.setup().await.unwrap();
    for item in items {
        dynamo.ask(
            "PutItem",
            json!({ "TableName": "application", "Item": item }),
        );
    }
    dynamo.take_calls();
    (dynamo, table)
}

pub(super) fn raw(dynamo: &Dynamo, key: &str) -> Value {
    let answer = dynamo.ask(
        "GetItem",
        json!({ "TableName": "application", "Key": { "leaseKey": { "S": key } } }),
    );
    let mut item = answer["Item"].clone();
    for set in ["parentShardId", "childShardIds"] {
        if let Some(names) = item
            .pointer_mut(&format!("/{set}/SS"))
            .and_then(Value::as_array_mut)
        {
            names.sort_by_key(ToString::to_string);
        }
    }
    item
}

/// The attributes that differ between two items: before and after.
pub(super) fn difference(before: &Value, after: &Value) -> BTreeMap<String, (Value, Value)> {
    let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
    let names = before.keys().chain(after.keys());
    let pair = |name: &String| {
        (
            before.get(name).cloned().unwrap_or_default(),
            after.get(name).cloned().unwrap_or_default(),
        )
    };
    names
        .map(|name| (name.clone(), pair(name)))
        .filter(|(_, (before, after))| before != after)
        .collect()
}

pub(super) fn names(difference: &BTreeMap<String, (Value, Value)>) -> Vec<&str> {
    difference.keys().map(String::as_str).collect()
}

pub(super) async fn all(table: &DynamoLeaseTable) -> ScanPage {
    table.scan(None, Consistency::Strong).await.unwrap()
}

/// Every lease of a Java worker is read and every other row is told apart.
#[tokio::test]
async fn java_leases_are_read_and_other_rows_told_apart() {
    for (golden, leases, kinds) in [
        (
            FRESH,
            4,
            vec!["CLIENT_VERSION_MIGRATION", "LEADER", "WORKER_METRIC_STATS"],
        ),
        (
            TWO_WORKERS,
            8,
            vec![
                "CLIENT_VERSION_MIGRATION",
                "LEADER",
                "WORKER_METRIC_STATS",
                "WORKER_METRIC_STATS",
            ],
        ),
        (
            COMPATIBLE,
            4,
            vec!["CLIENT_VERSION_MIGRATION", "WORKER_METRIC_STATS"],
        ),
    ] {
        let items = items(golden);
        let (_, table) = table_with(&items).await;
        let found = all(&table).await;
        assert_eq!(found.leases.len(), leases);
        let mut other_kinds: Vec<&str> = items
            .iter()
            .filter_map(|item| item["entityType"]["S"].as_str())
            .collect();
        other_kinds.retain(|kind| *kind != "LEASE");
        other_kinds.sort_unstable();
        assert_eq!(other_kinds, kinds);
        assert!(found.workers.is_empty() && found.malformed.is_empty());
    }
}

#[tokio::test]
async fn a_lease_of_a_java_worker_is_read_as_it_means_it() {
    let (_, table) = table_with(&items(TWO_WORKERS)).await;
    let lease = table
        .get(&LeaseKey::single("shardId-000000000002"))
        .await
        .unwrap()
        .unwrap();
    let sequence: SequenceNumber = "49680423300189566482948359143429017798895272550952075298"
        .parse()
        .unwrap();
    let mut expected = Lease::new(
        LeaseKey::single("shardId-000000000002"),
        Position::from(sequence).into(),
    );
    expected.owner = Some("w2".into());
    expected.counter = 56;
    let (start, end) = (
        85_070_591_730_234_615_865_843_651_857_942_052_864,
        127_605_887_595_351_923_798_765_477_786_913_079_295,
    );
    expected.hash_range = Some(HashKeyRange::new(start, end).unwrap());
    // 0.105317 of 1,024 bytes.
    expected.throughput = Some(Throughput {
        bytes: 108,
        records: 0,
    });
    assert_eq!(lease, expected);
}

#[tokio::test]
async fn a_lease_that_we_make_is_the_one_that_a_java_worker_makes() {
    for golden in [FRESH, TWO_WORKERS, COMPATIBLE] {
        for item in items(golden)
            .into_iter()
            .filter(|item| item["entityType"]["S"] == "LEASE")
        {
            let (_, theirs) = table_with(std::slice::from_ref(&item)).await;
            let lease = all(&theirs).await.leases.remove(0);
            let (dynamo, ours) = table_with(&[]).await;
            ours.create(&lease).await.unwrap();
            let made = raw(&dynamo, lease.key.shard.as_str());
            // How much a shard carried is rounded to whole bytes.
            let different = difference(&item, &made);
            assert!(
                different.keys().all(|name| name == "throughputKBps"),
                "{different:?}"
            );
        }
    }
}

/// Each write changes the attributes that the KCL changes and those of ours alone.
#[tokio::test]
async fn each_write_changes_the_kcls_attributes_and_ours_alone() {
    let item = items(TWO_WORKERS)
        .into_iter()
        .find(|item| item["leaseKey"]["S"] == "shardId-000000000002")
        .unwrap();
    for (item, kcl) in [(item, true), (old_row(), false)] {
        let (dynamo, table) = table_with(std::slice::from_ref(&item)).await;
        let seen = all(&table).await.leases.remove(0);
        let key = seen.key.clone();
        let shard = key.shard.to_string();
        let mut before = raw(&dynamo, &shard);
        let mut changed = |what: &str, expected: &[&str]| {
            let after = raw(&dynamo, &shard);
            assert_eq!(names(&difference(&before, &after)), expected, "{what}");
            before = after;
        };
        let send = async |write: Write| table.update(&key, &write).await.unwrap();

        let row = send(Write::take(&seen, "rust-1".into(), "token-1".into())).await;
        changed(
            "a take",
            &[
                "leaseCounter",
                "leaseOwner",
                "ownerSwitchesSinceCheckpoint",
                "rsHolder",
                "rsToken",
            ],
        );
        let row = send(Write::renew(&row)).await;
        changed("a renewal", &["leaseCounter"]);
        let prepared = Pending {
            at: Checkpoint::ShardEnd,
            state: Some(bytes::Bytes::from_static(b"state")),
        };
        let row = send(Write::prepare(&row, prepared)).await;
        changed(
            "a prepared checkpoint",
            &[
                "leaseCounter",
                "pendingCheckpoint",
                "pendingCheckpointState",
                "pendingCheckpointSubSequenceNumber",
            ],
        );
        let to = Position::new(
            "49680423300189566482948359143429017798895272550952075299"
                .parse()
                .unwrap(),
            4,
        );
        let row = send(Write::checkpoint(&row, to.into())).await;
        changed(
            "a checkpoint",
            &[
                "checkpoint",
                "checkpointSubSequenceNumber",
                "leaseCounter",
                "ownerSwitchesSinceCheckpoint",
                "pendingCheckpoint",
                "pendingCheckpointState",
                "pendingCheckpointSubSequenceNumber",
            ],
        );
        let row = send(Write::request(&row, "rust-2".into(), "rust-1".into())).await;
        changed("a request", &["checkpointOwner", "leaseOwner"]);
        let row = send(Write::pass_on(&row, "rust-1".into(), "rust-2".into(), None)).await;
        changed(
            "a passing on",
            &["checkpointOwner", "leaseCounter", "rsHolder", "rsToken"],
        );
        let row = send(Write::claim(&row, "rust-2".into(), "token-2".into())).await;
        changed("a claim", &["leaseCounter", "rsHolder", "rsToken"]);
        send(Write::hash_range(HashKeyRange::new(7, 9).unwrap())).await;
        changed("a hash key range", &["endingHashKey", "startingHashKey"]);
        let row = send(Write::end(&row, vec!["shardId-000000000020".into()])).await;
        changed(
            "an end",
            &[
                "checkpoint",
                "checkpointSubSequenceNumber",
                "childShardIds",
                "leaseCounter",
                "leaseOwner",
                "rsHolder",
                "rsToken",
            ],
        );
        let after = raw(&dynamo, &shard);
        assert_eq!(after["checkpoint"], json!({ "S": "SHARD_END" }));
        assert_eq!(after["checkpointSubSequenceNumber"], json!({ "N": "0" }));
        assert_eq!(
            after["childShardIds"],
            json!({ "SS": ["shardId-000000000020"] })
        );
        assert_eq!(
            after["throughputKBps"], item["throughputKBps"],
            "what the KCL keeps for itself"
        );
        assert_eq!(
            after["entityType"], item["entityType"],
            "a kind is never added to a row, as in the KCL"
        );
        assert_eq!(after["parentShardId"], item["parentShardId"]);
        assert_eq!(kcl, after["entityType"].is_object());
        table.delete(&key, &Write::delete(&row)).await.unwrap();
        assert_eq!(raw(&dynamo, &shard), Value::Null);
    }
}

/// A lease of several streams has the attributes by which the KCL finds its stream.
#[tokio::test]
async fn a_lease_of_several_streams_names_its_stream_as_the_kcl() {
    let (dynamo, table) = table_with(&[]).await;
    let key = LeaseKey {
        stream: Some("123456789012:orders:1700000000".into()),
        shard: "shardId-000000000000".into(),
    };
    let lease =
        Lease::new(key.clone(), Checkpoint::TrimHorizon).owned_by("rust-1".into(), "t".into());
    let row = table.create(&lease).await.unwrap();
    let text = "123456789012:orders:1700000000:shardId-000000000000";
    let made = raw(&dynamo, text);
    assert_eq!(
        made["streamName"],
        json!({ "S": "123456789012:orders:1700000000" })
    );
    assert_eq!(made["shardId"], json!({ "S": "shardId-000000000000" }));
    // A row that lost them is whole again with the next checkpoint, as with the KCL's.
    let body = json!({ "TableName": "application", "Key": { "leaseKey": { "S": text } }, "UpdateExpression": "REMOVE streamName, shardId" });
    dynamo.ask("UpdateItem", body);
    let to = Position::from(SequenceNumber::from_u128(5));
    let write = Write::checkpoint(&row, to.into());
    table.update(&key, &write).await.unwrap();
    assert_eq!(raw(&dynamo, text)["streamName"], made["streamName"]);
    assert_eq!(raw(&dynamo, text)["shardId"], made["shardId"]);
}

/// A missing sub-sequence number is 0 and stands in no checkpoint's way.
#[tokio::test]
async fn a_missing_sub_sequence_number_is_0() {
    let mut item = old_row();
    item.as_object_mut()
        .unwrap()
        .remove("checkpointSubSequenceNumber");
    item.as_object_mut()
        .unwrap()
        .remove("ownerSwitchesSinceCheckpoint");
    let (_, table) = table_with(&[item]).await;
    let row = all(&table).await.leases.remove(0);
    assert_eq!(
        row.checkpoint
            .position()
            .map(|position| position.sub_sequence),
        Some(0)
    );
    let write = Write::take(&row, "rust-1".into(), "t".into());
    let row = table.update(&row.key, &write).await.unwrap();
    assert_eq!(row.owner_switches, 1);
    let write = Write::checkpoint(&row, row.checkpoint.clone());
    table.update(&row.key, &write).await.unwrap();
}

/// A broken lease hides no other and is named when it is asked for.
#[tokio::test]
async fn a_broken_lease_hides_no_other_and_is_named() {
    let mut broken = old_row();
    broken["checkpoint"] = json!({ "S": "somewhere" });
    let mut items = items(FRESH);
    items.push(broken);
    let (_, table) = table_with(&items).await;
    let found = all(&table).await;
    assert_eq!(found.leases.len(), 4);
    let key = LeaseKey::single("shardId-000000000007");
    assert_eq!(
        found
            .malformed
            .iter()
            .filter_map(|row| row.lease())
            .collect::<Vec<_>>(),
        [&key]
    );
    let error = table
        .get(&LeaseKey::single("shardId-000000000007"))
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "`checkpoint`",
        "shardId-000000000007",
        "`somewhere`",
        "SHARD_END",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

/// A row of another kind under the key of a lease is never written.
#[tokio::test]
async fn a_row_of_another_kind_under_a_lease_key_is_never_written() {
    let leader = items(FRESH)
        .into_iter()
        .find(|item| item["leaseKey"]["S"] == "Leader")
        .unwrap();
    let (dynamo, table) = table_with(std::slice::from_ref(&leader)).await;
    let key = LeaseKey::single("Leader");
    let lease = Lease::new(key.clone(), Checkpoint::TrimHorizon);
    let range = Write::hash_range(HashKeyRange::WHOLE);
    let errors = [
        table.create(&lease).await.unwrap_err(),
        table.update(&key, &range).await.unwrap_err(),
        table.get(&key).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("`LEADER`"), "{error}");
    }
    assert_eq!(raw(&dynamo, "Leader"), leader);
    assert_eq!(table.coexistence(), Coexistence::Exclusive);
}
