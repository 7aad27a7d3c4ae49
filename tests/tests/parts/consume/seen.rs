//! What is counted of the records of a process, and who waits for it.

use std::time::Duration;

use examples::consume::Seen;
use kcl_core::model::{RawRecord, Record, SequenceNumber};

fn records(sequences: impl IntoIterator<Item = u128>) -> Vec<Record> {
    let record = |sequence| {
        Record::from(RawRecord::new(
            SequenceNumber::from_u128(sequence),
            "key",
            "12345",
        ))
    };
    sequences.into_iter().map(record).collect()
}

#[test]
fn a_repeated_record_is_a_duplicate_only_on_its_own_shard() {
    let seen = Seen::default();
    let (first, second) = (seen.shard(&"a".into()), seen.shard(&"b".into()));
    seen.count(&first, &records(1..=10));
    seen.count(&second, &records(5..=6));
    assert_eq!(seen.duplicates(), 0);
    // The shard is acquired again and continues from an older checkpoint.
    seen.count(&seen.shard(&"a".into()), &records(8..=12));
    assert_eq!(
        (seen.records(), seen.bytes(), seen.duplicates()),
        (17, 85, 3)
    );
    seen.count(&first, &records(13..=13));
    assert_eq!(seen.duplicates(), 3);
}

#[tokio::test]
async fn who_waits_for_records_or_for_quiet_is_woken() {
    let seen = Seen::default();
    let shard = seen.shard(&"a".into());
    seen.count(&shard, &records(1..=3));
    seen.reached(Some(3)).await;
    seen.idle(Some(Duration::from_millis(20))).await;
}
