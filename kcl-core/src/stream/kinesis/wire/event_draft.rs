use std::fmt;

use super::super::page_pool::{PageBuffer, PagePool};
use super::event_message::{CHECKSUM, EventMessage, PRELUDE, lengths};
use super::page::NextMember;
use super::page_in_pieces::PageInPieces;
use super::unreadable::Unreadable;

/// A message of an event stream that comes in pieces.
///
/// A page of records in JSON, which is what the service sends, is read piece by piece and needs no
/// buffer of the message's length. Everything else is gathered in one.
pub(crate) struct EventDraft {
    /// Of the whole message, in bytes.
    length: usize,
    /// Bytes that have come.
    passed: usize,
    /// Over all that has come but the checksum at the end.
    sum: crc32fast::Hasher,
    /// As much as has come of the checksum at the end.
    said: Vec<u8>,
    /// As much as has come of the lengths and the headers.
    head: Vec<u8>,
    /// Bytes of the head: at first only those are known that hold the lengths.
    of_head: usize,
    /// What the headers say.
    message: Result<EventMessage, Unreadable>,
    /// What comes behind the headers.
    body: DraftBody,
}

/// What comes behind the headers of a message.
enum DraftBody {
    /// Nothing has come of it.
    Unknown,
    /// A page in JSON.
    Page(Box<PageInPieces>),
    /// Something else.
    Other(PageBuffer),
}

impl EventDraft {
    /// A message of so many bytes, which are as many as [`EventMessage`] can have.
    pub(crate) fn new(length: usize) -> Self {
        Self {
            length,
            passed: 0,
            sum: crc32fast::Hasher::new(),
            said: Vec::new(),
            head: Vec::new(),
            of_head: PRELUDE,
            message: Ok(EventMessage::default()),
            body: DraftBody::Unknown,
        }
    }

    /// The bytes that have not come.
    pub(crate) const fn missing(&self) -> usize {
        self.length - self.passed
    }

    /// Takes the next bytes, which are no more than are missing.
    pub(crate) fn push(&mut self, piece: &[u8], pages: &PagePool) {
        let before_sum = (self.length - CHECKSUM).saturating_sub(self.passed);
        let (piece, said) = piece.split_at(piece.len().min(before_sum));
        self.passed += piece.len() + said.len();
        self.said.extend_from_slice(said);
        self.sum.update(piece);
        let payload = self.take_head(piece);
        // What is wrong with it is said at the end: by then it is known whether it was damaged.
        let Ok(message) = &self.message else {
            return;
        };
        if let (DraftBody::Unknown, Some(first)) = (&self.body, payload.first()) {
            let length = self.length - CHECKSUM - self.of_head;
            self.body = if *first == b'{' && message.is_page() {
                let next = NextMember::ContinuationSequenceNumber;
                DraftBody::Page(Box::new(PageInPieces::new(length, next, pages)))
            } else {
                DraftBody::Other(pages.buffer(length))
            };
        }
        match &mut self.body {
            DraftBody::Unknown => {}
            DraftBody::Page(page) => page.push(payload),
            DraftBody::Other(buffer) => buffer.data.extend_from_slice(payload),
        }
    }

    /// The message, when nothing of it is missing.
    ///
    /// # Errors
    /// If it was damaged on its way, or its head is none. What is wrong with its page is said in
    /// the message.
    pub(crate) fn finish(self) -> Result<EventMessage, Unreadable> {
        if self.sum.finalize().to_be_bytes() != self.said[..] {
            return Err(Unreadable::Checksum);
        }
        let mut message = self.message?;
        match self.body {
            DraftBody::Unknown => {}
            DraftBody::Page(page) => message.page = Some(page.finish()),
            DraftBody::Other(buffer) => message.payload = buffer.freeze(),
        }
        Ok(message)
    }

    /// Takes what belongs to the lengths and the headers, and gives the others.
    fn take_head<'a>(&mut self, mut piece: &'a [u8]) -> &'a [u8] {
        while self.head.len() < self.of_head && self.message.is_ok() {
            let there = piece.len().min(self.of_head - self.head.len());
            self.head.extend_from_slice(&piece[..there]);
            piece = &piece[there..];
            if self.head.len() < self.of_head {
                break;
            }
            self.message = self.read_head();
        }
        piece
    }

    /// Reads as much of the head as is there: first the lengths, then the headers.
    fn read_head(&mut self) -> Result<EventMessage, Unreadable> {
        if let Some(prelude) = self.head.first_chunk()
            && self.head.len() == PRELUDE
        {
            let (_, of_headers) = lengths(prelude)?;
            self.of_head = PRELUDE + of_headers;
            if self.of_head > self.length - CHECKSUM {
                return EventMessage::with_headers(None, self.length);
            }
            if of_headers > 0 {
                return Ok(EventMessage::default());
            }
        }
        EventMessage::with_headers(self.head.get(PRELUDE..), self.length)
    }
}

impl fmt::Debug for EventDraft {
    /// Not what has been received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventDraft")
            .field("length", &self.length)
            .field("passed", &self.passed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn written(name: &str, payload: &[u8]) -> Bytes {
        let text = |text: &str| HeaderValue::String(text.to_owned().into());
        let message = Message::new(Bytes::copy_from_slice(payload))
            .add_header(Header::new(":message-type", text("event")))
            .add_header(Header::new(":event-type", text(name)))
            .add_header(Header::new(":content-type", text("application/json")));
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes.into()
    }

    fn in_pieces(bytes: &[u8], lengths: &[usize]) -> Result<EventMessage, Unreadable> {
        let pages = PagePool::new();
        let mut draft = EventDraft::new(bytes.len());
        let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
        while draft.missing() > 0 {
            let length = lengths.next().copied().unwrap_or(1).min(rest.len());
            draft.push(&rest[..length], &pages);
            rest = &rest[length..];
        }
        draft.finish()
    }

    const PAGE: &[u8] = br#"{"Records":[{"SequenceNumber":"7","Data":"AAEC"}]}"#;

    proptest! {
        #[test]
        fn a_message_in_pieces_is_what_it_is_as_a_whole(
            lengths in prop::collection::vec(1..60_usize, 1..20),
            other in prop::collection::vec(any::<u8>(), 0..90),
        ) {
            let bytes = written("initial-response", PAGE);
            prop_assert_eq!(in_pieces(&bytes, &lengths), EventMessage::of(&bytes));
            let bytes = written("SubscribeToShardEvent", &other);
            if other.first() != Some(&b'{') {
                prop_assert_eq!(in_pieces(&bytes, &lengths), EventMessage::of(&bytes));
            }
            let bytes = written("SubscribeToShardEvent", PAGE);
            let page = in_pieces(&bytes, &lengths).unwrap().page.unwrap().unwrap();
            prop_assert_eq!(&page.records[0].data[..], [0, 1, 2]);
        }

        /// Also where its page cannot be read any more: what was damaged says nothing of the page.
        #[test]
        fn a_damaged_message_is_refused_as_damaged(
            lengths in prop::collection::vec(1..60_usize, 1..20),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..=255,
        ) {
            let mut bytes = written("SubscribeToShardEvent", PAGE).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(in_pieces(&bytes, &lengths), Err(Unreadable::Checksum));
        }
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        let sealed = |of_headers: u32, rest: &[u8]| {
            let length = u32::try_from(PRELUDE + rest.len() + CHECKSUM).unwrap();
            let mut bytes = [length.to_be_bytes(), of_headers.to_be_bytes()].concat();
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            bytes.extend_from_slice(rest);
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            Bytes::from(bytes)
        };
        for bytes in [
            sealed(4, b"abc"),
            sealed(u32::MAX, b"abc"),
            sealed(3, b"abc{"),
        ] {
            let error = EventMessage::of(&bytes).unwrap_err();
            assert_ne!(error, Unreadable::Checksum);
            assert_eq!(in_pieces(&bytes, &[1]), Err(error));
        }
        let none = sealed(0, b"");
        assert_eq!(in_pieces(&none, &[5]), Ok(EventMessage::default()));
    }
}
