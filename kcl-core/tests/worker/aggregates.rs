//! A worker on a stream of aggregates: positions inside them, reshards over them, and what is no
//! aggregate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{
    Counters, Fleet, HookedStream, Script, lease_of, locked, payloads, until, wait_for_lease,
};
use kcl_core::ByteBudget;
use kcl_core::Failure;
use kcl_core::aggregate::{Aggregate, Aggregator};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, HashKeyRange, Position, Record, SequenceNumber, ShardId};
use kcl_core::stream::StartAt;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::{Checkpoints, OutOfRange};

/// An aggregate of user records with these numbers, each for the hash key that `hash_key` says.
fn aggregate(numbers: std::ops::Range<usize>, hash_key: impl Fn(usize) -> u128) -> Aggregate {
    let mut aggregator = Aggregator::new();
    for n in numbers {
        assert_eq!(
            aggregator.add(
                &format!("key-{n}"),
                Some(hash_key(n)),
                n.to_string().as_bytes()
            ),
            Ok(None)
        );
    }
    aggregator.finish().expect("there are numbers")
}

fn put(stream: &MemoryStream, shard: &ShardId, aggregate: Aggregate) -> SequenceNumber {
    stream
        .put_to(shard, &aggregate.partition_key, aggregate.data)
        .unwrap()
}

/// A stream of one shard with three aggregates of ten.
fn thirty() -> (MemoryStream, ShardId, Vec<SequenceNumber>) {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let sequences = (0..3)
        .map(|n| put(&stream, &shard, aggregate(n * 10..n * 10 + 10, |_| 0)))
        .collect();
    (stream, shard, sequences)
}

/// Processors that checkpoint at this position when it comes.
fn checkpoint_at(position: &Position) -> Script {
    let position = position.clone();
    Script::process(move |input| {
        let position = position.clone();
        async move {
            match input
                .records
                .iter()
                .find(|record| record.position == position)
            {
                Some(record) => Ok(input.checkpointer.checkpoint_at(record).await?),
                None => Ok(()),
            }
        }
    })
}

#[tokio::test]
async fn user_records_come_in_order_with_positions_of_their_own() {
    let (stream, shard, sequences) = thirty();
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(30).await;
    let seen = run.seen.clone();
    run.stop().await.unwrap();
    assert_eq!(seen.payloads(), payloads(0..30));
    assert_eq!(seen.duplicates(), 0);
    seen.assert_in_order();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::At(Position::new(sequences[2].clone(), 9))
    );
}

#[tokio::test]
async fn a_checkpoint_within_an_aggregate_resumes_at_its_next_record() {
    let (stream, shard, sequences) = thirty();
    let table = MemoryLeaseTable::new();
    let at = Position::new(sequences[1].clone(), 3);
    let fleet =
        || Fleet::new(&stream, &table).with(|builder| builder.checkpoints(Checkpoints::Manual));
    let run = fleet().start(checkpoint_at(&at));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::At(at.clone())
    })
    .await;
    run.crash().await;
    let run = fleet().start(Script::default());
    run.seen.wait_for_records(16).await;
    let seen = run.seen.clone();
    run.stop().await.unwrap();
    assert_eq!(seen.payloads(), payloads(14..30));
}

/// Also when it expires before any record came.
#[tokio::test]
async fn an_expired_iterator_skips_nothing_of_an_aggregate() {
    let (stream, shard, sequences) = thirty();
    let table = MemoryLeaseTable::new();
    let at = Position::new(sequences[1].clone(), 3);
    let fleet = |stream: &HookedStream| {
        Fleet::new(stream, &table).with(|builder| builder.checkpoints(Checkpoints::Manual))
    };
    let hooked = HookedStream::new(&stream);
    let run = fleet(&hooked).start(checkpoint_at(&at));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::At(at.clone())
    })
    .await;
    run.crash().await;

    let hooked = HookedStream::new(&stream);
    let (expires, expired) = (stream.clone(), AtomicBool::new(false));
    hooked.before(move |operation, _| {
        if operation == Operation::Read && !expired.swap(true, Ordering::SeqCst) {
            expires.expire_cursors();
        }
        std::future::ready(())
    });
    let run = fleet(&hooked).start(Script::default());
    run.seen.wait_for_records(16).await;
    let at_it = || StartAt::Sequence(sequences[1].clone());
    assert_eq!(
        hooked.opened(&shard),
        [at_it(), at_it()],
        "opened at the aggregate again, not behind it"
    );
    assert_eq!(run.seen.payloads(), payloads(14..30));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_page_that_was_done_before_is_passed_over() {
    let (stream, shard, sequences) = thirty();
    let table = MemoryLeaseTable::new();
    // One Kinesis record a page: the first page of the second run holds nothing new.
    let at = Position::new(sequences[0].clone(), 9);
    let fleet = || {
        Fleet::new(&stream, &table)
            .with(|builder| builder.checkpoints(Checkpoints::Manual).max_records(1))
    };
    let run = fleet().start(checkpoint_at(&at));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::At(at.clone())
    })
    .await;
    run.crash().await;
    let run = fleet().start(Script::default());
    run.seen.wait_for_records(20).await;
    assert_eq!(run.seen.payloads(), payloads(10..30));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn what_precedes_a_failure_within_an_aggregate_is_not_repeated() {
    let (stream, _, sequences) = thirty();
    let table = MemoryLeaseTable::new();
    let bad = Position::new(sequences[1].clone(), 3);
    let failed = Arc::new(AtomicBool::new(false));
    let script = Script::process(move |input| {
        let fails = input.records.iter().find(|record| record.position == bad);
        let result = match fails {
            Some(record) if !failed.swap(true, Ordering::SeqCst) => {
                Err(Failure::at(record, "not yet"))
            }
            _ => Ok(()),
        };
        std::future::ready(result)
    });
    let run = Fleet::new(&stream, &table).start(script);
    run.seen.wait_for_records(30 + 17).await;
    let batches = run.seen.batches_of(&stream.open_shards()[0]);
    assert!(
        batches
            .iter()
            .any(|(attempt, batch)| *attempt == 2 && batch[0] == "13"),
        "{batches:?}"
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_false_aggregate_comes_unchanged_and_is_checkpointed() {
    let (stream, shard, _) = thirty();
    let table = MemoryLeaseTable::new();
    let mut cut = aggregate(30..40, |_| 0).data.to_vec();
    cut.pop();
    stream.put_to(&shard, "key", cut).unwrap();
    let last = put(&stream, &shard, aggregate(40..42, |_| 0));
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(30 + 1 + 2).await;
    assert_eq!(run.seen.payloads()[31..], payloads(40..42));
    run.stop().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::At(Position::new(last, 1))
    );
    // It does not come again and again either.
    stream.put_to(&shard, "key", "more").unwrap();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    assert_eq!(run.seen.payloads(), ["more"]);
    run.stop().await.unwrap();
}

/// Magic, no message, and the digest of nothing.
fn empty_aggregate() -> Vec<u8> {
    let digest = 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e_u128;
    [&[0xf3, 0x89, 0x9a, 0xc2][..], &digest.to_be_bytes()].concat()
}

#[tokio::test]
async fn an_aggregate_without_records_is_no_record_and_stops_nothing() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let put = |data: Vec<u8>| stream.put_to(&shard, "k", data).unwrap();
    put(empty_aggregate());
    put(b"0".to_vec());
    put(empty_aggregate());
    let table = MemoryLeaseTable::new();
    // Small pages: some hold nothing else.
    let fleet = || Fleet::new(&stream, &table).with(|builder| builder.max_records(1));
    let run = fleet().start(Script::default());
    run.seen.wait_for_records(1).await;
    put(empty_aggregate());
    let last = put(b"1".to_vec());
    run.seen.wait_for_records(2).await;
    // The checkpoint passes it with what follows it.
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::At(last.clone().into())
    })
    .await;
    run.stop().await.unwrap();
    put(empty_aggregate());
    let run = fleet().start(Script::default());
    stream.split_evenly(&shard).unwrap();
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::ShardEnd
    })
    .await;
    assert_eq!(
        run.seen.payloads(),
        Vec::<String>::new(),
        "nothing comes again, and the shard ends behind it"
    );
    run.stop().await.unwrap();
}

/// A shard of the whole, split in its middle while an aggregate for both halves was on its way: it
/// lands in the lower child. What of it the upper child should have is what a KPL sends again.
async fn over_a_split(
    sends_again: bool,
    policy: OutOfRange,
) -> BTreeMap<String, Vec<(ShardId, bool)>> {
    let stream = MemoryStream::new("orders", 1);
    let whole = stream.open_shards().remove(0);
    let hash_key = |n: usize| if n.is_multiple_of(2) { 1 } else { u128::MAX };
    put(&stream, &whole, aggregate(0..10, hash_key));
    let [lower, upper] = stream.split_evenly(&whole).unwrap();
    put(&stream, &lower, aggregate(10..20, hash_key));
    if sends_again {
        let mut again = Aggregator::new();
        for n in (10..20).filter(|n| n % 2 == 1) {
            assert_eq!(
                again.add(
                    &format!("key-{n}"),
                    Some(hash_key(n)),
                    n.to_string().as_bytes()
                ),
                Ok(None)
            );
        }
        put(&stream, &upper, again.finish().unwrap());
    }
    // The ends of both children, so that there is something to wait for.
    for shard in [&lower, &upper] {
        stream.put_to(shard, "key", "end").unwrap();
    }
    let seen: Arc<Mutex<Vec<(ShardId, Record)>>> = Arc::default();
    let collected = Arc::clone(&seen);
    let script = Script::process(move |input| {
        locked(&collected).extend(
            input
                .records
                .iter()
                .map(|record| (input.shard.shard.clone(), record.clone())),
        );
        std::future::ready(Ok(()))
    });
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.out_of_range(policy))
        .start(script);
    until("the ends of both children", || {
        locked(&seen)
            .iter()
            .filter(|(_, record)| record.data == "end")
            .count()
            == 2
    })
    .await;
    run.stop().await.unwrap();
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for (shard, record) in locked(&seen)
        .iter()
        .filter(|(_, record)| record.data != "end")
    {
        let payload = String::from_utf8(record.data.to_vec()).unwrap();
        found
            .entry(payload)
            .or_default()
            .push((shard.clone(), record.out_of_range));
    }
    found
}

#[tokio::test]
async fn a_split_loses_nothing_and_flags_records_out_of_range() {
    let found = over_a_split(false, OutOfRange::HandOn).await;
    assert_eq!(found.len(), 20, "{found:?}");
    for (payload, times) in &found {
        let n: usize = payload.parse().unwrap();
        assert_eq!(times.len(), 1, "{payload}: {times:?}");
        assert_eq!(times[0].1, n >= 10 && n % 2 == 1, "{payload}: {times:?}");
    }
}

#[tokio::test]
async fn what_the_producer_sent_twice_comes_twice_and_is_flagged_once() {
    let found = over_a_split(true, OutOfRange::HandOn).await;
    assert_eq!(found.len(), 20, "{found:?}");
    for (payload, times) in &found {
        let n: usize = payload.parse().unwrap();
        let twice = n >= 10 && n % 2 == 1;
        assert_eq!(
            times.len(),
            if twice { 2 } else { 1 },
            "{payload}: {times:?}"
        );
        assert_eq!(
            times.iter().filter(|(_, flagged)| *flagged).count(),
            usize::from(twice),
            "{payload}: {times:?}"
        );
    }
}

/// Only the misplaced user records are dropped.
#[tokio::test]
async fn dropping_misplaced_records_loses_nothing_sent_again() {
    let found = over_a_split(true, OutOfRange::Drop).await;
    assert_eq!(found.len(), 20, "{found:?}");
    assert!(
        found.values().all(|times| times.len() == 1 && !times[0].1),
        "{found:?}"
    );
    let found = over_a_split(false, OutOfRange::Drop).await;
    let mut kept: Vec<usize> = found
        .keys()
        .map(|payload| payload.parse().unwrap())
        .collect();
    kept.sort_unstable();
    assert_eq!(kept, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18]);
}

#[tokio::test]
async fn a_page_of_which_everything_is_dropped_is_passed_over() {
    let stream = MemoryStream::new("orders", 2);
    let lower = stream.open_shards().remove(0);
    put(&stream, &lower, aggregate(0..5, |_| u128::MAX));
    put(&stream, &lower, aggregate(5..10, |_| 1));
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.out_of_range(OutOfRange::Drop).max_records(1))
        .start(Script::default());
    run.seen.wait_for_records(5).await;
    assert_eq!(run.seen.payloads(), payloads(5..10));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_dropped_where_the_range_of_the_shard_is_unknown() {
    use crate::support::Fault;
    use kcl_core::lease::{Change, LeaseTable};
    use kcl_core::model::{Lease, LeaseKey};
    let stream = MemoryStream::new("orders", 2);
    let lower = stream.open_shards().remove(0);
    put(&stream, &lower, aggregate(0..5, |_| u128::MAX));
    // A row as an old version of the KCL wrote it, which is not filled in before the lease is
    // taken.
    let table = crate::support::UnrulyTable::new();
    table.set_rule(|_, change| {
        if matches!(change, Some(Change::HashRange { .. })) {
            Fault::Throttle
        } else {
            Fault::None
        }
    });
    let row = Lease::new(LeaseKey::single(lower.clone()), Checkpoint::TrimHorizon);
    assert_eq!(row.hash_range, None::<HashKeyRange>);
    table.rows.create(&row).await.unwrap();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.out_of_range(OutOfRange::Drop))
        .start(Script::default());
    run.seen.wait_for_records(5).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn the_byte_budget_counts_expanded_user_records() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let fetched = aggregate(0..2000, |_| 0);
    let key_text: usize = (0..2000).map(|n| format!("key-{n}").len()).sum();
    let least = 2000 * size_of::<Record>() + fetched.data.len() + key_text;
    put(&stream, &shard, fetched);
    // Nothing follows: no permit for a next request hides what is counted for this page.
    stream.close(&shard).unwrap();
    let budget = ByteBudget::new(ByteBudget::DEFAULT).unwrap();
    let counted = Arc::new(AtomicU64::new(0));
    let (count, asked) = (Arc::clone(&counted), budget.clone());
    let script = Script::process(move |_| {
        count.fetch_max(asked.used() as u64, Ordering::SeqCst);
        std::future::ready(Ok(()))
    });
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.byte_budget(budget.clone()))
        .start(script);
    run.seen.wait_for_records(2000).await;
    until("the handler", || counted.load(Ordering::SeqCst) > 0).await;
    run.stop().await.unwrap();
    let counted = usize::try_from(counted.load(Ordering::SeqCst)).unwrap();
    assert!(
        (least..least + 1000).contains(&counted),
        "{counted} are counted, {least} are taken"
    );
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn aggregates_false_ones_and_misplaced_records_are_counted() {
    let counters = Counters::of_this_process();
    for (name, policy, handed_on) in [
        ("counted", OutOfRange::HandOn, 5 + 4 + 1),
        ("dropped", OutOfRange::Drop, 5 + 2 + 1),
    ] {
        let stream = MemoryStream::new(name, 2);
        let lower = stream.open_shards().remove(0);
        put(&stream, &lower, aggregate(0..5, |_| 1));
        put(
            &stream,
            &lower,
            aggregate(5..9, |n| if n < 7 { 1 } else { u128::MAX }),
        );
        let cut = aggregate(0..9, |_| 1).data.slice(..40);
        stream.put_to(&lower, "key", cut).unwrap();
        let run = Fleet::new(&stream, &MemoryLeaseTable::new())
            .with(|builder| builder.stream(name).out_of_range(policy))
            .start(Script::default());
        run.seen.wait_for_records(handed_on).await;
        assert_eq!(run.seen.records(), handed_on);
        run.stop().await.unwrap();
        assert_eq!(counters.of("kcl_aggregates_total", name), 2);
        assert_eq!(counters.of("kcl_corrupt_aggregates_total", name), 1);
        assert_eq!(counters.of("kcl_user_records_out_of_range_total", name), 2);
    }
}
