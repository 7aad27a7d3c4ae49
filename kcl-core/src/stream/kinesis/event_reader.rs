use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use aws_smithy_types::body::SdkBody;
use bytes::{Buf as _, Bytes};
use http_body::Body as _;

use crate::BoxError;

use super::page_pool::{PageBuffer, PagePool};
use super::wire::{EventMessage, Unreadable};

/// Takes the messages of an event stream off the body of a response, one after the other. A message
/// that comes in several pieces is gathered in one buffer of its length.
///
/// ```text
///   frames      |  ..][ len | message ][ le|n | mess|age ][ ..  |
///                      `rest`: a slice      cut    coming: copied into one buffer
/// ```
///
/// At most one of `cut` and `coming` holds something, and `rest` is empty before the next frame is
/// awaited: nothing is in the future, so dropping it loses no byte.
pub(super) struct EventReader {
    /// Nothing when it has ended.
    body: Option<SdkBody>,
    /// Where a message that comes in pieces is gathered.
    pages: PagePool,
    /// What was taken from the body and belongs to no message yet.
    rest: Bytes,
    /// As much of the next message's length as has come, when it was cut: less than [`LENGTH`]
    /// bytes.
    cut: Vec<u8>,
    /// The message that is coming, and its length.
    coming: Option<(PageBuffer, usize)>,
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
            if let Some(message) = self.gathered().map_err(|error| self.ended(error))? {
                let message = EventMessage::of(&message);
                return match message {
                    Ok(message) => Ok(Some(message)),
                    Err(error) => Err(self.ended(NoMessage::Unreadable(error))),
                };
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

    /// A whole message, if there is one. The length is checked before a buffer of that length is
    /// taken: it is the first thing that a server which does not speak this protocol gets wrong.
    fn gathered(&mut self) -> Result<Option<Bytes>, NoMessage> {
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
                return Err(NoMessage::Unreadable(Unreadable::MessageLength(length)));
            }
            // The usual case for small events: the message is a slice of the frame, and nothing is
            // copied.
            if self.cut.is_empty() && self.rest.len() >= length {
                return Ok(Some(self.rest.split_to(length)));
            }
            let mut buffer = self.pages.buffer(length);
            buffer.data.append(&mut self.cut);
            // The length itself is part of the message: its checksum covers it.
            self.coming = Some((buffer, length));
        }
        let Some((buffer, length)) = &mut self.coming else {
            return Ok(None);
        };
        let there = self.rest.len().min(*length - buffer.data.len());
        buffer.data.extend_from_slice(&self.rest[..there]);
        self.rest.advance(there);
        if buffer.data.len() < *length {
            return Ok(None);
        }
        Ok(self.coming.take().map(|(buffer, _)| buffer.freeze()))
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
