//! The comparison of the shards with the leases, from time to time: what it deletes, and what it
//! tells.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{
    Fleet, Gate, HookedStream, Run, Script, UnrulyTable, lease_of, one_shard, until, wait_for_lease,
};
use kcl_core::InitialPosition;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Expect, LeaseTable};
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::Event;

fn start(stream: &MemoryStream, table: &MemoryLeaseTable) -> Run {
    Fleet::new(stream, table)
        .with(|builder| builder.audit_every(Duration::from_secs(1)))
        .start(Script::default())
}

/// Waits until two comparisons more were begun: then one was done.
async fn wait_for_an_audit(stream: &MemoryStream) {
    let before = stream.call_count(Operation::ListShards, None);
    until("two audits more", || {
        stream.call_count(Operation::ListShards, None) >= before + 2
    })
    .await;
}

/// The stream, whose shards are listed so often at once and then when the gate is open, and whether
/// that has been asked for.
fn listing_waits_at(
    gate: &Gate,
    stream: &MemoryStream,
    at_once: u64,
) -> (HookedStream, Arc<AtomicBool>) {
    let slow = HookedStream::new(stream);
    let (gate, asked, listings) = (
        gate.clone(),
        Arc::new(AtomicBool::new(false)),
        AtomicU64::new(0),
    );
    let asks = Arc::clone(&asked);
    slow.before(move |operation, _| {
        let waits = operation == Operation::ListShards
            && listings.fetch_add(1, Ordering::SeqCst) >= at_once;
        let (open, asks) = (gate.pass(), Arc::clone(&asks));
        async move {
            if waits {
                asks.store(true, Ordering::SeqCst);
                open.await;
            }
        }
    });
    (slow, asked)
}

#[tokio::test]
async fn a_finished_row_stays_while_its_shard_is_listed() {
    let (stream, parent, _) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = start(&stream, &table);
    run.seen.wait_for_records(3).await;
    let children = stream.split_evenly(&parent).unwrap();
    wait_for_lease(&table, &parent, |row| {
        row.checkpoint == Checkpoint::ShardEnd
    })
    .await;
    for child in &children {
        stream.put_to(child, "k", "of a child").unwrap();
    }
    run.seen.wait_for_records(5).await;
    wait_for_an_audit(&stream).await;
    assert_eq!(
        lease_of(&table, &parent).await.checkpoint,
        Checkpoint::ShardEnd,
        "it is listed still"
    );
    stream.drop_shard(&parent).unwrap();
    let key = LeaseKey::single(parent.clone());
    crate::support::soon("the row to be deleted", async {
        while table.get(&key).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for child in &children {
        assert!(
            lease_of(&table, child).await.owner.is_some(),
            "what is not finished stays"
        );
        stream.put_to(child, "k", "of a child").unwrap();
    }
    run.seen.wait_for_records(7).await;
    assert_eq!(run.seen.duplicates(), 0);
    assert!(
        table.get(&key).await.unwrap().is_none(),
        "and it is not made anew"
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn unread_hash_keys_of_an_open_shard_are_reported_once() {
    let stream = MemoryStream::new("orders", 2);
    let table = MemoryLeaseTable::new();
    let run = start(&stream, &table);
    run.seen.wait_for_initialized(2).await;
    wait_for_an_audit(&stream).await;
    let told = |event: &Event| matches!(event, Event::HashKeysUnread { .. });
    assert_eq!(run.heard.count(told), 0, "all is read");
    let [low, _] = <[_; 2]>::try_from(stream.shards()).unwrap();
    // Somebody sets a row to the end of its shard, which is open.
    table.edit(&LeaseKey::single(low.id.clone()), |row| {
        row.checkpoint = Checkpoint::ShardEnd;
        row.counter += 1;
        (row.owner, row.token) = (None, None);
    });
    run.heard
        .wait_for("the keys to be told", |event| {
            matches!(event, Event::HashKeysUnread { stream, ranges } if stream.name() == "orders" && *ranges == [low.hash_range])
        })
        .await;
    wait_for_an_audit(&stream).await;
    assert_eq!(run.heard.count(told), 1, "once");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn one_worker_compares_for_the_whole_fleet() {
    let stream = MemoryStream::new("orders", 3);
    let table = MemoryLeaseTable::new();
    let every = Duration::from_secs(3);
    let start = |id: &str| {
        let id = id.to_owned();
        Fleet::new(&stream, &table)
            .with(move |builder| builder.worker_id(id).audit_every(every))
            .start(Script::default())
    };
    let fleet = [start("first"), start("second"), start("third")];
    for run in &fleet {
        run.heard
            .wait_for("the start", |event| matches!(event, Event::Started))
            .await;
    }
    let listings = || stream.call_count(Operation::ListShards, None);
    let before = listings();
    assert_eq!(before, 3, "each compares at its start");
    let begun = std::time::Instant::now();
    until("three audits more", || listings() >= before + 3).await;
    // If each did, three would come in one of these times.
    assert!(begun.elapsed() > every * 2, "{:?}", begun.elapsed());
    for run in fleet {
        run.stop().await.unwrap();
    }
}

/// When the first leases begin at LATEST, children that appear while the shards are being listed
/// wait for their parents to end.
#[tokio::test]
async fn a_slow_listing_makes_no_children_of_the_first_leases() {
    let (stream, table) = (MemoryStream::new("orders", 1), MemoryLeaseTable::new());
    let parent = stream.open_shards().remove(0);
    let (listing, handlers) = (Gate::new(), Gate::new());
    let (slow, asked) = listing_waits_at(&listing, &stream, 0);
    let late = Fleet::new(&slow, &table)
        .with(|builder| builder.initial_position(InitialPosition::Latest))
        .start(Script::default());
    until("its look at the empty table", || {
        asked.load(Ordering::SeqCst)
    })
    .await;
    let first = Fleet::new(&stream, &table)
        .with(|builder| builder.initial_position(InitialPosition::Latest))
        .start(handlers.processing());
    first
        .heard
        .wait_for("the first lease", |event| {
            matches!(event, Event::LeaseAcquired { .. })
        })
        .await;
    until("its first call", || {
        stream.call_count(Operation::Read, None) > 0
    })
    .await;
    stream.put_to(&parent, "k", "of the parent").unwrap();
    first.seen.wait_for_records(1).await;
    let children = stream.split_evenly(&parent).unwrap();
    for child in &children {
        stream.put_to(child, "k", "of a child").unwrap();
    }
    listing.open();
    until("its comparison", || {
        stream.call_count(Operation::ListShards, None) >= 2
    })
    .await;
    handlers.open();
    until("the children", || {
        first.seen.payloads().len() + late.seen.payloads().len() == 3
    })
    .await;
    for child in &children {
        assert_eq!(
            lease_of(&table, child).await.facts.start_at,
            None,
            "it begins at its first record"
        );
    }
    first.stop().await.unwrap();
    late.stop().await.unwrap();
}

/// The shard is read, and leaves the stream meanwhile.
#[tokio::test]
async fn a_slow_listing_starts_no_children_of_a_shard_that_left() {
    let (stream, table) = (MemoryStream::new("orders", 1), MemoryLeaseTable::new());
    let root = stream.open_shards().remove(0);
    let (listing, handlers) = (Gate::new(), Gate::new());
    let first = Fleet::new(&stream, &table).start(handlers.processing());
    wait_for_lease(&table, &root, |row| row.owner.is_some()).await;
    let (slow, asked) = listing_waits_at(&listing, &stream, 0);
    let late = Fleet::new(&slow, &table).start(Script::default());
    until("its look at a table with one lease", || {
        asked.load(Ordering::SeqCst)
    })
    .await;

    let [parent, _] = stream.split_evenly(&root).unwrap();
    stream.put_to(&parent, "k", "of the parent").unwrap();
    until("the parent's first call", || {
        stream.call_count(Operation::Read, Some(&parent)) > 0
    })
    .await;
    let children = stream.split_evenly(&parent).unwrap();
    for child in &children {
        stream.put_to(child, "k", "of a child").unwrap();
    }
    for left in [&root, &parent] {
        stream.drop_shard(left).unwrap();
    }
    listing.open();
    late.heard
        .wait_for("its comparison", |event| matches!(event, Event::Started))
        .await;
    for child in &children {
        assert!(
            table
                .get(&LeaseKey::single(child.clone()))
                .await
                .unwrap()
                .is_none(),
            "its parent is not done"
        );
    }
    handlers.open();
    until("the children", || {
        first.seen.payloads().len() + late.seen.payloads().len() == 3
    })
    .await;
    first.stop().await.unwrap();
    late.stop().await.unwrap();
}

/// The lease of the parent is made while the shards are being listed.
#[tokio::test]
async fn a_slow_listing_takes_no_new_parent_lease_for_gone() {
    let (stream, parent, _) = one_shard(1);
    let children = stream.split_evenly(&parent).unwrap();
    let table = UnrulyTable::new();
    for child in &children {
        stream.put_to(child, "k", "of a child").unwrap();
        let mut row = Lease::new(LeaseKey::single(child.clone()), Checkpoint::TrimHorizon);
        row.parents = vec![parent.clone()];
        table.rows.create(&row).await.unwrap();
    }
    let (listing, handlers) = (Gate::new(), Gate::new());
    let (slow, asked) = listing_waits_at(&listing, &stream, 1);
    let key = LeaseKey::single(parent.clone());
    let made_before =
        Lease::new(key.clone(), Checkpoint::TrimHorizon).owned_by("other".into(), "t".into());
    table.rows.create(&made_before).await.unwrap();
    let late = Fleet::new(&slow, &table).start(Script::default());
    until("its look at the parent's lease", || {
        table.reads_of(&key) > 0
    })
    .await;
    table.rows.delete(&key, &Expect::default()).await.unwrap();
    until("its look for the parent", || asked.load(Ordering::SeqCst)).await;

    let first = Fleet::new(&stream, &table.rows).start(handlers.processing());
    until("the parent's first call", || {
        stream.call_count(Operation::Read, Some(&parent)) > 0
    })
    .await;
    stream.drop_shard(&parent).unwrap();
    let before = table.reads_of(&key);
    listing.open();
    // One look of each child's gate that began after the listing was there, and so found the lease
    // or let the child through.
    until("its looks after the listing", || {
        table.reads_of(&key) >= before + 2 * children.len() as u64
            || late.seen.payloads().len() == children.len()
    })
    .await;
    assert_eq!(late.seen.payloads(), [""; 0], "the parent is not done");
    handlers.open();
    until("the children", || {
        first.seen.payloads().len() + late.seen.payloads().len() == 3
    })
    .await;
    first.stop().await.unwrap();
    late.stop().await.unwrap();
}

#[tokio::test]
async fn an_old_kcl_lease_gains_only_its_hash_key_range() {
    let stream = MemoryStream::new("orders", 3);
    let table = MemoryLeaseTable::new();
    let [held, free, ended] = <[_; 3]>::try_from(stream.shards()).unwrap();
    for shard in [&held, &free, &ended] {
        let end = if shard.id == ended.id {
            Checkpoint::ShardEnd
        } else {
            Checkpoint::TrimHorizon
        };
        let mut row = Lease::new(LeaseKey::single(shard.id.clone()), end);
        if shard.id == held.id {
            row = row.owned_by("java-1".into(), "of nobody here".into());
        }
        table.create(&row).await.unwrap();
    }
    let before = lease_of(&table, &held.id).await;
    let run = start(&stream, &table);
    for shard in [&held, &free] {
        wait_for_lease(&table, &shard.id, |row| {
            row.hash_range == Some(shard.hash_range)
        })
        .await;
    }
    let row = lease_of(&table, &held.id).await;
    // Nobody's life is shown by it.
    assert_eq!(
        (row.counter, &row.owner, &row.token),
        (before.counter, &before.owner, &before.token)
    );
    wait_for_an_audit(&stream).await;
    assert_eq!(
        lease_of(&table, &ended.id).await.hash_range,
        None,
        "nothing follows from it any more"
    );
    run.stop().await.unwrap();
}
