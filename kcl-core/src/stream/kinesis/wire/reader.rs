use std::borrow::Cow;

use bytes::Bytes;

use crate::model::Timestamp;

use super::Unreadable;

/// Values that are not asked for are passed over to this depth.
pub(crate) const MAX_DEPTH: u8 = 32;

/// As much of a foreign content type is told.
const MAX_CONTENT_TYPE: usize = 80;

/// How requests and answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Cbor,
}

impl Form {
    /// The header of a request in this form. The service takes the form of its answer from it.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// The form of a body. The first byte decides, since answers were seen in another form than
    /// their content type says; but what is said to be text is no CBOR.
    ///
    /// # Errors
    /// If it is of neither form.
    pub(super) fn of(content_type: Option<&str>, body: &[u8]) -> Result<Self, Unreadable> {
        let said = content_type.unwrap_or_default();
        let is_text = said.starts_with("text/") || said.contains("json");
        match body.trim_ascii_start().first() {
            Some(b'{') => Ok(Self::Json),
            // A map of CBOR, of known length or not.
            Some(0xA0..=0xBB | 0xBF) if !is_text => Ok(Self::Cbor),
            first => Err(Unreadable::OfNeitherForm {
                content_type: said.chars().take(MAX_CONTENT_TYPE).collect(),
                first: match first {
                    Some(byte) => format!("the first byte {byte:#04x}"),
                    None => "no body".to_owned(),
                },
            }),
        }
    }
}

/// Where a payload is.
#[derive(Clone, Debug, Default)]
pub(super) enum Payload {
    /// It is empty.
    #[default]
    Empty,
    /// In the buffer that [`Reader::finish`] gives, from here to there.
    Part(usize, usize),
    /// It came in pieces and has been joined.
    Joined(Bytes),
}

/// Takes values off a body, one after the other. Each method expects its value next, and fails if
/// something else is there.
pub(super) trait Reader<'a>: Sized {
    /// Calls for each member of a map or object with its name, in their order; the call has to take
    /// or skip its value.
    fn members(
        &mut self,
        each: impl FnMut(&mut Self, &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable>;

    /// Calls for each item of a list, in their order; the call has to take or skip it.
    fn items(
        &mut self,
        each: impl FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable>;

    /// How many bytes of the body were taken.
    fn at(&self) -> usize;

    /// Whether null is next. It is taken then.
    fn is_null(&mut self) -> Result<bool, Unreadable>;

    /// A text: a slice of the body, unless it has escapes or comes in pieces.
    fn text(&mut self) -> Result<Cow<'a, str>, Unreadable>;

    /// A byte string, or base64.
    fn payload(&mut self) -> Result<Payload, Unreadable>;

    /// A time; nothing for null, and for one that is out of all bounds.
    fn time(&mut self) -> Result<Option<Timestamp>, Unreadable>;

    /// A number; nothing for null, and for a negative one.
    fn count(&mut self) -> Result<Option<u64>, Unreadable>;

    /// Passes over whatever is next.
    fn skip(&mut self) -> Result<(), Unreadable>;

    /// Nothing may follow. Gives the buffer of the payloads.
    fn finish(self) -> Result<Bytes, Unreadable>;

    /// Passes over the value of a member that has this name.
    fn skip_member(&mut self, name: &[u8]) -> Result<(), Unreadable> {
        match std::str::from_utf8(name) {
            Ok(_) => self.skip(),
            Err(_) => Err(self.expected("a name in UTF-8")),
        }
    }

    /// The error for what stands here. It names the place and never the content, which may be a
    /// user's data.
    fn expected(&self, expected: &'static str) -> Unreadable;
}

/// Seconds as milliseconds, to the nearest; nothing if that is out of all bounds.
pub(super) fn from_seconds(seconds: f64) -> Option<Timestamp> {
    const BOUND: f64 = 9.0e18;
    let millis = (seconds * 1_000.0).round();
    (-BOUND..=BOUND)
        .contains(&millis)
        .then(|| Timestamp::from_millis(millis as i64))
}

/// A number that may be negative, or have decimals, as a count.
pub(super) fn count_of(number: f64) -> Option<u64> {
    (number >= 0.0).then_some(number as u64)
}
