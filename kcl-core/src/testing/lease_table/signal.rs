//! Change notifications, which tell workers which rows to read before their next scan.
//!
//! They are optional: nothing in the protocol depends on them, and every point of this file holds
//! for a table without them. But a table that has them must never claim less than what happened. A
//! worker that is told "nothing has changed" waits for its next scan, and a worker that gets hints
//! reads those rows and no others.

use crate::lease::{ChangeSignal, Changed, Consistency, Write};
use crate::model::{LeaseKey, WorkerId};

use super::TableFixture;
use super::check::{Table, put, send, two};
use super::rows::{free, held, key};

/// The announcements of a change to each of these leases.
fn leases(keys: &[LeaseKey]) -> Vec<Changed> {
    keys.iter().cloned().map(Changed::Lease).collect()
}

/// The signal, if the table has one. The points of this file hold for a table that has none: `None`
/// is an answer too, and workers then rely on their scans.
async fn signal(table: &Table) -> Option<ChangeSignal> {
    table.change_signal().await.expect("the change signal")
}

/// The value of the signal alone: two equal values mean that nothing was announced in between.
async fn value(table: &Table) -> Option<String> {
    signal(table).await.map(|signal| signal.value)
}

/// Checks what a handle sees of the signal after another one has announced this: another value, and
/// the changes since, unless the table has no hints.
///
/// Hints may be missing, but those that are there have to be complete: `since` returns either all
/// changes or `None`, which means "scan".
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
///
/// The same announcement twice changes the value twice: a lease may be released, taken and released
/// again within one interval of the readers.
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
///
/// Several workers in one process share a handle. A table that filters out what it announced itself
/// would leave them to their scans.
pub async fn the_signal_changes_with_own_announcements(fixture: &dyn TableFixture) {
    let (table, _) = two(fixture).await;
    assert_announced(&table, &table, &leases(&[held().key])).await;
    assert_announced(&table, &table, &leases(&[held().key])).await;
}

/// A reader that missed several announcements gets all of them.
///
/// Readers look every 500 ms by default, and in a stop or a reshard many rows change within that
/// time.
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
///
/// The workers of a fleet announce into the same place. A table that reads the list, adds to it and
/// writes it back without a condition loses one of two announcements: a lease that was released is
/// then found only by a scan.
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
///
/// If renewals changed it, every heartbeat of every lease would wake every worker, and the signal
/// would cost more than the scans that it replaces.
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
///
/// A store limits the size of a row, and every worker reads the signal once or twice a second. A table may
/// keep twice as many as it has to, to trim rarely.
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
