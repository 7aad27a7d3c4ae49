use std::ops::Range;

use md5::{Digest, Md5};

use super::message::Corrupt;

/// What an aggregate begins with.
pub(crate) const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
/// What it ends with: an MD5 digest.
pub(crate) const DIGEST: usize = 16;

/// The digest that follows a message.
pub(crate) fn digest(message: &[u8]) -> [u8; DIGEST] {
    Md5::digest(message).into()
}

/// Where the message is, if these bytes say that they are an aggregate.
pub(super) fn open(data: &[u8]) -> Option<Result<Range<usize>, Corrupt>> {
    let rest = data.strip_prefix(&MAGIC)?;
    Some(match rest.split_last_chunk::<DIGEST>() {
        None => Err(Corrupt::Cut),
        Some((message, expected)) if digest(message) == *expected => Ok(MAGIC.len()..MAGIC.len() + message.len()),
        Some(_) => Err(Corrupt::Digest),
    })
}
