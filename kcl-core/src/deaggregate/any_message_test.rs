//! Any message and any bytes, compared with an independent decoder of the published schema.

use proptest::prelude::*;
use prost::Message as _;

use super::tests::schema::{AggregatedRecord, KplRecord};
use super::tests::{apart, raw, record, seal};
use super::*;
use crate::model::{HashKeyRange, RawRecord, Record};

fn message() -> impl Strategy<Value = AggregatedRecord> {
    let tables = (
        prop::collection::vec("\\PC{0,12}", 1..6),
        prop::collection::vec("[0-9]{0,40}", 0..4),
    );
    tables.prop_flat_map(|(keys, hash_keys)| {
        let (k, h) = (keys.len() as u64, hash_keys.len() as u64);
        let hash_key = if h == 0 {
            Just(None).boxed()
        } else {
            prop::option::of(0..h).boxed()
        };
        let record = (0..k, hash_key, prop::collection::vec(any::<u8>(), 0..80)).prop_map(
            |(key, hash_key, data)| KplRecord {
                data,
                ..record(key, hash_key, "")
            },
        );
        prop::collection::vec(record, 1..30).prop_map(move |records| AggregatedRecord {
            partition_key_table: keys.clone(),
            explicit_hash_key_table: hash_keys.clone(),
            records,
        })
    })
}

/// A user record: partition key, explicit hash key, payload.
type KeysAndData = (String, Option<String>, Vec<u8>);

/// What the independent decoder finds.
fn expected(message: &AggregatedRecord) -> Option<Vec<KeysAndData>> {
    let find = |table: &[String], index: u64| table.get(usize::try_from(index).ok()?).cloned();
    let records = message.records.iter().map(|record| {
        let key = find(&message.partition_key_table, record.partition_key_index)?;
        let hash_key = match record.explicit_hash_key_index {
            Some(index) => Some(find(&message.explicit_hash_key_table, index)?),
            None => None,
        };
        Some((key, hash_key, record.data.clone()))
    });
    records.collect()
}

fn found(records: &[Record]) -> Vec<KeysAndData> {
    let text = |key: &crate::model::Key| key.to_string();
    records
        .iter()
        .map(|r| {
            (
                text(&r.partition_key),
                r.explicit_hash_key.as_ref().map(text),
                r.data.to_vec(),
            )
        })
        .collect()
}

#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        any::<prop::sample::Index>().prop_map(Damage::Remove),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
    ]
}

fn apply(change: &Damage, bytes: &mut Vec<u8>) {
    match change {
        _ if bytes.is_empty() => {}
        Damage::Set(at, byte) => *at.get_mut(bytes) = *byte,
        Damage::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
        Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_aggregate_is_taken_apart_as_another_decoder_does_it(message in message(), least: u128, most: u128) {
        let range = HashKeyRange::new(least.min(most), least.max(most)).unwrap();
        let apart = Deaggregator::new(Some(range)).take_apart(vec![raw(seal(&message.encode_to_vec()))]);
        prop_assert_eq!(apart.aggregates, 1);
        prop_assert_eq!(Some(found(&apart.records)), expected(&message));
        for record in &apart.records {
            let hash_key = match &record.explicit_hash_key {
                Some(text) => text.parse().ok(),
                None => Some(u128::from_be_bytes(digest(record.partition_key.as_bytes()))),
            };
            prop_assert_eq!(record.out_of_range, hash_key.is_some_and(|hash_key| !range.contains(hash_key)));
        }
    }

    #[test]
    fn a_damaged_aggregate_yields_its_records_or_one_plain_record(
        message in message(), changes in prop::collection::vec(change(), 1..4),
    ) {
        let good = seal(&message.encode_to_vec());
        let mut bytes = good.clone();
        changes.iter().for_each(|change| apply(change, &mut bytes));
        let apart = apart(bytes.clone());
        if bytes == good {
            prop_assert_eq!(Some(found(&apart.records)), expected(&message));
        } else {
            prop_assert_eq!(apart.records, [Record::from(raw(bytes))]);
        }
    }

    /// The result is what an independent decoder finds, or the one plain record.
    #[test]
    fn a_changed_message_with_a_right_digest_decodes_as_elsewhere(
        message in message(), changes in prop::collection::vec(change(), 1..4),
    ) {
        let mut bytes = message.encode_to_vec();
        changes.iter().for_each(|change| apply(change, &mut bytes));
        check_against_the_other_decoder(&bytes)?;
    }

    #[test]
    fn no_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), range: bool) {
        check_against_the_other_decoder(&bytes)?;
        let range = range.then(|| HashKeyRange::new(1, 2).unwrap());
        let page = vec![raw(bytes.clone()), raw([&MAGIC[..], &bytes].concat()), raw(seal(&bytes))];
        let apart = Deaggregator::new(range).take_apart(page);
        // The last one may be an aggregate without a record.
        prop_assert!(apart.records.len() + usize::from(apart.aggregates > 0) >= 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_record_of_a_page_comes_out_as_it_does_by_itself(
        page in prop::collection::vec((message(), prop::option::weighted(0.2, change())), 0..12), least: u128, most: u128,
    ) {
        let page = page.iter().map(|(message, change)| {
            let mut bytes = seal(&message.encode_to_vec());
            change.iter().for_each(|change| apply(change, &mut bytes));
            raw(bytes)
        });
        let page: Vec<_> = page.collect();
        let deaggregator = Deaggregator::new(Some(HashKeyRange::new(least.min(most), least.max(most)).unwrap()));
        let alone: Vec<_> = page.iter().flat_map(|raw| deaggregator.take_apart(vec![raw.clone()]).records).collect();
        prop_assert_eq!(deaggregator.take_apart(page).records, alone);
    }
}

/// For any message, the result is either everything in it or the plain record. If the independent
/// decoder accepts it and no required field is missing (which that decoder does not check), both
/// results are the same.
fn check_against_the_other_decoder(message: &[u8]) -> Result<(), TestCaseError> {
    let data = seal(message);
    let apart = apart(data.clone());
    prop_assert_eq!(apart.aggregates + apart.corrupt, 1);
    if apart.corrupt == 1 {
        prop_assert_eq!(&apart.records, &[Record::from(raw(data))]);
    } else if let Ok(decoded) = AggregatedRecord::decode(message) {
        prop_assert_eq!(Some(found(&apart.records)), expected(&decoded));
    }
    Ok(())
}

#[test]
fn kpl_aggregates_decode_as_the_published_schema_says() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/kpl-1.0.7-records.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let mut aggregates = 0;
    for put in golden.as_array().unwrap() {
        let range = &put["hashKeyRange"];
        let bound = |name: &str| range[name].as_str().unwrap();
        let range = HashKeyRange::parse(bound("StartingHashKey"), bound("EndingHashKey")).unwrap();
        let data = base64_simd::STANDARD
            .decode_to_vec(put["data"].as_str().unwrap())
            .unwrap();
        let sequence = put["sequenceNumber"].as_str().unwrap().parse().unwrap();
        let raw = RawRecord::new(sequence, put["partitionKey"].as_str().unwrap(), data);
        let apart = Deaggregator::new(Some(range)).take_apart(vec![raw]);
        let expected: Vec<_> = put["userRecords"].as_array().unwrap().iter().collect();
        assert_eq!(apart.records.len(), expected.len());
        for (record, expected) in apart.records.iter().zip(expected) {
            assert_eq!(
                Some(record.sub_sequence()),
                expected["subSequenceNumber"].as_u64()
            );
            assert_eq!(
                Some(record.partition_key.to_string()),
                text(&expected["partitionKey"])
            );
            assert_eq!(
                record.explicit_hash_key.as_ref().map(ToString::to_string),
                text(&expected["explicitHashKey"])
            );
            assert_eq!(
                Some(String::from_utf8(record.data.to_vec()).unwrap()),
                text(&expected["data"])
            );
            assert!(
                !record.out_of_range,
                "the KPL packs for the shard that it puts to"
            );
        }
        assert_eq!(apart.corrupt, 0);
        aggregates += apart.aggregates;
    }
    assert_eq!(aggregates, 4);
}
