use std::ops::Range;

use super::digests::DIGEST;
use super::message::Corrupt;

/// The magic number with which an aggregate begins. It is not proof of one: a payload of an
/// application may begin with the same bytes, so only the digest at the end decides.
pub(crate) const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// Whether these bytes start like an aggregate.
pub(super) fn begins(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// If these bytes start like an aggregate, the range of the message in them. The digest follows it.
/// `None` if it is an ordinary record. Nothing is parsed or hashed here, which keeps ordinary
/// records cheap: for them this is the whole of deaggregation.
pub(super) fn open(data: &[u8]) -> Option<Result<Range<usize>, Corrupt>> {
    let rest = data.strip_prefix(&MAGIC)?;
    Some(match rest.split_last_chunk::<DIGEST>() {
        None => Err(Corrupt::Cut),
        Some((message, _)) => Ok(MAGIC.len()..MAGIC.len() + message.len()),
    })
}
