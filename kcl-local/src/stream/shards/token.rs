//! The `NextToken` of `ListShards`.
//!
//! It contains what the first request said, in Base64, so the server keeps no state of listings. It
//! is not encrypted: it holds nothing that its owner does not know.

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Filter;

/// Where a listing continues, and what it lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::stream) struct PageToken {
    /// The stream that is listed.
    pub(in crate::stream) stream: String,
    /// Which of its shards are shown.
    pub(in crate::stream) filter: Filter,
    /// The last shard that was shown.
    pub(in crate::stream) after: String,
    /// When the token was issued, in milliseconds since the Unix epoch.
    pub(in crate::stream) given_ms: u64,
}

/// How long a token is valid (`ListShards`: 300 seconds).
const VALID_MS: u64 = 300_000;

impl PageToken {
    /// The token as clients receive it.
    pub(in crate::stream) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Parses a token; `None` if it is not one of this server.
    pub(in crate::stream) fn decode(token: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode_to_vec(token).ok()?).ok()
    }

    /// Whether the token is too old at `now_ms`.
    pub(in crate::stream) fn has_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.given_ms) > VALID_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_ends_after_five_minutes() {
        let token = PageToken {
            stream: "s".into(),
            filter: Filter::AtTimestamp(7),
            after: "shard".into(),
            given_ms: 1_000,
        };
        let read = PageToken::decode(&token.encode()).expect("own token");
        assert_eq!(read, token);
        assert!(!read.has_expired(301_000) && read.has_expired(301_001));
        assert_eq!(PageToken::decode("shardId-000000000003"), None);
    }
}
