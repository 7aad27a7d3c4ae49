use std::borrow::Cow;

use bytes::Bytes;

use crate::model::Timestamp;

use super::reader::{MAX_DEPTH, Payload, Reader, count_of, from_seconds};
use super::unreadable::Unreadable;

/// The major types (RFC 8949, section 3.1): the upper three bits of the first byte of a value.
///
/// ```text
///   first byte   | major: 3 bits | info: 5 bits |
///   info 0..=23  is the argument
///        24..=27 the argument follows, in 1, 2, 4 or 8 bytes
///        28..=30 are not in use
///        31      there is no length: items follow up to BREAK
/// ```
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const OTHER: u8 = 7;

/// The tag of a time since 1970. In seconds, says the RFC; in milliseconds, says the service.
const EPOCH: u64 = 1;
/// The end of a list, map or string that gave no length.
const BREAK: u8 = 0xFF;
/// A whole number without a tag is a time in seconds below this, and in milliseconds from here on:
/// the year 5138 in seconds, 1973 in milliseconds.
const LEAST_MILLIS: u64 = 100_000_000_000;

/// Takes values off a body in CBOR.
///
/// The service is said to give strings their length, and lists and maps none. So nothing can be
/// reserved by the number of records, and each payload is one slice of the body.
pub(super) struct Cbor<'a> {
    /// The whole body. Payloads are found by their places in it, so that they can be slices.
    body: &'a Bytes,
    /// The first byte that was not taken.
    at: usize,
}

/// How a value begins.
#[derive(Clone, Copy)]
struct Head {
    /// What kind of value it is: one of the major types above.
    major: u8,
    /// What the argument is, in the first byte.
    info: u8,
    /// Nothing where the length is not known.
    argument: Option<u64>,
}

impl<'a> Cbor<'a> {
    /// At the beginning of a body.
    pub(super) const fn new(body: &'a Bytes) -> Self {
        Self { body, at: 0 }
    }

    /// Takes the head of a value. Its argument is a length, a number or a tag, by the major type.
    /// One that has more bytes than it needs is taken too: the RFC only prefers the shortest.
    #[inline]
    fn head(&mut self) -> Result<Head, Unreadable> {
        let first = self.take::<1>()?[0];
        let (major, info) = (first >> 5, first & 31);
        let argument = match info {
            0..=23 => Some(u64::from(info)),
            24 => Some(u64::from(self.take::<1>()?[0])),
            25 => Some(u64::from(u16::from_be_bytes(self.take()?))),
            26 => Some(u64::from(u32::from_be_bytes(self.take()?))),
            27 => Some(u64::from_be_bytes(self.take()?)),
            31 if (BYTES..=MAP).contains(&major) => None,
            _ => return Err(self.expected("a value")),
        };
        Ok(Head {
            major,
            info,
            argument,
        })
    }

    /// The same behind tags, and whether one of these says that it is a time. All other tags are
    /// passed over: they say nothing that changes how a member of a page is read. A loop and no
    /// recursion, so that a body of nothing but tags uses up no stack.
    #[inline]
    fn untagged(&mut self) -> Result<(Head, bool), Unreadable> {
        let mut is_time = false;
        loop {
            let head = self.head()?;
            if head.major != TAG {
                return Ok((head, is_time));
            }
            is_time |= head.argument == Some(EPOCH);
        }
    }

    /// Takes so many bytes. Every read goes through here or through [`part`](Self::part), which are
    /// the only two places that check the end of the body.
    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let taken = self.body[self.at..].first_chunk::<N>().copied();
        let taken = taken.ok_or_else(|| self.expected("more"))?;
        self.at += N;
        Ok(taken)
    }

    /// Where so many bytes are that come next.
    #[inline]
    fn part(&mut self, length: u64) -> Result<(usize, usize), Unreadable> {
        let from = self.at;
        // The length is the sender's word. Added without a check, one near 2^64 would wrap round to
        // a place inside the body.
        let to = usize::try_from(length)
            .ok()
            .and_then(|length| from.checked_add(length))
            .filter(|to| *to <= self.body.len())
            .ok_or_else(|| self.expected("as many bytes as a string has"))?;
        self.at = to;
        Ok((from, to))
    }

    /// Whether a list, map or string of unknown length ends here. The sign of it is taken then.
    fn is_break(&mut self) -> bool {
        let ends = self.body.get(self.at) == Some(&BREAK);
        self.at += usize::from(ends);
        ends
    }

    /// A string of this kind behind its head.
    #[inline]
    fn string(&mut self, kind: u8, head: Head) -> Result<Cow<'a, [u8]>, Unreadable> {
        match head.argument {
            Some(length) => {
                let (from, to) = self.part(length)?;
                Ok(Cow::Borrowed(&self.body[from..to]))
            }
            None => self.pieces(kind).map(Cow::Owned),
        }
    }

    /// A string that comes in pieces of known length. It has to be copied, the only kind that is.
    fn pieces(&mut self, kind: u8) -> Result<Vec<u8>, Unreadable> {
        let mut joined = Vec::new();
        while !self.is_break() {
            let piece = self.head()?;
            let Some(length) = piece.argument.filter(|_| piece.major == kind) else {
                return Err(self.expected("a piece of a string"));
            };
            let (from, to) = self.part(length)?;
            if kind == TEXT {
                // A character is whole in its piece (RFC 8949, section 3.2.3).
                self.utf8(&self.body[from..to])?;
            }
            joined.extend_from_slice(&self.body[from..to]);
        }
        Ok(joined)
    }

    /// The text, which a string of that type has to be.
    fn utf8<'t>(&self, text: &'t [u8]) -> Result<&'t str, Unreadable> {
        std::str::from_utf8(text).map_err(|_| self.expected("UTF-8"))
    }

    /// Calls for each item or member behind the head of a list or map.
    #[inline]
    fn each(
        &mut self,
        head: Head,
        mut each: impl FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        match head.argument {
            Some(length) => {
                // The length is the sender's word and may be absurd, so nothing is allocated by it.
                // A list that is shorter than it says fails at the end of the body.
                for _ in 0..length {
                    each(self)?;
                }
            }
            None => {
                while !self.is_break() {
                    each(self)?;
                }
            }
        }
        Ok(())
    }

    /// Passes over a value. `depth` bounds the recursion: a body of ten thousand nested lists would
    /// use up the stack.
    fn skip_within(&mut self, depth: u8) -> Result<(), Unreadable> {
        let (head, _) = self.untagged()?;
        let deeper = || depth.checked_sub(1).ok_or(Unreadable::TooDeep);
        match head.major {
            BYTES => self.string(BYTES, head).map(drop),
            TEXT => {
                let text = self.string(TEXT, head)?;
                self.utf8(&text).map(drop)
            }
            ARRAY => {
                let depth = deeper()?;
                self.each(head, |cbor| cbor.skip_within(depth))
            }
            MAP => {
                let depth = deeper()?;
                self.each(head, |cbor| {
                    cbor.skip_within(depth)?;
                    cbor.skip_within(depth)
                })
            }
            // Numbers and simple values are all in their heads.
            _ => Ok(()),
        }
    }
}

impl<'a> Reader<'a> for Cbor<'a> {
    fn at(&self) -> usize {
        self.at
    }

    #[inline]
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let (head, _) = self.untagged()?;
        if head.major != MAP {
            return Err(self.expected("a map"));
        }
        self.each(head, |cbor| {
            // A name may be tagged, or be no text at all; then the member is unknown.
            // Where the name begins: one that is no text is skipped with its head, tags included.
            let before = cbor.at;
            let (name, _) = cbor.untagged()?;
            if name.major == TEXT {
                let name = cbor.string(TEXT, name)?;
                each(cbor, &name)
            } else {
                // No member of ours.
                cbor.at = before;
                cbor.skip()?;
                cbor.skip()
            }
        })
    }

    #[inline]
    fn items(
        &mut self,
        each: impl FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let (head, _) = self.untagged()?;
        if head.major != ARRAY {
            return Err(self.expected("a list"));
        }
        self.each(head, each)
    }

    /// Null, or undefined.
    #[inline]
    fn is_null(&mut self) -> Result<bool, Unreadable> {
        let is_null = matches!(self.body.get(self.at), Some(0xF6 | 0xF7));
        self.at += usize::from(is_null);
        Ok(is_null)
    }

    #[inline]
    fn text(&mut self) -> Result<Cow<'a, str>, Unreadable> {
        let (head, _) = self.untagged()?;
        if head.major != TEXT {
            return Err(self.expected("a text"));
        }
        match self.string(TEXT, head)? {
            Cow::Borrowed(text) => self.utf8(text).map(Cow::Borrowed),
            Cow::Owned(text) => String::from_utf8(text)
                .map(Cow::Owned)
                .map_err(|_| self.expected("UTF-8")),
        }
    }

    #[inline]
    fn payload(&mut self) -> Result<Payload, Unreadable> {
        let (head, _) = self.untagged()?;
        if head.major != BYTES {
            return Err(self.expected("a byte string"));
        }
        match head.argument {
            Some(length) => self.part(length).map(|(from, to)| Payload::Part(from, to)),
            None => self
                .pieces(BYTES)
                .map(|joined| Payload::Joined(joined.into())),
        }
    }

    /// A time: a whole number or one in floating point, with a tag or without.
    ///
    /// ```text
    ///   whole, tag 1                 milliseconds: the service
    ///   whole, from LEAST_MILLIS on  milliseconds: a server that forgot the tag
    ///   whole, below that            seconds: emulators
    ///   floating point               seconds: the RFC
    /// ```
    ///
    /// A time that is out of bounds is none. It tells how old a record is, and not where in its
    /// shard it is, so the page is not refused for it.
    #[inline]
    fn time(&mut self) -> Result<Option<Timestamp>, Unreadable> {
        if self.is_null()? {
            return Ok(None);
        }
        let (head, is_tagged) = self.untagged()?;
        let in_millis = |whole: i64| {
            let is_millis = is_tagged || whole.unsigned_abs() >= LEAST_MILLIS;
            let millis = if is_millis { whole } else { whole * 1_000 };
            Timestamp::from_millis(millis)
        };
        match (head.major, head.argument) {
            (UNSIGNED, Some(whole)) => Ok(i64::try_from(whole).ok().map(in_millis)),
            // The argument of a negative number is -1 minus the number.
            (NEGATIVE, Some(whole)) => Ok(i64::try_from(whole).ok().map(|whole| in_millis(!whole))),
            _ => match float(head) {
                Some(seconds) => Ok(from_seconds(seconds)),
                None => Err(self.expected("a time")),
            },
        }
    }

    fn count(&mut self) -> Result<Option<u64>, Unreadable> {
        if self.is_null()? {
            return Ok(None);
        }
        let (head, _) = self.untagged()?;
        match head.major {
            UNSIGNED => Ok(head.argument),
            NEGATIVE => Ok(None),
            _ => match float(head) {
                Some(number) => Ok(count_of(number)),
                None => Err(self.expected("a number")),
            },
        }
    }

    fn skip(&mut self) -> Result<(), Unreadable> {
        self.skip_within(MAX_DEPTH)
    }

    fn finish(self) -> Result<Bytes, Unreadable> {
        if self.at == self.body.len() {
            // The payloads are where they were received: this counts one more user of the body and
            // copies nothing.
            Ok(self.body.clone())
        } else {
            Err(self.expected("the end"))
        }
    }

    #[cold]
    fn expected(&self, expected: &'static str) -> Unreadable {
        Unreadable::Unexpected {
            expected,
            at: self.at,
            length: self.body.len(),
        }
    }
}

/// The number, if the head is that of one in floating point. `info` tells it from a simple value,
/// which has the same major type and may have the same argument.
fn float(head: Head) -> Option<f64> {
    let bits = head.argument.filter(|_| head.major == OTHER)?;
    match head.info {
        25 => u16::try_from(bits).ok().map(half),
        26 => u32::try_from(bits)
            .ok()
            .map(|bits| f64::from(f32::from_bits(bits))),
        27 => Some(f64::from_bits(bits)),
        _ => None,
    }
}

/// IEEE 754's number of 16 bits: sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = ((bits >> 10) & 0x1F, f64::from(bits & 0x3FF));
    let size = match exponent {
        // Below the smallest normal number: there is no leading 1 before the fraction.
        0 => fraction * (-24_f64).exp2(),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        // 1.fraction * 2^(exponent - 15), with 1 and the fraction in units of 2^-10.
        _ => (fraction + 1024.0) * (f64::from(exponent) - 25.0).exp2(),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}
