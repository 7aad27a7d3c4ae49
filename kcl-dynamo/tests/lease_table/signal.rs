//! The row of the change signal.

use kcl_core::lease::{ChangeSignal, Changed, LeaseTable as _};
use kcl_core::model::LeaseKey;
use kcl_dynamo::{DynamoLeaseTable, OpenOptions};
use serde_json::json;

use crate::support::{Dynamo, Fault};

async fn table() -> (Dynamo, DynamoLeaseTable) {
    let dynamo = Dynamo::new();
    let table = OpenOptions::new()
        .open_with_client(&dynamo.client(), "application")
        .unwrap();
    table.setup().await.unwrap();
    dynamo.take_calls();
    (dynamo, table)
}

fn lease(shard: &str) -> Changed {
    Changed::Lease(LeaseKey::single(shard))
}

#[tokio::test]
async fn what_was_announced_comes_back_as_it_was() {
    let (_, table) = table().await;
    table.announce(&[lease("shardId-0")]).await.unwrap();
    let seen = table.change_signal().await.unwrap().unwrap().value;
    let stream = LeaseKey {
        stream: Some("123456789012:orders:1700000000".into()),
        shard: "shardId-1".into(),
    };
    let changed = [
        Changed::Lease(stream),
        Changed::Worker("".into()),
        Changed::Worker("a worker\nof two lines: 1".into()),
    ];
    table.announce(&changed).await.unwrap();
    assert_eq!(
        table.change_signal().await.unwrap().unwrap().since(&seen),
        Some(changed.iter().collect())
    );
}

#[tokio::test]
async fn however_much_is_announced_a_reading_costs_half_a_unit() {
    let (dynamo, table) = table().await;
    let stream = "123456789012:a-stream-with-a-name-that-is-rather-long:1700000000";
    let key = |number: usize| LeaseKey {
        stream: Some(stream.into()),
        shard: format!("shardId-{number:012}").into(),
    };
    let mut seen = String::new();
    for round in 0..3 {
        let changed: Vec<Changed> = (0..64)
            .map(|number| Changed::Lease(key(64 * round + number)))
            .collect();
        table.announce(&changed).await.unwrap();
        dynamo.take_calls();
        let signal = table.change_signal().await.unwrap().unwrap();
        assert_eq!(dynamo.take_calls()[0].units, 0.5);
        assert!(
            (10..=ChangeSignal::RECENT).contains(&signal.recent.len()),
            "{}",
            signal.recent.len()
        );
        if round > 0 {
            assert_eq!(
                signal.since(&seen),
                None,
                "more was announced than is remembered: everything is looked at"
            );
        }
        seen = signal.value;
    }
}

#[tokio::test]
async fn an_announcement_among_too_many_hides_the_others_and_is_heard() {
    let (dynamo, table) = table().await;
    table.announce(&[lease("shardId-0")]).await.unwrap();
    let seen = table.change_signal().await.unwrap().unwrap().value;
    for _ in 0..16 {
        dynamo.fault(
            "UpdateItem",
            Fault::Refused(
                400,
                "ConditionalCheckFailedException",
                "The conditional request failed",
            ),
        );
    }
    table.announce(&[lease("shardId-1")]).await.unwrap();
    let signal = table.change_signal().await.unwrap().unwrap();
    assert_ne!(signal.value, seen);
    assert_eq!(signal.since(&seen), None);
}

#[tokio::test]
async fn a_signal_that_cannot_be_read_is_said() {
    let (dynamo, table) = table().await;
    let row = json!({ "leaseKey": { "S": "~fleet-0" }, "rsValue": { "S": "a" }, "rsRecent": { "L": [{ "S": "nothing" }] } });
    dynamo.ask(
        "PutItem",
        json!({ "TableName": "application", "Item": row }),
    );
    let error = table.change_signal().await.unwrap_err().to_string();
    assert!(
        error.contains("`rsRecent`") && error.contains("~fleet-0"),
        "{error}"
    );
}
