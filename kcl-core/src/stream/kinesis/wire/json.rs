use std::borrow::Cow;

use base64_simd::STANDARD;
use bytes::Bytes;
use memchr::memchr2;

use crate::model::Timestamp;

use super::super::page_pool::{PageBuffer, PagePool};
use super::reader::{MAX_DEPTH, Payload, Reader, count_of, from_seconds};
use super::unreadable::Unreadable;

/// Takes values off a body in JSON: what an endpoint without CBOR answers, and what every event of
/// a subscription is, since the service has no CBOR there.
///
/// ```text
///   {"Records":[{"Data":"AAEC","PartitionKey":"k","SequenceNumber":"4959..."},...],...}
///                        ----                 -
///                        decoded behind the   a slice of the body, which the page
///                        payloads before it   adds to the text of its keys
/// ```
///
/// Base64 is most of a page. It is searched once for its end and decoded once, straight to where
/// the payload stays; a reader that first makes a text of each string costs several times as much.
pub(super) struct Json<'a> {
    /// The whole body.
    body: &'a [u8],
    /// The first byte that was not taken.
    at: usize,
    /// The payloads, one behind the other: nothing before the first.
    payloads: PageBuffer,
    /// Where their buffer comes from: from nowhere in answers that have no payload.
    pages: Option<&'a PagePool>,
}

impl<'a> Json<'a> {
    /// At the beginning of a body.
    pub(super) const fn new(body: &'a [u8], pages: Option<&'a PagePool>) -> Self {
        Self {
            body,
            at: 0,
            payloads: PageBuffer::own(Vec::new()),
            pages,
        }
    }

    /// Within a body, of which a part has come. The payloads before it are in this buffer, which
    /// has room for all that follow.
    pub(super) const fn within(body: &'a [u8], payloads: PageBuffer) -> Self {
        Self {
            body,
            at: 0,
            payloads,
            pages: None,
        }
    }

    /// How much of the body was taken, and how much of the buffer of the payloads is filled.
    pub(super) const fn taken(&self) -> (usize, usize) {
        (self.at, self.payloads.data.len())
    }

    /// The payloads as they were when so much of their buffer was filled.
    pub(super) fn into_payloads(mut self, filled: usize) -> PageBuffer {
        self.payloads.data.truncate(filled);
        self.payloads
    }

    /// What was not taken. `at` may be behind the end after an escape that is cut off.
    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// The next byte behind white space, which stays where it is.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.body.get(self.at).copied()?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes this byte, which has to be next behind white space.
    #[inline]
    pub(super) fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), Unreadable> {
        if self.peek() != Some(byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Takes this text, which has to be next.
    fn word(&mut self, word: &'static str) -> Result<(), Unreadable> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// What stands between quotes. Whether it is valid text has to be seen.
    /// Neither control characters nor UTF-8 are looked at here. Base64 has neither, and its decoder
    /// refuses what is no base64: a look would read most of a page once more.
    #[inline]
    fn string(&mut self) -> Result<Cow<'a, [u8]>, Unreadable> {
        self.take(b'"', "a string")?;
        let rest = self.rest();
        let end = memchr2(b'"', b'\\', rest).ok_or_else(|| self.expected("the end of a string"))?;
        let plain = &rest[..end];
        if rest[end] == b'"' {
            self.at += end + 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.without_controls(plain)?;
        self.escaped(plain.to_vec()).map(Cow::Owned)
    }

    /// The name of a member, and the colon behind it.
    #[inline]
    pub(super) fn name(&mut self) -> Result<Cow<'a, [u8]>, Unreadable> {
        let name = self.string()?;
        // One with an escape was looked through while the escape was taken out.
        if let Cow::Borrowed(name) = &name {
            self.without_controls(name)?;
        }
        self.take(b':', "a colon")?;
        Ok(name)
    }

    /// A string that has an escape behind `text`.
    /// Kept out of `string`, so that the usual string, which has no escape, stays short enough to
    /// be inlined.
    #[cold]
    fn escaped(&mut self, mut text: Vec<u8>) -> Result<Vec<u8>, Unreadable> {
        self.at += text.len();
        loop {
            let rest = self.rest();
            let end =
                memchr2(b'"', b'\\', rest).ok_or_else(|| self.expected("the end of a string"))?;
            text.extend_from_slice(self.without_controls(&rest[..end])?);
            self.at += end + 1;
            if rest[end] == b'"' {
                return Ok(text);
            }
            let escape = self.rest().first().copied();
            self.at += 1;
            match escape {
                Some(plain @ (b'"' | b'\\' | b'/')) => text.push(plain),
                Some(b'b') => text.push(0x08),
                Some(b'f') => text.push(0x0C),
                Some(b'n') => text.push(b'\n'),
                Some(b'r') => text.push(b'\r'),
                Some(b't') => text.push(b'\t'),
                Some(b'u') => {
                    let character = self.character()?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(self.expected("an escape")),
            }
        }
    }

    /// The character that four digits name, or twice four for one beyond 16 bits. Half of such a
    /// pair is refused: Rust's text cannot hold it, and with a substitute the partition key would
    /// not be the one that the producer chose.
    fn character(&mut self) -> Result<char, Unreadable> {
        let first = self.four_digits()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            self.word("\\u")?;
            let second = self.four_digits()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.expected("the second half of a character"));
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.expected("a character"))
    }

    /// A UTF-16 unit in four hexadecimal digits of either case.
    fn four_digits(&mut self) -> Result<u32, Unreadable> {
        let digits = self.rest().first_chunk::<4>();
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, digit| {
                Some(code * 16 + char::from(*digit).to_digit(16)?)
            })
        });
        let code = code.ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }

    /// Text has no control characters, unless they are escaped.
    #[inline]
    fn without_controls<'t>(&self, text: &'t [u8]) -> Result<&'t [u8], Unreadable> {
        // All of it, rather than up to the first: that is done for many bytes at a time.
        if text
            .iter()
            .fold(false, |found, byte| found | (*byte < 0x20))
        {
            return Err(self.expected("no control character in a string"));
        }
        Ok(text)
    }

    /// What stands where a number is expected, by JSON's own grammar: Rust would also read `inf`,
    /// `+1` and `.5`, and then say that a body is fine which is not JSON.
    fn number(&mut self) -> Result<&'a str, Unreadable> {
        self.peek();
        let rest = self.rest();
        let digits = |from: usize| {
            let digits = rest.get(from..).unwrap_or_default();
            digits
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let mut end = usize::from(rest.first() == Some(&b'-'));
        let whole = digits(end);
        if whole == 0 || (whole > 1 && rest[end] == b'0') {
            return Err(self.expected("a number"));
        }
        end += whole;
        if rest.get(end) == Some(&b'.') {
            let decimals = digits(end + 1);
            if decimals == 0 {
                return Err(self.expected("a number"));
            }
            end += 1 + decimals;
        }
        if matches!(rest.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent == 0 {
                return Err(self.expected("a number"));
            }
            end += 1 + sign + exponent;
        }
        let number = std::str::from_utf8(&rest[..end]).map_err(|_| self.expected("a number"))?;
        self.at += end;
        Ok(number)
    }

    /// The number in floating point. The grammar was checked, so this fails only where Rust's is
    /// narrower. One that is too large becomes infinite, which is out of all bounds for a time.
    fn float(&self, number: &str) -> Result<f64, Unreadable> {
        number.parse().map_err(|_| self.expected("a number"))
    }

    /// Passes over a value, and checks that it is one. `depth` bounds the recursion.
    fn skip_within(&mut self, depth: u8) -> Result<(), Unreadable> {
        let deeper = || depth.checked_sub(1).ok_or(Unreadable::TooDeep);
        match self.peek() {
            Some(b'"') => self.text().map(drop),
            Some(b'{') => {
                let depth = deeper()?;
                self.members(|json, name| match std::str::from_utf8(name) {
                    Ok(_) => json.skip_within(depth),
                    Err(_) => Err(json.expected("a name in UTF-8")),
                })
            }
            Some(b'[') => {
                let depth = deeper()?;
                self.items(|json| json.skip_within(depth))
            }
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number().map(drop),
        }
    }
}

impl<'a> Reader<'a> for Json<'a> {
    fn at(&self) -> usize {
        self.at
    }

    /// A name is bytes to whoever reads it: it is compared with those that are known. Only where
    /// none of them matches is it looked at as text, by `skip_member`.
    #[inline]
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.take(b'{', "an object")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.name()?;
            each(self, &name)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("a comma or the end of an object")),
            }
        }
    }

    #[inline]
    fn items(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.take(b'[', "a list")?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("a comma or the end of a list")),
            }
        }
    }

    #[inline]
    fn is_null(&mut self) -> Result<bool, Unreadable> {
        let is_null = self.peek() == Some(b'n');
        if is_null {
            self.word("null")?;
        }
        Ok(is_null)
    }

    #[inline]
    fn text(&mut self) -> Result<Cow<'a, str>, Unreadable> {
        match self.string()? {
            Cow::Borrowed(text) => std::str::from_utf8(self.without_controls(text)?)
                .map(Cow::Borrowed)
                .map_err(|_| self.expected("UTF-8")),
            // Those that were not escaped have been looked for.
            Cow::Owned(text) => String::from_utf8(text)
                .map(Cow::Owned)
                .map_err(|_| self.expected("UTF-8")),
        }
    }

    #[inline]
    fn payload(&mut self) -> Result<Payload, Unreadable> {
        // Mostly a slice of the body: base64 has no character that needs an escape, but `/` may
        // have one.
        let base64 = self.string()?;
        if self.payloads.data.capacity() == 0
            && let Some(pages) = self.pages
        {
            // All that may follow, so that it never has to grow: a buffer that grew would be
            // copied, and would be longer than what the pool has lent and counts.
            let most = (base64.len() + self.rest().len()) / 4 * 3 + 3;
            self.payloads = pages.buffer(most);
        }
        let payloads = &mut self.payloads.data;
        let from = payloads.len();
        let decoded = STANDARD.decode_append(&base64, payloads).is_ok();
        let to = payloads.len();
        if decoded {
            Ok(Payload::Part(from, to))
        } else {
            Err(self.expected("base64 before this"))
        }
    }

    /// The service writes `1603149588.042`. That number has no exact `f64`, so it is read by its
    /// digits, and only what looks different goes the longer way.
    #[inline]
    fn time(&mut self) -> Result<Option<Timestamp>, Unreadable> {
        if self.is_null()? {
            return Ok(None);
        }
        let number = self.number()?;
        match short_seconds(number.as_bytes()) {
            Some(millis) => Ok(Some(Timestamp::from_millis(millis))),
            None => self.float(number).map(from_seconds),
        }
    }

    fn count(&mut self) -> Result<Option<u64>, Unreadable> {
        if self.is_null()? {
            return Ok(None);
        }
        let number = self.number()?;
        match number.parse() {
            Ok(whole) => Ok(Some(whole)),
            Err(_) => self.float(number).map(count_of),
        }
    }

    fn skip(&mut self) -> Result<(), Unreadable> {
        self.skip_within(MAX_DEPTH)
    }

    fn finish(mut self) -> Result<Bytes, Unreadable> {
        match self.peek() {
            None => Ok(self.payloads.freeze()),
            Some(_) => Err(self.expected("the end")),
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

/// Seconds of up to 12 digits with up to three decimals, in milliseconds: what the service writes.
/// Nothing for a number with a sign or an exponent, or a longer one.
fn short_seconds(number: &[u8]) -> Option<i64> {
    let (mut millis, mut decimals) = (0, None);
    if number.len() > 16 {
        return None;
    }
    for byte in number {
        match (byte, decimals) {
            (b'0'..=b'9', Some(3..)) => return None,
            (b'0'..=b'9', _) => {
                millis = millis * 10 + i64::from(byte - b'0');
                decimals = decimals.map(|count| count + 1);
            }
            (b'.', None) => decimals = Some(0),
            _ => return None,
        }
    }
    millis.checked_mul(10_i64.pow(3 - decimals.unwrap_or(0)))
}
