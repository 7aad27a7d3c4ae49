use bytes::Bytes;

use crate::wire::refusal_of;
use crate::wire_oracle::{assert_cbor, assert_json};

/// Reads a page of records, and an error, in both forms.
///
/// # Panics
/// When a page is another than the one that decoders of others find, or is one where they find
/// none.
pub fn page(input: &[u8]) {
    assert_cbor(input);
    assert_json(input);
    refusal_of(None, None, &Bytes::copy_from_slice(input));
}
