//! Decimal digits, eight at a time.

/// The value of eight digits, computed in three steps: pairs, groups of four, all eight.
///
/// All eight are converted at once in one 64-bit register, without a branch. The caller has checked
/// that they are digits.
pub(crate) fn eight(digits: [u8; 8]) -> u64 {
    let each = u64::from_le_bytes(digits) & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = each.wrapping_mul(10).wrapping_add(each >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_digits_have_their_value(value in 0_u64..100_000_000) {
            let text = format!("{value:08}");
            prop_assert_eq!(eight(text.as_bytes().try_into().unwrap()), value);
        }
    }
}
