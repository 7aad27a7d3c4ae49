//! What Kinesis answers, as bytes, and what it is asked: nothing here sends or waits.
//!
//! ```text
//!   content type, body  ->  form_of  ->  Cbor or Json, a Reader  ->  page_of: records, the next place
//!                                                                ->  refusal_of: code and message
//! ```
//!
//! The service answers in the form in which it was asked: CBOR (`application/x-amz-cbor-1.1`, which
//! the SDK for Java speaks) or JSON (`application/x-amz-json-1.1`). Now and then it, or what is
//! between, answers in another; so the first byte of a body tells its form as well.
//!
//! The payloads of a page are slices of one buffer: of the body itself in CBOR, of the decoded
//! base64 in JSON. Its keys are parts of one text.
//!
//! What others were seen to send, and what is made of it:
//!
//! | what | here |
//! |---|---|
//! | members in any order, unknown ones, null for one that is absent | any order; skipped, to a depth of [`MAX_DEPTH`]; absent |
//! | lists, maps, and strings in CBOR of unknown length | as those of a known length |
//! | times in CBOR: tag 1 and whole milliseconds (the service, against RFC 8949) | milliseconds |
//! | ... whole seconds without a tag (emulators) | seconds, when below 100,000,000,000 |
//! | ... floating point | seconds |
//! | times in JSON: seconds, also as `1.603149588042E9` | to the nearest millisecond |
//! | base64 with `\/` in it | as without |
//! | HTML or text | [`Unreadable`] |
//!
//! An event of a subscription comes in pieces, and is read as they come (`page_in_pieces`): the page
//! is the same, and it is given out when the last of it is there.
//!
//! A body that is cut off, or goes on after its end, is [`Unreadable`] as a whole: no record of it
//! is given out.

mod cbor;
mod event_draft;
mod event_message;
mod json;
mod page;
mod page_in_pieces;
mod reader;
mod refusal;
mod request;
mod unreadable;

pub(crate) use event_draft::EventDraft;
pub(crate) use event_message::EventMessage;
pub(crate) use page::{NextMember, WirePage, page_of};
pub(crate) use reader::{Form, MAX_DEPTH};
pub(crate) use refusal::{WireRefusal, refusal_of};
pub(crate) use request::get_records;
pub(crate) use unreadable::Unreadable;

#[cfg(test)]
mod cases_test;
#[cfg(test)]
mod page_test;
#[cfg(test)]
mod weight_test;
