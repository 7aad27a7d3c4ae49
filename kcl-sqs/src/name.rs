//! The identifiers that a FIFO queue asks for.

use md5::{Digest, Md5};

/// As many characters as SQS allows in a message group id and in a deduplication id.
const MOST: usize = 128;

/// This text where SQS allows it as an identifier, or else `md5:` and its digest. SQS allows
/// letters, digits and punctuation of ASCII.
pub(crate) fn identifier(text: &str) -> String {
    let is_allowed =
        (1..=MOST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_allowed {
        return text.to_owned();
    }
    format!("md5:{}", digest(text))
}

/// The MD5 digest of this text in hexadecimal, as SQS says it of a body.
pub(crate) fn digest(text: &str) -> String {
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
