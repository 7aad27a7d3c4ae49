//! Sequence numbers, which are too large for any integer type.
//!
//! To compare them as text would be wrong for numbers of different length, and `Box<str>` in every
//! record would be an allocation each. So a number is three 64-bit limbs if it fits, which is any
//! that the service assigns. The digits are converted in chunks of 19, as many as fit into one
//! limb:
//!
//! ```text
//!   495903382714902566 0855969253836157109 5921575989136588898
//!   head: the rest     limbs * 10^19 + chunk, for each further chunk
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::InvalidValue;
use super::digits::eight;

/// A Kinesis sequence number: a non-negative decimal number that orders the records of a shard.
///
/// Sequence numbers are compared as numbers. The numbers that the service assigns today have 186
/// bits. Numbers of up to 192 bits are held inline in 24 bytes; longer ones, up to the 129 digits
/// that the API allows, are on the heap.
///
/// ```
/// use kcl_core::model::SequenceNumber;
///
/// let nine: SequenceNumber = "9".parse()?;
/// let ten: SequenceNumber = "10".parse()?;
/// assert!(nine < ten, "numbers, not text");
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(Repr);

/// A value has exactly one of these forms, so the derived equality and hash are right.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    /// Below 2^192, the most significant limb first.
    Inline([u64; 3]),
    /// 2^192 and above: decimal digits without leading zeros, so that the longer text is the larger
    /// number.
    Digits(Box<str>),
}

/// How many decimal digits always fit into one limb (a `u64`).
const CHUNK: usize = 19;
/// 10^19 is below 2^64, and 10^20 is not.
const CHUNK_VALUE: u64 = 10_u64.pow(19);
/// The longest number that the pattern of the Kinesis API, `0|([1-9]\d{0,128})`, allows.
const MAX_DIGITS: usize = 129;

impl SequenceNumber {
    /// Creates the number with this value. For tests and streams in memory; the service's numbers
    /// need 186 bits.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the value"
    )]
    pub const fn from_u128(value: u128) -> Self {
        Self(Repr::Inline([0, (value >> 64) as u64, value as u64]))
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let is_number = !bytes.is_empty() && bytes.len() <= MAX_DIGITS && all_digits(bytes);
        if !is_number || (bytes[0] == b'0' && bytes.len() > 1) {
            return Err(InvalidValue::text(
                "sequence number",
                text,
                MAX_DIGITS + 1,
                format!("1 to {MAX_DIGITS} decimal digits without a leading zero"),
            ));
        }
        Ok(Self(
            inline(bytes).map_or_else(|| Repr::Digits(text.into()), Repr::Inline),
        ))
    }
}

/// The value of the digits, or `None` if it needs more than 192 bits. The head has the digits that
/// are left over, so that all other chunks are whole.
fn inline(digits: &[u8]) -> Option<[u64; 3]> {
    let (head, rest) = digits.split_at(digits.len() % CHUNK);
    let mut limbs = [0, 0, chunk_value(head)];
    for chunk in rest.chunks_exact(CHUNK) {
        limbs = shift_in(limbs, chunk_value(chunk))?;
    }
    Some(limbs)
}

/// All of them are looked at, rather than up to the first that is none: that is done for many bytes
/// at a time.
fn all_digits(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |all, byte| all & byte.is_ascii_digit())
}

/// The value of at most 19 digits, which cannot overflow.
fn chunk_value(digits: &[u8]) -> u64 {
    let (head, rest) = digits.split_at(digits.len() % 8);
    let head = head
        .iter()
        .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    let (eights, _) = rest.as_chunks();
    eights
        .iter()
        .fold(head, |value, digits| value * 100_000_000 + eight(*digits))
}

/// `limbs * 10^19 + add`, or `None` on overflow. Long multiplication, from the lowest limb up.
#[expect(clippy::cast_possible_truncation, reason = "the low limb of a product")]
fn shift_in(mut limbs: [u64; 3], add: u64) -> Option<[u64; 3]> {
    let mut carry = u128::from(add);
    for limb in limbs.iter_mut().rev() {
        let product = u128::from(*limb) * u128::from(CHUNK_VALUE) + carry;
        *limb = product as u64;
        carry = product >> 64;
    }
    (carry == 0).then_some(limbs)
}

/// The limbs divided by 10^19, and the remainder. Long division, from the highest limb down: the
/// inverse of [`shift_in`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "a quotient of limbs is a limb, a remainder is below the divisor"
)]
fn shift_out(mut limbs: [u64; 3]) -> ([u64; 3], u64) {
    let mut remainder = 0_u128;
    for limb in &mut limbs {
        let dividend = (remainder << 64) | u128::from(*limb);
        *limb = (dividend / u128::from(CHUNK_VALUE)) as u64;
        remainder = dividend % u128::from(CHUNK_VALUE);
    }
    (limbs, remainder as u64)
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Digits(digits) => f.pad_integral(true, "", digits),
            Repr::Inline(limbs) => {
                let (limbs, low) = shift_out(*limbs);
                let (limbs, middle) = shift_out(limbs);
                let (limbs, high) = shift_out(limbs);
                let top = limbs[2];
                let text = match (top, high, middle) {
                    (0, 0, 0) => format!("{low}"),
                    (0, 0, _) => format!("{middle}{low:019}"),
                    (0, ..) => format!("{high}{middle:019}{low:019}"),
                    _ => format!("{top}{high:019}{middle:019}{low:019}"),
                };
                f.pad_integral(true, "", &text)
            }
        }
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Ord for SequenceNumber {
    /// Limbs compare from the most significant one on. Among longer numbers, more digits mean a
    /// larger one, because none has leading zeros.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Inline(a), Repr::Inline(b)) => a.cmp(b),
            (Repr::Inline(_), Repr::Digits(_)) => Ordering::Less,
            (Repr::Digits(_), Repr::Inline(_)) => Ordering::Greater,
            (Repr::Digits(a), Repr::Digits(b)) => (a.len(), a).cmp(&(b.len(), b)),
        }
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> SequenceNumber {
        text.parse().unwrap()
    }

    /// The numeric order of canonical decimals, written the slow way.
    fn numeric(a: &str, b: &str) -> Ordering {
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    }

    proptest! {
        #[test]
        fn text_and_order_survive_for_every_number_that_the_api_allows(
            a in "0|[1-9][0-9]{0,128}", b in "0|[1-9][0-9]{0,128}", short in "[1-9][0-9]{50,60}",
        ) {
            for text in [&a, &b, &short] {
                prop_assert_eq!(&number(text).to_string(), text);
            }
            prop_assert_eq!(number(&a).cmp(&number(&b)), numeric(&a, &b));
            prop_assert_eq!(number(&a).cmp(&number(&short)), numeric(&a, &short));
        }
    }

    #[test]
    fn the_step_from_192_bits_to_more_keeps_text_and_order() {
        let last_inline = "6277101735386680763835789423207666416102355444464034512895";
        let first_long = "6277101735386680763835789423207666416102355444464034512896";
        assert!(matches!(number(last_inline).0, Repr::Inline(_)));
        assert!(matches!(number(first_long).0, Repr::Digits(_)));
        assert!(number(last_inline) < number(first_long));
        assert_eq!(number(last_inline).to_string(), last_inline);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-1",
            "+1",
            "01",
            "1e3",
            "١",
            "LATEST",
            " 1",
            &"9".repeat(130),
        ] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text:?}");
        }
    }
}
