use kcl_core::model::{HashKeyRange, RawRecord, Record, SequenceNumber};
use kcl_core::testing::internals::{Deaggregator, UserRecords};

use crate::oracle::{Expected, UserRecord, expected, seal};

/// The smallest user record in a message: the tag of the record, its length, and tag and value of
/// its two required fields.
const SMALLEST_USER_RECORD: usize = 6;
/// A byte of a key that is no text becomes a replacement character of three bytes.
const REPLACEMENT: usize = 3;
/// What a shared text takes beside its letters.
const SHARED: usize = 2 * size_of::<usize>();

/// Takes a Kinesis record apart that stands between good aggregates, two on each side: enough for
/// their digests to be found together.
///
/// The lowest bit of the first byte says whether the rest is a message that gets the right magic
/// and digest, or a Kinesis record as it is; the next two choose the hash keys of the shard.
///
/// # Panics
/// When what comes out is not what another decoder finds, a neighbour is touched, a payload is a
/// copy, or the memory is out of proportion to the input.
pub fn deaggregator(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let data = if choice & 1 == 1 {
        seal(rest)
    } else {
        rest.to_vec()
    };
    let range = range(choice >> 1);
    let good = seal(GOOD);
    let fetched = raw(SUSPECT, &data);
    let view = fetched.data.clone();
    let page = vec![
        raw(1, &good),
        raw(2, &good),
        fetched,
        raw(4, &good),
        raw(5, &good),
    ];
    let apart = Deaggregator::new(range).take_apart(page);

    assert_proportionate(&apart, 4 * good.len() + data.len());
    let found = between_neighbours(&apart.records);

    let (aggregates, corrupt) = (apart.aggregates - 4, apart.corrupt);
    let as_it_is = [Record::from(raw(SUSPECT, &data))];
    match expected(&data) {
        Expected::Plain => assert_eq!((found, aggregates, corrupt), (&as_it_is[..], 0, 0)),
        Expected::Corrupt => assert_eq!((found, aggregates, corrupt), (&as_it_is[..], 0, 1)),
        Expected::CorruptOrNot if corrupt == 1 => {
            assert_eq!((found, aggregates), (&as_it_is[..], 0))
        }
        Expected::CorruptOrNot => assert_eq!((aggregates, corrupt), (1, 0)),
        Expected::Apart(expected) => {
            assert_eq!((found.len(), aggregates, corrupt), (expected.len(), 1, 0));
            for ((sub_sequence, found), expected) in (0..).zip(found).zip(&expected) {
                assert_eq!(found.sub_sequence(), sub_sequence);
                assert_is(found, expected, range, view.as_ptr_range());
            }
        }
    }
}

/// The sequence number of what is to be taken apart.
const SUSPECT: u128 = 3;

/// Two user records with the explicit hash key `-`, which is no number and so outside no range.
const GOOD: &[u8] = &[
    0x0a, 1, b'k', 0x12, 1, b'-', 0x1a, 6, 0x08, 0, 0x10, 0, 0x1a, 0, 0x1a, 6, 0x08, 0, 0x10, 0,
    0x1a, 0,
];

fn range(choice: u8) -> Option<HashKeyRange> {
    match choice & 3 {
        0 => None,
        1 => HashKeyRange::new(0, u128::MAX / 2).ok(),
        2 => HashKeyRange::new(7, 7).ok(),
        _ => Some(HashKeyRange::WHOLE),
    }
}

fn raw(sequence: u128, data: &[u8]) -> RawRecord {
    RawRecord::new(SequenceNumber::from_u128(sequence), "put", data.to_vec())
}

/// The records that are not those of the neighbours.
fn between_neighbours(records: &[Record]) -> &[Record] {
    let parts = records
        .split_first_chunk::<4>()
        .and_then(|(first, rest)| Some((first, rest.split_last_chunk::<4>()?)));
    let Some((first, (found, last))) = parts else {
        panic!("neighbours are gone: {records:?}")
    };
    for ((sequence, sub_sequence), record) in [
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
        (4, 0),
        (4, 1),
        (5, 0),
        (5, 1),
    ]
    .iter()
    .zip(first.iter().chain(last))
    {
        assert_eq!(
            (record.sequence(), record.sub_sequence()),
            (&SequenceNumber::from_u128(*sequence), *sub_sequence)
        );
        assert!(
            record.aggregated
                && !record.out_of_range
                && record.data.is_empty()
                && record.partition_key == "k"
        );
    }
    found
}

fn assert_proportionate(apart: &UserRecords, fetched: usize) {
    let list = apart.records.capacity() * size_of::<Record>();
    // Room is made for the user records that there seem to be.
    assert!(
        apart.corrupt > 0 || apart.records.capacity() == apart.records.len(),
        "room to spare"
    );
    assert!(
        apart.records.capacity() <= fetched / SMALLEST_USER_RECORD + 1,
        "{} places",
        apart.records.capacity()
    );
    let most = list + fetched + fetched * REPLACEMENT + 5 * (SHARED + "put".len());
    assert!(
        apart.occupied <= most,
        "{} bytes out of {fetched}",
        apart.occupied
    );
}

fn assert_is(
    found: &Record,
    expected: &UserRecord,
    range: Option<HashKeyRange>,
    fetched: std::ops::Range<*const u8>,
) {
    assert_eq!(*found.sequence(), SequenceNumber::from_u128(SUSPECT));
    assert!(found.aggregated);
    assert_eq!(found.partition_key.as_str(), expected.partition_key);
    assert_eq!(
        found.explicit_hash_key.as_deref(),
        expected.explicit_hash_key.as_deref()
    );
    assert_eq!(found.data, expected.data);
    assert_eq!(found.out_of_range, expected.is_outside(range));
    let payload = found.data.as_ptr_range();
    assert!(
        payload.is_empty() || (fetched.start <= payload.start && payload.end <= fetched.end),
        "a payload was copied"
    );
}
