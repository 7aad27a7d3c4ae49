use bytes::Bytes;

use super::page::WirePage;
use super::unreadable::Unreadable;

/// A message of an event stream (`application/vnd.amazon.eventstream`), as far as it is of use here.
///
/// ```text
///   length, length of the headers, checksum of both     4 bytes each
///   headers                                              length of a name, name, kind, value
///   payload
///   checksum of all before it                            4 bytes
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EventMessage {
    /// `:message-type`: `event`, `exception` or `error`.
    pub(crate) kind: String,
    /// `:event-type`, `:exception-type` or `:error-code`.
    pub(crate) name: String,
    /// `:error-message`.
    pub(crate) error: Option<String>,
    /// `:content-type`.
    pub(crate) content_type: Option<String>,
    /// What it holds: a slice of the message.
    pub(crate) payload: Bytes,
    /// The page that it holds, if that was read while the message came. There is no payload then.
    pub(crate) page: Option<Result<WirePage, Unreadable>>,
}

/// The two lengths and their checksum.
pub(super) const PRELUDE: usize = 12;
pub(super) const CHECKSUM: usize = 4;
/// A header's value that is a text.
const TEXT: u8 = 7;

impl EventMessage {
    /// The shortest message: without headers and payload.
    pub(crate) const SHORTEST: usize = PRELUDE + CHECKSUM;
    /// The longest that is read. Those of the service have 2 MiB of records or one of 10 MiB, which
    /// is 14 MiB in base64.
    pub(crate) const LONGEST: usize = 64 * 1024 * 1024;

    /// The message that these bytes are, no more and no less.
    ///
    /// # Errors
    /// If they are none, or were damaged on their way.
    pub(crate) fn of(bytes: &Bytes) -> Result<Self, Unreadable> {
        let expected = |expected| Unreadable::Unexpected {
            expected,
            at: 0,
            length: bytes.len(),
        };
        let prelude = bytes.first_chunk().ok_or_else(|| expected("a message"))?;
        let (length, of_headers) = lengths(prelude)?;
        let end = length
            .checked_sub(CHECKSUM)
            .filter(|_| length == bytes.len());
        let end = end.ok_or_else(|| expected("a message of its length"))?;
        if crc32fast::hash(&bytes[..end]).to_be_bytes() != bytes[end..] {
            return Err(Unreadable::Checksum);
        }
        let headers = bytes.get(PRELUDE..PRELUDE + of_headers);
        let headers = headers.filter(|_| PRELUDE + of_headers <= end);
        let mut message = Self::with_headers(headers, length)?;
        message.payload = bytes.slice(PRELUDE + of_headers..end);
        Ok(message)
    }

    /// A message of this length without its payload. There are no headers if they would be longer
    /// than the message.
    pub(super) fn with_headers(headers: Option<&[u8]>, length: usize) -> Result<Self, Unreadable> {
        let expected = |expected, at| Unreadable::Unexpected {
            expected,
            at,
            length,
        };
        let headers = headers.ok_or_else(|| expected("headers of their length", PRELUDE))?;
        let (mut message, mut rest) = (Self::default(), headers);
        while !rest.is_empty() {
            let at = PRELUDE + headers.len() - rest.len();
            let (name, value) = header(&mut rest).ok_or_else(|| expected("a header", at))?;
            if let Some(value) = value {
                message.take(name, value);
            }
        }
        Ok(message)
    }

    /// Whether it holds a page of records.
    pub(crate) fn is_page(&self) -> bool {
        self.kind == "event" && self.name == "SubscribeToShardEvent"
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        match name {
            b":message-type" => self.kind = value,
            b":event-type" | b":exception-type" | b":error-code" => self.name = value,
            b":error-message" => self.error = Some(value),
            b":content-type" => self.content_type = Some(value),
            _ => {}
        }
    }
}

/// The lengths of a message and of its headers, in bytes.
///
/// # Errors
/// If they were damaged on their way.
pub(super) fn lengths(prelude: &[u8; PRELUDE]) -> Result<(usize, usize), Unreadable> {
    let [a, b, c, d, e, f, g, h, sum @ ..] = *prelude;
    if crc32fast::hash(&prelude[..PRELUDE - CHECKSUM]) != u32::from_be_bytes(sum) {
        return Err(Unreadable::Checksum);
    }
    let number = |bytes| u32::from_be_bytes(bytes) as usize;
    Ok((number([a, b, c, d]), number([e, f, g, h])))
}

/// Takes a header off: its name, and its value if that is a text.
fn header<'a>(headers: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (length, rest) = headers.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (&kind, mut rest) = rest.split_first()?;
    let length = match kind {
        // True and false.
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        // A number of 64 bits, a time.
        5 | 8 => 8,
        // Bytes and text say how long they are.
        6 | TEXT => {
            let length;
            (length, rest) = rest.split_first_chunk()?;
            usize::from(u16::from_be_bytes(*length))
        }
        // A UUID.
        9 => 16,
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *headers = rest;
    Some((name, Some(value).filter(|_| kind == TEXT)))
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = HeaderValue> {
        prop_oneof![
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i8>().prop_map(HeaderValue::Byte),
            any::<i16>().prop_map(HeaderValue::Int16),
            any::<i32>().prop_map(HeaderValue::Int32),
            any::<i64>().prop_map(HeaderValue::Int64),
            prop::collection::vec(any::<u8>(), 0..50)
                .prop_map(|bytes| HeaderValue::ByteArray(bytes.into())),
            ".{0,20}".prop_map(|text| HeaderValue::String(text.into())),
            any::<u128>().prop_map(HeaderValue::Uuid),
        ]
    }

    fn written(headers: Vec<(String, HeaderValue)>, payload: Vec<u8>) -> Bytes {
        let message = headers
            .into_iter()
            .fold(Message::new(payload), |message, (name, value)| {
                message.add_header(Header::new(name, value))
            });
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes.into()
    }

    fn named(name: &str, value: &str) -> (String, HeaderValue) {
        (
            name.to_owned(),
            HeaderValue::String(value.to_owned().into()),
        )
    }

    proptest! {
        /// Whatever the SDK writes is read: the headers of use among any others, and the payload.
        #[test]
        fn a_message_of_the_sdk_is_read_as_it_was_written(
            others in prop::collection::vec(("[a-z]{1,20}", value()), 0..6),
            at in 0..6_usize,
            payload in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut headers = others;
            let at = at.min(headers.len());
            headers.insert(at, named(":message-type", "event"));
            headers.insert(at, named(":event-type", "SubscribeToShardEvent"));
            let bytes = written(headers, payload.clone());
            let message = EventMessage::of(&bytes).unwrap();
            prop_assert_eq!(&message.kind, "event");
            prop_assert_eq!(&message.name, "SubscribeToShardEvent");
            prop_assert_eq!(&message.payload[..], &payload[..]);
            prop_assert!(payload.is_empty() || bytes.as_ptr_range().contains(&message.payload.as_ptr()));
        }

        #[test]
        fn a_damaged_message_is_refused_whatever_byte_it_is(
            payload in prop::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..=255,
        ) {
            let mut bytes = written(vec![named(":message-type", "event")], payload).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(EventMessage::of(&bytes.into()).is_err());
        }

        #[test]
        fn bytes_that_are_no_message_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(EventMessage::of(&bytes.into()).is_err());
        }
    }

    #[test]
    fn what_a_message_says_of_an_error_is_read() {
        let bytes = written(
            vec![
                named(":message-type", "error"),
                named(":error-code", "InternalFailure"),
                named(":error-message", "try again"),
            ],
            Vec::new(),
        );
        let message = EventMessage::of(&bytes).unwrap();
        let said = (&*message.kind, &*message.name, message.error.as_deref());
        assert_eq!(said, ("error", "InternalFailure", Some("try again")));
        let longer = [&bytes[..], b"more"].concat();
        assert!(EventMessage::of(&longer.into()).is_err());
        assert!(EventMessage::of(&bytes.slice(..bytes.len() - 1)).is_err());
    }
}
