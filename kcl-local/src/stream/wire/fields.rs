//! The types of the members of requests and replies, by name: in the service's model, each name has
//! a single type.
//!
//! A complete model would say the same for each operation; these five names are all that differ
//! between JSON and CBOR.

/// Whether a member is a time: a number of seconds in JSON, tagged milliseconds in CBOR.
pub(super) fn is_timestamp(member: &str) -> bool {
    matches!(
        member,
        "ApproximateArrivalTimestamp"
            | "ConsumerCreationTimestamp"
            | "StreamCreationTimestamp"
            | "Timestamp"
    )
}

/// Whether a member is a payload: Base64 text in JSON, a byte string in CBOR.
pub(super) fn is_blob(member: &str) -> bool {
    member == "Data"
}
