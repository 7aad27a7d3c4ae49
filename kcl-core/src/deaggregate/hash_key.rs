//! To which shard a user record belongs: its hash key, compared with the range of the shard.
//!
//! Kinesis routes a record by a number of 128 bits, either the explicit hash key or the MD5 of the
//! partition key. Inside an aggregate the service sees only the keys of the aggregate, so a user
//! record may be in a shard where its own keys would not have led it. See
//! [`OutOfRange`](super::OutOfRange) for when this happens.

use crate::model::HashKeyRange;
use crate::model::digits::eight;

use super::digests::digests;
use super::message::{KeyEntry, KeyTable};

/// The hash keys of partition keys: their MD5 digests as big-endian numbers. The digests are
/// computed side by side, so all keys of a table are given at once.
pub(super) fn of_partition_keys<'a>(
    keys: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = u128> {
    digests(&keys.collect::<Vec<_>>())
        .into_iter()
        .map(u128::from_be_bytes)
}

/// The value of an explicit hash key, or `None` if it is not a decimal number below 2^128.
///
/// Leading zeros are allowed, however many. A sign is not, nor is a space.
pub(super) fn explicit(text: &[u8]) -> Option<u128> {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let digits = &text[zeros..];
    // 2^128 has 39 digits; with a leading zero that is five groups of eight. A number of forty
    // digits is found to be too large below.
    let mut all = [b'0'; 40];
    let from = all.len().checked_sub(digits.len())?;
    all[from..].copy_from_slice(digits);
    if text.is_empty()
        || !all
            .iter()
            .fold(true, |yes, byte| yes & byte.is_ascii_digit())
    {
        return None;
    }
    let (eights, _) = all.as_chunks::<8>();
    let [first, second, third, fourth, fifth] = *eights else {
        return None;
    };
    // As few 128-bit operations as possible: they take several times as long as 64-bit ones.
    let high = eight(first) * 100_000_000 + eight(second);
    let low = eight(third) * 100_000_000 + eight(fourth);
    let scaled = u128::from(high).checked_mul(10_u128.pow(24))?;
    scaled.checked_add(u128::from(low) * 100_000_000 + u128::from(eight(fifth)))
}

/// Finds the user records of an aggregate that are outside a range. Each key of a table is hashed
/// once: all of them together, the first time that one is needed.
#[derive(Debug)]
pub(super) struct RangeCheck<'a> {
    /// The hash keys of the shard, both ends included.
    range: HashKeyRange,
    /// The bytes that the tables point into.
    message: &'a [u8],
    partition_keys: &'a KeyTable,
    /// For each key of the table, whether it is outside. `None` until a user record without an
    /// explicit hash key is met: if all have one, no partition key is hashed.
    partition_keys_outside: Option<Vec<bool>>,
    hash_keys: &'a KeyTable,
    /// The same for explicit hash keys, which are parsed instead of hashed.
    hash_keys_outside: Option<Vec<bool>>,
}

impl<'a> RangeCheck<'a> {
    pub(super) const fn new(
        range: HashKeyRange,
        message: &'a [u8],
        partition_keys: &'a KeyTable,
        hash_keys: &'a KeyTable,
    ) -> Self {
        Self {
            range,
            message,
            partition_keys,
            partition_keys_outside: None,
            hash_keys,
            hash_keys_outside: None,
        }
    }

    /// Whether a user record with the keys at these indexes is outside the range. The explicit hash
    /// key decides if there is one. A hash key that is not a number says nothing about where the
    /// record belongs (the service would not have accepted it), so the record counts as inside and
    /// is never dropped.
    pub(super) fn is_outside(&mut self, partition_key: usize, hash_key: Option<usize>) -> bool {
        let (range, message) = (self.range, self.message);
        let (outside, index) = match hash_key {
            Some(index) => {
                let outside = |key: &KeyEntry| {
                    explicit(key.bytes(message)).is_some_and(|hash_key| !range.contains(hash_key))
                };
                (
                    self.hash_keys_outside
                        .get_or_insert_with(|| self.hash_keys.iter().map(outside).collect()),
                    index,
                )
            }
            None => {
                let all =
                    || of_partition_keys(self.partition_keys.iter().map(|key| key.bytes(message)));
                let outside = || all().map(|hash_key| !range.contains(hash_key)).collect();
                (
                    self.partition_keys_outside.get_or_insert_with(outside),
                    partition_key,
                )
            }
        };
        outside.get(index).is_some_and(|outside| *outside)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_partition_key_hashes_to_its_digest_read_as_a_number() {
        // `printf a | md5sum`
        let hash_keys: Vec<_> = of_partition_keys([&b"a"[..]].into_iter()).collect();
        assert_eq!(hash_keys, [0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661]);
    }

    /// Anything else is not a valid key.
    #[test]
    fn an_explicit_hash_key_is_a_decimal_below_2_to_the_128() {
        assert_eq!(
            explicit(b"340282366920938463463374607431768211455"),
            Some(u128::MAX)
        );
        assert_eq!(
            explicit(&[b"0".repeat(60), b"7".to_vec()].concat()),
            Some(7)
        );
        assert_eq!(explicit(b"0"), Some(0));
        let none: [&[u8]; 7] = [
            b"",
            b"-1",
            b"+1",
            b"1e3",
            b"+-",
            b"340282366920938463463374607431768211456",
            b"1000000000000000000000000000000000000000",
        ];
        assert_eq!(
            explicit(b"99999999999999999999999999999999999999"),
            Some(10_u128.pow(38) - 1)
        );
        for text in none {
            assert_eq!(explicit(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_read_as_it_was_written(value: u128, small: u64) {
            prop_assert_eq!(explicit(value.to_string().as_bytes()), Some(value));
            prop_assert_eq!(explicit(small.to_string().as_bytes()), Some(small.into()));
        }
    }
}
