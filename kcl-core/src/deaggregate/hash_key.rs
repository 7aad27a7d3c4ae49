use crate::model::HashKeyRange;

use super::envelope::digest;
use super::message::{Entry, Table};

/// The hash key that a partition key has: its MD5 digest as a number, the first byte the highest.
pub(super) fn of_partition_key(key: &[u8]) -> u128 {
    u128::from_be_bytes(digest(key))
}

/// The value of an explicit hash key. Nothing when it is no decimal number below 2^128.
pub(super) fn explicit(text: &[u8]) -> Option<u128> {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let digits = &text[zeros..];
    // 2^128 has 39 digits.
    if text.is_empty() || digits.len() > 39 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Twice 19 digits, which fit 64 bits each and 128 together, and then the last one: multiplying 128 bits for each digit takes
    // several times as long.
    let (high, rest) = digits.split_at(digits.len().min(19));
    let (low, last) = rest.split_at(rest.len().min(19));
    let scale = 10_u64.pow(u32::try_from(low.len()).ok()?);
    let value = u128::from(part(high)) * u128::from(scale) + u128::from(part(low));
    last.iter().try_fold(value, |value, digit| value.checked_mul(10)?.checked_add(u128::from(digit - b'0')))
}

/// The value of at most 19 digits.
fn part(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |part, digit| part * 10 + u64::from(digit - b'0'))
}

/// Finds the user records of an aggregate that are outside a range. Each key is hashed once, when it is first asked for.
#[derive(Debug)]
pub(super) struct RangeCheck {
    range: HashKeyRange,
    partition_keys: Vec<Option<bool>>,
    hash_keys: Vec<Option<bool>>,
}

impl RangeCheck {
    pub(super) fn new(range: HashKeyRange, partition_keys: &Table, hash_keys: &Table) -> Self {
        Self { range, partition_keys: vec![None; partition_keys.len()], hash_keys: vec![None; hash_keys.len()] }
    }

    /// Whether a user record with these keys, each with its index, is outside. The explicit hash key decides if there is one. One
    /// that is no number tells nothing of where the record belongs (no service would have taken it): it is not outside, so that it
    /// is never dropped.
    pub(super) fn is_outside(
        &mut self,
        message: &[u8],
        partition_key: (usize, &Entry),
        hash_key: Option<(usize, &Entry)>,
    ) -> bool {
        let range = self.range;
        match hash_key {
            Some((index, entry)) => remembered(&mut self.hash_keys, index, || {
                explicit(entry.bytes(message)).is_some_and(|hash_key| !range.contains(hash_key))
            }),
            None => remembered(&mut self.partition_keys, partition_key.0, || {
                !range.contains(of_partition_key(partition_key.1.bytes(message)))
            }),
        }
    }
}

fn remembered(answers: &mut [Option<bool>], index: usize, find: impl FnOnce() -> bool) -> bool {
    match answers.get_mut(index) {
        Some(answer) => *answer.get_or_insert_with(find),
        None => find(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_partition_key_hashes_to_its_digest_read_as_a_number() {
        // `printf a | md5sum`
        assert_eq!(of_partition_key(b"a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn an_explicit_hash_key_is_a_decimal_below_2_to_the_128th_or_nothing() {
        assert_eq!(explicit(b"340282366920938463463374607431768211455"), Some(u128::MAX));
        assert_eq!(explicit(&[b"0".repeat(60), b"7".to_vec()].concat()), Some(7));
        assert_eq!(explicit(b"0"), Some(0));
        let none: [&[u8]; 6] =
            [b"", b"-1", b"+1", b"1e3", b"340282366920938463463374607431768211456", b"1000000000000000000000000000000000000000"];
        assert_eq!(explicit(b"99999999999999999999999999999999999999"), Some(10_u128.pow(38) - 1));
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
