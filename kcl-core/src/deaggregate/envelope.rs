use std::ops::Range;

use super::digests::DIGEST;
use super::message::Corrupt;

/// What an aggregate begins with.
pub(crate) const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// Where the message is, if these bytes say that they are an aggregate. Its digest follows it.
pub(super) fn open(data: &[u8]) -> Option<Result<Range<usize>, Corrupt>> {
    let rest = data.strip_prefix(&MAGIC)?;
    Some(match rest.split_last_chunk::<DIGEST>() {
        None => Err(Corrupt::Cut),
        Some((message, _)) => Ok(MAGIC.len()..MAGIC.len() + message.len()),
    })
}
