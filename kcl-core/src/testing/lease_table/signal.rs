use crate::lease::{Consistency, Write};
use crate::model::{Checkpoint, Lease, LeaseKey};

use super::TableFixture;
use super::check::{Table, put, send, two};
use super::rows::{free, held, key, shards};

/// What a handle sees of the signal after another one wrote to this lease and announced it.
async fn assert_signalled(what: &str, writer: &Table, reader: &Table, before: &str, key: &LeaseKey) -> String {
    writer.announce(std::slice::from_ref(key)).await.expect("announce");
    let after = reader.beacon().await.expect("beacon");
    assert_ne!(after.value, before, "the signal did not change after {what}");
    assert!(after.hints.is_empty() || after.hints.contains(key), "the hints lack what changed last");
    after.value
}

/// The signal that one handle reads is different after another one created, changed or deleted a lease and announced it.
pub async fn the_signal_changes_with_the_writes_of_others(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    let mut seen = reader.beacon().await.expect("beacon").value;
    put(&writer, &held()).await;
    seen = assert_signalled("a creation", &writer, &reader, &seen, &held().key).await;
    let row = send(&writer, &held().key, &Write::renew(&held())).await.expect("renew");
    seen = assert_signalled("an update", &writer, &reader, &seen, &row.key).await;
    let row = send(&writer, &row.key, &Write::end(&row, shards(&["c"]))).await.expect("end");
    seen = assert_signalled("another update", &writer, &reader, &seen, &row.key).await;
    writer.delete(&row.key, &Write::delete(&row)).await.expect("delete");
    assert_signalled("a delete", &writer, &reader, &seen, &row.key).await;
}

/// Workers that share a handle hear of each other too.
pub async fn the_signal_changes_with_writes_through_the_same_handle(fixture: &dyn TableFixture) {
    let (table, _) = two(fixture).await;
    let seen = table.beacon().await.expect("beacon").value;
    put(&table, &held()).await;
    let seen = assert_signalled("a creation", &table, &table, &seen, &held().key).await;
    let row = send(&table, &held().key, &Write::renew(&held())).await.expect("renew");
    assert_signalled("an update", &table, &table, &seen, &row.key).await;
}

/// Reading changes no signal: equal values mean that there is nothing to look at.
pub async fn the_signal_stays_while_nobody_writes(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    put(&second, &free()).await;
    second.announce(&[free().key]).await.expect("announce");
    let seen = [table.beacon().await.expect("beacon").value, second.beacon().await.expect("beacon").value];
    for _ in 0..3 {
        table.get(&free().key).await.expect("get");
        table.snapshot(None, Consistency::Strong).await.expect("snapshot");
        second.get(&key("shardId-missing")).await.expect("get");
        let now = [table.beacon().await.expect("beacon").value, second.beacon().await.expect("beacon").value];
        assert_eq!(now, seen);
    }
}

/// However many leases changed, the hints stay few.
pub async fn the_hints_are_bounded(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    for number in 0..40 {
        let row = Lease::new(key(&format!("shardId-{number:012}")), Checkpoint::TrimHorizon);
        put(&writer, &row).await;
        writer.announce(&[row.key]).await.expect("announce");
    }
    let hints = reader.beacon().await.expect("beacon").hints;
    assert!(hints.len() <= 32, "{} hints", hints.len());
}
