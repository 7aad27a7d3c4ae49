use crate::model::InvalidValue;

use super::MAX_DEPTH;

/// A body is not what it should be. Nothing of what stands in it is told: it may be data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Something else stands there, or nothing.
    #[error("expected {expected} at byte {at} of {length}")]
    Unexpected {
        expected: &'static str,
        at: usize,
        length: usize,
    },
    /// It may have no end.
    #[error("values are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Which of them counts is not known.
    #[error("`{0}` stands in it twice")]
    Twice(&'static str),
    /// What was answered is no page.
    #[error("none of the members of a page is in it")]
    NoPage,
    /// What was answered is of another kind, such as HTML.
    #[error("expected CBOR or JSON, got the content type `{content_type}` and {first}")]
    OfNeitherForm { content_type: String, first: String },
    /// A message was damaged on its way.
    #[error("the checksum of a message does not match")]
    Checksum,
    /// No message has this length.
    #[error("a message claims a length of {0} bytes")]
    MessageLength(usize),
    /// The response ended where it may not.
    #[error("the response ended within a message")]
    CutOff,
    /// A message is neither an event nor an exception.
    #[error("a message is of an unknown type")]
    MessageKind,
    /// A record without its place cannot be handed on.
    #[error("the answer holds an invalid sequence number")]
    Sequence(#[source] InvalidValue),
}
