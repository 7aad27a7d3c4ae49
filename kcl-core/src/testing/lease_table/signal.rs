use crate::lease::{ChangeSignal, Changed, Consistency, Write};
use crate::model::{LeaseKey, WorkerId};

use super::TableFixture;
use super::check::{Table, put, send, two};
use super::rows::{free, held, key};

fn leases(keys: &[LeaseKey]) -> Vec<Changed> {
    keys.iter().cloned().map(Changed::Lease).collect()
}

/// The signal, if the table has one. The points of this file hold for a table that has none.
async fn signal(table: &Table) -> Option<ChangeSignal> {
    table.change_signal().await.expect("the change signal")
}

async fn value(table: &Table) -> Option<String> {
    signal(table).await.map(|signal| signal.value)
}

/// Checks what a handle sees of the signal after another one has announced this: another value, and
/// the changes since, unless the table has no hints.
async fn assert_announced(writer: &Table, reader: &Table, changed: &[Changed]) {
    let before = value(reader).await;
    writer.announce(changed).await.expect("announce");
    let (Some(before), Some(after)) = (before, signal(reader).await) else {
        return;
    };
    assert_ne!(after.value, before, "the signal did not change");
    if let Some(since) = after.since(&before) {
        assert_eq!(
            since,
            changed.iter().collect::<Vec<_>>(),
            "what was announced"
        );
    }
}

/// The signal that one handle reads has changed after another handle has announced something.
pub async fn the_signal_changes_with_the_announcements_of_others(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    assert_announced(&writer, &reader, &leases(&[held().key])).await;
    assert_announced(&writer, &reader, &leases(&[held().key])).await;
    assert_announced(
        &writer,
        &reader,
        &leases(&[key("shardId-1"), key("shardId-2")]),
    )
    .await;
    assert_announced(
        &writer,
        &reader,
        &[Changed::Worker(WorkerId::new("a new worker"))],
    )
    .await;
}

/// Workers that share a handle also see each other's announcements.
pub async fn the_signal_changes_with_own_announcements(fixture: &dyn TableFixture) {
    let (table, _) = two(fixture).await;
    assert_announced(&table, &table, &leases(&[held().key])).await;
    assert_announced(&table, &table, &leases(&[held().key])).await;
}

/// A reader that missed several announcements gets all of them.
pub async fn the_hints_reach_back_over_several_announcements(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    writer
        .announce(&leases(&[key("shardId-0")]))
        .await
        .expect("announce");
    let Some(seen) = value(&reader).await else {
        return;
    };
    let [first, second, third] =
        ["shardId-1", "shardId-2", "shardId-3"].map(|shard| leases(&[key(shard)]));
    for changed in [&first, &second, &first, &third] {
        writer.announce(changed).await.expect("announce");
    }
    let found = signal(&reader).await.expect("a signal that was there");
    if let Some(since) = found.since(&seen) {
        assert_eq!(since, [&first[0], &second[0], &third[0]]);
    }
}

/// A reader that read the signal before the first announcement gets the first announcements by
/// name: a worker that starts on an empty table next to the one that fills it finds its leases
/// without another scan.
pub async fn the_hints_reach_back_to_before_the_first_announcement(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    let Some(seen) = value(&reader).await else {
        return;
    };
    let [first, second] = ["shardId-1", "shardId-2"].map(|shard| leases(&[key(shard)]));
    for changed in [&first, &second] {
        writer.announce(changed).await.expect("announce");
        let found = signal(&reader).await.expect("a signal that was there");
        assert_ne!(found.value, seen);
        let heard = found
            .since(&seen)
            .is_some_and(|since| since.contains(&&changed[0]));
        assert!(
            heard || found.recent.is_empty(),
            "{changed:?} is not heard of by {found:?}"
        );
    }
}

/// No announcement is lost because of a simultaneous one.
pub async fn announcements_at_the_same_time_are_all_heard(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    writer
        .announce(&leases(&[key("shardId-0")]))
        .await
        .expect("announce");
    let Some(seen) = value(&reader).await else {
        return;
    };
    let all: Vec<_> = (1..=12)
        .map(|number| leases(&[key(&format!("shardId-{number:03}"))]))
        .collect();
    let calls = all.iter().enumerate().map(|(number, changed)| {
        let table = if number % 2 == 0 { &writer } else { &reader };
        table.announce(changed)
    });
    for answer in futures_util::future::join_all(calls).await {
        answer.expect("announce");
    }
    let found = signal(&reader).await.expect("a signal that was there");
    assert_ne!(found.value, seen);
    if let Some(since) = found.since(&seen) {
        assert_eq!(
            since,
            all.iter().map(|changed| &changed[0]).collect::<Vec<_>>()
        );
    }
}

/// Reads and renewals do not change the signal: equal values mean that nothing was announced.
pub async fn the_signal_stays_while_nobody_announces(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    put(&second, &held()).await;
    second
        .announce(&leases(&[held().key]))
        .await
        .expect("announce");
    let seen = [value(&table).await, value(&second).await];
    table.get(&free().key).await.expect("get");
    table.scan(None, Consistency::Strong).await.expect("scan");
    send(&second, &held().key, &Write::renew(&held()))
        .await
        .expect("renew");
    table.announce(&[]).await.expect("an empty announcement");
    assert_eq!([value(&table).await, value(&second).await], seen);
}

/// However much has changed, the number of hints is limited.
pub async fn the_hints_are_bounded(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    for number in 0..30 {
        let changed: Vec<_> = (0..5)
            .map(|part| key(&format!("shardId-{number:06}{part}")))
            .collect();
        writer.announce(&leases(&changed)).await.expect("announce");
    }
    let recent = signal(&reader)
        .await
        .map_or(0, |signal| signal.recent.len());
    assert!(recent <= 2 * ChangeSignal::RECENT, "{recent} hints");
}
