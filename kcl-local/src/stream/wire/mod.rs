//! The two formats of requests and replies: JSON and CBOR.
//!
//! ```text
//!   body ──▶ Format::decode ──▶ serde_json::Value ──▶ operation ──▶ serde_json::Value ──▶ Format::encode ──▶ body
//!   pages of records are written straight into the body: records ──▶ RecordWriter
//! ```
//!
//! In a [`serde_json::Value`] a payload is Base64 text and a time is a number of seconds, as in
//! JSON. CBOR has byte strings, and times are tag 1 with *milliseconds*: the AWS SDK for Java sends
//! and reads them like this, although the tag usually means seconds. The members that are times and
//! payloads are listed by name in [`fields`].
//!
//! Nothing here knows an operation: what a reply contains is decided in [`ops`](super::ops).

mod cbor;
mod event;
mod fields;
mod format;
mod page;
mod reply;

pub(super) use cbor::read as read_cbor;
pub(super) use event::{exception, initial_response, subscribe_event};
pub(super) use format::Format;
pub(super) use page::{PageEnd, get_records_body, subscribe_body};
pub(super) use reply::{Refusal, refuse, reply, reply_value, server_failure};
