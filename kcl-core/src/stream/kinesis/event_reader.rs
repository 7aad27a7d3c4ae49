use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use aws_smithy_types::body::SdkBody;
use bytes::{Buf as _, Bytes};
use http_body::Body as _;

use crate::BoxError;

use super::page_pool::PagePool;
use super::wire::{EventDraft, EventMessage, Unreadable};

/// Takes the messages of an event stream off the body of a response, one after the other. A message
/// that comes in several pieces is read piece by piece.
///
/// ```text
///   frames      |  ..][ len | message ][ le|n | mess|age ][ ..  |
///                      `rest`: a slice      cut    coming
/// ```
///
/// At most one of `cut` and `coming` holds something, and `rest` is empty before the next frame is
/// awaited: nothing is in the future, so dropping it loses no byte.
pub(super) struct EventReader {
    /// Nothing when it has ended.
    body: Option<SdkBody>,
    /// Where the buffers of a message that comes in pieces are from.
    pages: PagePool,
    /// What was taken from the body and belongs to no message yet.
    rest: Bytes,
    /// As much of the next message's length as has come, when it was cut: less than [`LENGTH`]
    /// bytes.
    cut: Vec<u8>,
    /// The message that is coming.
    coming: Option<EventDraft>,
}

/// Why there is no message.
#[derive(Debug)]
pub(super) enum NoMessage {
    /// The connection is lost.
    Lost(BoxError),
    /// What came is no message.
    Unreadable(Unreadable),
}

/// The length of a message, at its beginning.
const LENGTH: usize = size_of::<u32>();

impl EventReader {
    /// At the beginning of a response.
    pub(super) fn new(body: SdkBody, pages: PagePool) -> Self {
        Self {
            body: Some(body),
            pages,
            rest: Bytes::new(),
            cut: Vec::new(),
            coming: None,
        }
    }

    /// The next message; nothing at the end of the response, and after an error. Cancel safe: what
    /// has come of a message is kept.
    pub(super) async fn next(&mut self) -> Result<Option<EventMessage>, NoMessage> {
        loop {
            match self.whole() {
                Ok(None) => {}
                Ok(message) => return Ok(message),
                Err(error) => return Err(self.ended(NoMessage::Unreadable(error))),
            }
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
                // A frame without data holds trailers, which say nothing that is of use here.
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(self.ended(NoMessage::Lost(error))),
                None => {
                    let has_begun = self.coming.is_some() || !self.cut.is_empty();
                    self.body = None;
                    return if has_begun {
                        Err(self.ended(NoMessage::Unreadable(Unreadable::CutOff)))
                    } else {
                        Ok(None)
                    };
                }
            }
        }
    }

    /// A whole message, if there is one. The length is checked before anything of that length is
    /// awaited: it is the first thing that a server which does not speak this protocol gets wrong.
    fn whole(&mut self) -> Result<Option<EventMessage>, Unreadable> {
        if self.coming.is_none() {
            let missing = LENGTH - self.cut.len();
            if self.rest.len() < missing {
                self.cut.extend_from_slice(&self.rest);
                self.rest.clear();
                return Ok(None);
            }
            let mut length = [0; LENGTH];
            let (before, after) = length.split_at_mut(self.cut.len());
            before.copy_from_slice(&self.cut);
            after.copy_from_slice(&self.rest[..missing]);
            let length = u32::from_be_bytes(length) as usize;
            if !(EventMessage::SHORTEST..=EventMessage::LONGEST).contains(&length) {
                return Err(Unreadable::MessageLength(length));
            }
            // The usual case for small events: the message is a slice of the frame, and nothing is
            // copied.
            if self.cut.is_empty() && self.rest.len() >= length {
                return EventMessage::of(&self.rest.split_to(length)).map(Some);
            }
            let mut coming = EventDraft::new(length);
            // The length itself is part of the message: its checksum covers it.
            coming.push(&self.cut, &self.pages);
            self.cut.clear();
            self.coming = Some(coming);
        }
        let Some(coming) = &mut self.coming else {
            return Ok(None);
        };
        let there = self.rest.len().min(coming.missing());
        coming.push(&self.rest[..there], &self.pages);
        self.rest.advance(there);
        if coming.missing() > 0 {
            return Ok(None);
        }
        self.coming.take().map(EventDraft::finish).transpose()
    }

    /// Nothing more is read after an error: the connection's place is free again.
    fn ended(&mut self, error: NoMessage) -> NoMessage {
        *self = Self {
            body: None,
            ..Self::new(SdkBody::empty(), self.pages.clone())
        };
        error
    }
}

impl fmt::Debug for EventReader {
    /// Not what has been received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReader")
            .field("has_ended", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
