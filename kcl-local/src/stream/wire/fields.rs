//! What the members of requests and replies are, by name: the model of the service names them all
//! differently.

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
