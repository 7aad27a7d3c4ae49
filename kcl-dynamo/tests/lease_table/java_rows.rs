//! Rows of the KCL 1.14, 2.7 and 3.5 with ends, children, prepared checkpoints and hand-overs, of
//! one stream and of several.

use std::collections::BTreeSet;

use kcl_core::lease::{LeaseTable as _, Write};
use kcl_core::model::{Checkpoint, Lease, LeaseKey, Pending, Position, SequenceNumber};
use kcl_dynamo::{Coexistence, DynamoLeaseTable, OpenOptions};
use serde_json::{Value, json};

use super::golden::{all, difference, items, names, raw, table_with};
use crate::support::Dynamo;

const KCL_1: &str = include_str!("../golden/kcl-1.14.10.json");
const KCL_2: &str = include_str!("../golden/kcl-2.7.2.json");
const KCL_2_STREAMS: &str = include_str!("../golden/kcl-2.7.2-multi-stream.json");
const KCL_3: &str = include_str!("../golden/kcl-3.5.1-hand-over.json");
const KCL_3_STREAMS: &str = include_str!("../golden/kcl-3.5.1-multi-stream.json");

const ALL: [&str; 5] = [KCL_1, KCL_2, KCL_2_STREAMS, KCL_3, KCL_3_STREAMS];

fn is_lease(item: &Value) -> bool {
    item.get("entityType")
        .is_none_or(|kind| kind["S"] == "LEASE")
}

fn leases(golden: &str) -> Vec<Value> {
    items(golden).into_iter().filter(is_lease).collect()
}

fn key_of(item: &Value) -> &str {
    item["leaseKey"]["S"].as_str().unwrap()
}

/// The lease that a row is read as.
async fn read(item: &Value) -> Lease {
    let (_, table) = table_with(std::slice::from_ref(item)).await;
    let mut found = all(&table).await;
    assert_eq!(found.leases.len(), 1, "{item}");
    found.leases.remove(0)
}

/// Takes a lease.
async fn taken(table: &DynamoLeaseTable, seen: &Lease) -> Lease {
    let write = Write::take(seen, "rust-1".into(), "token".into());
    table.update(&seen.key, &write).await.unwrap()
}

/// A set of the KCL's has no order.
fn sorted(item: &Value) -> Value {
    let mut item = item.clone();
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

#[tokio::test]
async fn each_row_is_written_as_the_java_worker_wrote_it() {
    for golden in ALL {
        for item in leases(golden) {
            let lease = read(&item).await;
            let (dynamo, table) = table_with(&[]).await;
            table.create(&lease).await.unwrap();
            let different = difference(&sorted(&item), &raw(&dynamo, key_of(&item)));
            // A kind came with the KCL 3.5; how much a shard carried is rounded to whole bytes.
            assert!(
                different
                    .keys()
                    .all(|name| ["entityType", "throughputKBps"].contains(&name.as_str())),
                "{different:?}"
            );
            if let Some((before, after)) = different.get("entityType") {
                assert_eq!((before, after), (&Value::Null, &json!({ "S": "LEASE" })));
            }
        }
    }
}

/// A tenancy of ours leaves everything else in a row as the Java worker wrote it.
#[tokio::test]
async fn a_tenancy_of_ours_keeps_what_the_java_worker_wrote() {
    for golden in ALL {
        for item in leases(golden) {
            let (dynamo, table) = table_with(std::slice::from_ref(&item)).await;
            let seen = all(&table).await.leases.remove(0);
            let send = async |write: Write| table.update(&seen.key, &write).await.unwrap();
            let row = taken(&table, &seen).await;
            let row = send(Write::renew(&row)).await;
            let row = send(Write::release(&row, None)).await;
            assert_eq!(row.owner, None);
            let after = raw(&dynamo, key_of(&item));
            let mut expected = vec!["leaseCounter", "leaseOwner", "ownerSwitchesSinceCheckpoint"];
            if item.get("checkpointOwner").is_some() {
                expected.insert(0, "checkpointOwner");
            }
            assert_eq!(
                names(&difference(&sorted(&item), &after)),
                expected,
                "{after}"
            );
            assert_eq!(
                after["leaseCounter"],
                json!({ "N": (seen.counter + 3).to_string() })
            );
        }
    }
}

/// A checkpoint that a Java worker prepared is read with its state and ends with the next
/// checkpoint.
#[tokio::test]
async fn a_checkpoint_prepared_by_a_java_worker_is_read() {
    for golden in ALL {
        let prepared: Vec<Value> = leases(golden)
            .into_iter()
            .filter(|item| item.get("pendingCheckpoint").is_some())
            .collect();
        assert!(!prepared.is_empty());
        for item in prepared {
            let (dynamo, table) = table_with(std::slice::from_ref(&item)).await;
            let seen = all(&table).await.leases.remove(0);
            // The KCL 1.14 keeps no state with it.
            let state = (golden != KCL_1).then(|| "halfway\u{e4}".into());
            let sequence: SequenceNumber = item["pendingCheckpoint"]["S"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let at = Checkpoint::from(Position::from(sequence));
            assert!(seen.checkpoint < at);
            assert_eq!(
                seen.pending,
                Some(Pending {
                    at: at.clone(),
                    state
                })
            );
            let row = taken(&table, &seen).await;
            let write = Write::checkpoint(&row, at);
            table.update(&row.key, &write).await.unwrap();
            let after = raw(&dynamo, key_of(&item));
            assert_eq!(after["checkpoint"], item["pendingCheckpoint"]);
            assert!(
                after
                    .as_object()
                    .unwrap()
                    .keys()
                    .all(|name| !name.starts_with("pending")),
                "{after}"
            );
        }
    }
}

#[tokio::test]
async fn ends_children_and_parents_are_read_as_java_workers_mean_them() {
    for golden in ALL {
        let mut found = Vec::new();
        for item in leases(golden) {
            found.push(read(&item).await);
        }
        let first_stream = found[0].key.stream.clone();
        assert_eq!(
            first_stream.is_some(),
            [KCL_2_STREAMS, KCL_3_STREAMS].contains(&golden)
        );
        let of_first: Vec<&Lease> = found
            .iter()
            .filter(|lease| lease.key.stream == first_stream)
            .collect();
        let shard = |number: usize| {
            let id = format!("shardId-{number:012}").into();
            let key = LeaseKey {
                stream: first_stream.clone(),
                shard: id,
            };
            *of_first.iter().find(|lease| lease.key == key).unwrap()
        };
        let named = |numbers: &[usize]| {
            numbers
                .iter()
                .map(|number| shard(*number).key.shard.clone())
                .collect::<BTreeSet<_>>()
        };
        // The shard 0 was split into 3 and 4; 1 and 2 were merged into 5.
        for (parent, children) in [(0, vec![3, 4]), (1, vec![5]), (2, vec![5])] {
            assert_eq!(shard(parent).checkpoint, Checkpoint::ShardEnd);
            assert_eq!(
                shard(parent)
                    .children
                    .iter()
                    .cloned()
                    .collect::<BTreeSet<_>>(),
                named(&children)
            );
        }
        for (child, parents) in [(3, vec![0]), (4, vec![0]), (5, vec![1, 2])] {
            assert_eq!(
                shard(child)
                    .parents
                    .iter()
                    .cloned()
                    .collect::<BTreeSet<_>>(),
                named(&parents)
            );
            assert!(shard(child).checkpoint.position().is_some());
            assert!(shard(child).hash_range.is_some());
        }
    }
}

/// A hand-over that a Java leader began has both owners and a take of ours ends it.
#[tokio::test]
async fn a_take_of_ours_ends_a_hand_over_that_a_java_leader_began() {
    for golden in [KCL_3, KCL_3_STREAMS] {
        let handed_over: Vec<Value> = leases(golden)
            .into_iter()
            .filter(|item| item.get("checkpointOwner").is_some())
            .collect();
        assert_eq!(handed_over.len(), 1);
        let (dynamo, table) = table_with(&handed_over).await;
        let seen = all(&table).await.leases.remove(0);
        assert_eq!(seen.owner, Some("java-2".into()));
        assert_eq!(seen.checkpoint_owner, Some("java-1".into()));
        let row = taken(&table, &seen).await;
        assert_eq!(
            (row.owner, row.checkpoint_owner),
            (Some("rust-1".into()), None)
        );
        assert!(
            raw(&dynamo, key_of(&handed_over[0]))
                .get("checkpointOwner")
                .is_none()
        );
    }
}

#[tokio::test]
async fn a_table_of_an_old_kcl_or_of_one_in_2x_mode_keeps_us_quiet() {
    for golden in ALL {
        let dynamo = Dynamo::new();
        let table = OpenOptions::new()
            .open_with_client(&dynamo.client(), "application")
            .unwrap();
        table.setup().await.unwrap();
        for item in items(golden) {
            dynamo.ask(
                "PutItem",
                json!({ "TableName": "application", "Item": item }),
            );
        }
        table.setup().await.unwrap();
        assert_eq!(table.coexistence(), Coexistence::LeasesOnly);
    }
}
