use proptest::prelude::*;

use super::*;
use crate::deaggregate::Deaggregator;
use crate::model::{RawRecord, Record, SequenceNumber};

const KIB: usize = 1024;

fn apart(aggregate: &Aggregate) -> Vec<Record> {
    let raw = RawRecord::new(
        SequenceNumber::from_u128(1),
        aggregate.partition_key.clone(),
        aggregate.data.clone(),
    );
    let apart = Deaggregator::new(None).take_apart(vec![raw]);
    assert_eq!(apart.corrupt, 0);
    apart.records
}

fn user_record() -> impl Strategy<Value = (String, Option<u128>, Vec<u8>)> {
    let key = prop_oneof![4 => "[a-d]", 1 => "\\PC{1,256}"];
    let hash_key = prop_oneof![4 => Just(None), 2 => (0_u128..4).prop_map(Some), 1 => any::<u128>().prop_map(Some)];
    let data = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(any::<u8>(), 2000..5000),
        1 => Just(crate::deaggregate::MAGIC.to_vec()),
    ];
    (key, hash_key, data)
}

proptest! {
    #[test]
    fn records_added_come_out_in_order_and_within_the_limits(
        records in prop::collection::vec(user_record(), 0..60), max_bytes in 64_usize..3000, max_records in 1_u64..20,
    ) {
        let limited = Aggregator::new().with_max_bytes(max_bytes).and_then(|limited| limited.with_max_records(max_records));
        let mut aggregator = limited.unwrap();
        let mut aggregates = Vec::new();
        for (key, hash_key, data) in &records {
            aggregates.extend(aggregator.add(key, *hash_key, data).unwrap());
        }
        aggregates.extend(aggregator.finish());
        prop_assert_eq!(aggregator.finish(), None);
        let mut expected = records.iter();
        for aggregate in &aggregates {
            let size = aggregate.data.len() + aggregate.partition_key.len();
            prop_assert!(aggregate.records == 1 || size <= max_bytes, "{} bytes, allowed are {}", size, max_bytes);
            prop_assert!(aggregate.records <= max_records);
            let apart = apart(aggregate);
            prop_assert_eq!(apart.len() as u64, aggregate.records);
            for (sub, record) in (0..).zip(&apart) {
                let (key, hash_key, data) = expected.next().unwrap();
                prop_assert_eq!(record.sub_sequence(), sub);
                prop_assert_eq!(record.partition_key.as_str(), key);
                if record.aggregated {
                    let hash_key = hash_key.map(|hash_key| hash_key.to_string());
                    prop_assert_eq!(record.explicit_hash_key.as_deref(), hash_key.as_deref());
                } else {
                    prop_assert_eq!(aggregate.explicit_hash_key, *hash_key);
                }
                prop_assert_eq!(&record.data[..], &data[..]);
            }
        }
        prop_assert!(expected.next().is_none());
    }
}

#[test]
fn an_aggregate_is_filled_to_the_last_byte_of_its_limit() {
    let sizes = |limit: usize| {
        let mut aggregator = Aggregator::new().with_max_bytes(limit).unwrap();
        let mut sizes = Vec::new();
        for _ in 0..100 {
            sizes.extend(
                aggregator
                    .add("key", Some(7), &[1; 50])
                    .unwrap()
                    .map(|full| full.data.len() + full.partition_key.len()),
            );
        }
        sizes
    };
    let full = sizes(KIB)[0];
    assert_eq!(sizes(full)[0], full, "the very size is still allowed");
    assert!(sizes(full - 1)[0] < full);
}

#[test]
fn a_key_that_comes_again_is_written_once() {
    let mut aggregator = Aggregator::new();
    let key = "k".repeat(200);
    for _ in 0..100 {
        assert_eq!(aggregator.add(&key, Some(u128::MAX), b"x"), Ok(None));
    }
    assert_eq!(aggregator.waiting(), 100);
    let aggregate = aggregator.finish().unwrap();
    assert!(
        aggregate.data.len() < 200 + 39 + 100 * 9 + 30,
        "{}",
        aggregate.data.len()
    );
}

/// A record that is larger than the limit of an aggregate becomes a record of its own and keeps its
/// place in the order.
#[test]
fn an_oversized_record_stands_alone_and_keeps_its_place() {
    let mut aggregator = Aggregator::new();
    let large = vec![7; Aggregator::MAX_BYTES + 1];
    assert_eq!(aggregator.add("a", None, b"first"), Ok(None));
    let first = aggregator
        .add("b", Some(5), &large)
        .unwrap()
        .expect("the large one does not fit");
    let second = aggregator
        .add("c", None, b"last")
        .unwrap()
        .expect("nothing fits to the large one");
    let last = aggregator.finish().unwrap();
    assert_eq!(
        (&first.data[..], &second.data[..], &last.data[..]),
        (&b"first"[..], &large[..], &b"last"[..])
    );
    assert_eq!(
        (second.partition_key.as_str(), second.explicit_hash_key),
        ("b", Some(5))
    );
    assert!(!apart(&second)[0].aggregated);
}

/// The error names the limit, and what was added before is unchanged.
#[test]
fn records_the_service_would_refuse_are_refused_with_the_limit() {
    let mut aggregator = Aggregator::new();
    assert_eq!(aggregator.add("a", None, b"kept"), Ok(None));
    assert_eq!(
        aggregator.add("", None, b""),
        Err(AddError::PartitionKey(0))
    );
    assert_eq!(
        aggregator.add(&"ä".repeat(256), None, b""),
        Ok(None),
        "characters, not bytes"
    );
    let error = aggregator
        .add(&"ä".repeat(257), None, b"")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("257") && error.contains("1 to 256"),
        "{error}"
    );
    let error = aggregator
        .add("k", None, &vec![0; KIB * KIB])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1048577") && error.contains("1048576"),
        "{error}"
    );
    assert_eq!(aggregator.waiting(), 2);
    for bytes in [63, KIB * KIB + 1] {
        let error = Aggregator::new()
            .with_max_bytes(bytes)
            .unwrap_err()
            .to_string();
        assert!(error.contains("64 to 1048576"), "{error}");
    }
    assert!(Aggregator::new().with_max_records(0).is_err());
}
