//! The wire format of protobuf, as far as an aggregate uses it, without a generated parser.
//!
//! A generated parser would copy every payload into a message of its own. This one returns ranges
//! of the input, and the payloads of user records become slices of the Kinesis record. Its input is
//! foreign: each length is checked against the bytes that are left before it is used, and the only
//! recursion, into groups, is bounded.

use std::ops::Range;

use super::message::Corrupt;

/// Reads the fields of a protobuf message in place.
///
/// Bytes are given as ranges, counted from the start of the outermost message, so that nothing is
/// copied.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    /// The outermost message, up to the end of the one that is being read.
    bytes: &'a [u8],
    /// Where the next field begins, in bytes from the start of `bytes`. It only grows, so a message
    /// is read in one pass, in time proportional to its length.
    at: usize,
}

/// The value of a field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Wire type 0. In an aggregate these are the indexes of keys.
    Varint(u64),
    /// Text, bytes or a message. Wire type 2. It lies within the message: a length that reaches
    /// past the end is an error.
    Bytes(Range<usize>),
    /// A type that no field of an aggregate has. It was skipped; the format ignores fields that it
    /// does not know.
    Other,
}

/// How deeply groups may be nested: the limit of protobuf's own parsers. Without a limit, a message
/// of nothing but group starts would overflow the stack, one call per byte.
const MAX_DEPTH: u32 = 100;

impl<'a> Fields<'a> {
    /// The fields of an outermost message.
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self {
            bytes: message,
            at: 0,
        }
    }

    /// The fields of a nested message in the same bytes.
    ///
    /// Its ranges count from the start of the outermost message too, so they can be used on the
    /// Kinesis record without adding offsets. It fails if `part` reaches past the end of `message`.
    pub(super) fn within(message: &'a [u8], part: &Range<usize>) -> Result<Self, Corrupt> {
        let bytes = message.get(..part.end).ok_or(Corrupt::Malformed)?;
        Ok(Self {
            bytes,
            at: part.start,
        })
    }

    /// The number and the value of the next field, or `None` at the end of the message.
    ///
    /// Every field of every user record passes through here. The common cases are inlined, the rest
    /// is not.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value)>, Corrupt> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            2 => Value::Bytes(self.length_delimited()?),
            _ => {
                self.skip(number, wire_type, MAX_DEPTH)?;
                Value::Other
            }
        };
        Ok(Some((number, value)))
    }

    /// The number and the wire type of the next field. A tag is a varint of at most 32 bits, of
    /// which the lowest three are the type.
    #[inline(always)]
    fn tag(&mut self) -> Result<(u32, u8), Corrupt> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Corrupt::Malformed)?;
        let number = tag >> 3;
        // Field numbers start at 1.
        if number == 0 {
            Err(Corrupt::Malformed)
        } else {
            Ok((number, (tag & 7) as u8))
        }
    }

    /// A number in base 128, the lowest seven bits first; a set high bit says that another byte
    /// follows.
    #[inline(always)]
    fn varint(&mut self) -> Result<u64, Corrupt> {
        match self.bytes.get(self.at) {
            // Nearly all varints: tags, indexes and the lengths of small payloads.
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    /// The rest of [`Fields::varint`]: more than one byte, or none left. Ten bytes hold 64 bits; a
    /// longer number, or one that overflows in its tenth byte, is malformed.
    fn long_varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Corrupt::Malformed)?;
            self.at += 1;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return Err(Corrupt::Malformed);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt::Malformed)
    }

    /// The range of a value that its length precedes.
    #[inline(always)]
    fn length_delimited(&mut self) -> Result<Range<usize>, Corrupt> {
        let length = usize::try_from(self.varint()?).map_err(|_| Corrupt::Malformed)?;
        let start = self.at;
        self.advance(length)?;
        Ok(start..self.at)
    }

    /// Moves past `length` bytes. The addition is checked, because a producer can write any length
    /// up to 2^64 - 1.
    #[inline(always)]
    fn advance(&mut self, length: usize) -> Result<(), Corrupt> {
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())
            .ok_or(Corrupt::Malformed)?;
        self.at = end;
        Ok(())
    }

    /// Skips the value of a field. `depth` more groups may be nested.
    #[cold]
    fn skip(&mut self, number: u32, wire_type: u8, depth: u32) -> Result<(), Corrupt> {
        match wire_type {
            0 => self.varint().map(drop),
            1 => self.advance(8),
            2 => self.length_delimited().map(drop),
            3 => loop {
                let depth = depth.checked_sub(1).ok_or(Corrupt::Malformed)?;
                match self.tag()? {
                    (end, 4) if end == number => return Ok(()),
                    (_, 4) => return Err(Corrupt::Malformed),
                    (inner, wire_type) => self.skip(inner, wire_type, depth)?,
                }
            },
            5 => self.advance(4),
            // 4 ends a group that was never started; 6 and 7 are not defined.
            _ => Err(Corrupt::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Value)>, Corrupt> {
        let mut fields = Fields::new(bytes);
        let mut all = Vec::new();
        while let Some(field) = fields.next()? {
            all.push(field);
        }
        Ok(all)
    }

    #[test]
    fn every_wire_type_is_read_or_passed_over() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: 150
            0x11, 1, 2, 3, 4, 5, 6, 7, 8, // 2: 64 bits
            0x1a, 2, 7, 7, // 3: two bytes
            0x23, 0x2b, 0x08, 0x01, 0x2c, 0x2a, 1, 7,
            0x24, // 4: a group with a group and a field in it
            0x35, 1, 2, 3, 4, // 6: 32 bits
        ];
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Other),
            (3, Value::Bytes(14..16)),
            (4, Value::Other),
            (6, Value::Other),
        ];
        assert_eq!(all(&bytes).unwrap(), expected);
    }

    #[test]
    fn the_largest_number_is_read() {
        let bytes = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ];
        assert_eq!(all(&bytes).unwrap(), [(1, Value::Varint(u64::MAX))]);
    }

    #[test]
    fn what_is_cut_or_cannot_be_is_refused() {
        let deep = [0x0b].repeat(200_000);
        let cases: [&[u8]; 10] = [
            &[0x08],       // a field without a value
            &[0x0a, 5, 1], // shorter than it says
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ], // a length of 2^64 - 1
            &[
                0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02,
            ], // a number above 64 bits
            &[
                0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ], // a number of eleven bytes
            &[0x00, 0x00], // field 0
            &[0x0c],       // the end of no group
            &[0x0b, 0x14], // the end of another group
            &[0x0e],       // wire type 6
            &deep,
        ];
        for case in cases {
            assert!(all(case).is_err(), "{:?}", &case[..case.len().min(12)]);
        }
    }
}
