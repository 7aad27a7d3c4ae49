//! The token that a change on the page needs.

use std::fs;
use std::path::Path;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq as _;

use crate::failure::Failure;

/// The shortest token that a file may hold, in bytes: a short one can be guessed, and nothing here
/// counts the guesses.
const SHORTEST: usize = 16;

/// What a request has to know to change something. Its text is in no log and no answer.
#[derive(Clone)]
pub(super) struct ChangeToken(String);

impl ChangeToken {
    /// A new one, of 128 bits.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn random() -> Result<Self, Failure> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            Failure::new(
                "cannot make a token: the system gave no random numbers",
                error,
            )
        })?;
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// The one in a file, without the white space around it.
    ///
    /// # Errors
    /// The file cannot be read, or the token is too short.
    pub(super) fn of_file(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::new(
                format!("cannot read the token in {}", path.display()),
                error,
            )
        })?;
        let token = text.trim();
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::of(format!(
                "the token in {} has {} characters: expected one word of at least {SHORTEST} ASCII \
                 characters",
                path.display(),
                token.len()
            )));
        }
        Ok(Self(token.to_owned()))
    }

    /// For the person who started the program.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether a request has it: `Authorization: Bearer TOKEN`. It takes as long for a wrong one as
    /// for the right one, so that the time does not tell how much of it is right.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .and_then(|value| value.strip_prefix(b"Bearer "))
            .unwrap_or_default();
        given.ct_eq(self.0.as_bytes()).into()
    }
}

impl std::fmt::Debug for ChangeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChangeToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, text.parse().unwrap());
        headers
    }

    #[test]
    fn only_the_whole_token_is_taken() {
        let token = ChangeToken::random().unwrap();
        let text = token.text().to_owned();
        assert_eq!(text.len(), 32);
        assert!(token.is_in(&with(&format!("Bearer {text}"))));
        let (shorter, other) = (&text[..31], text.replace(&text[..1], "_"));
        for wrong in [
            "Bearer ",
            "Basic a",
            &text,
            &format!("Bearer {shorter}"),
            &format!("Bearer {text}0"),
            &format!("Bearer {other}"),
        ] {
            assert!(!token.is_in(&with(wrong)), "{wrong}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
        assert_eq!(format!("{token:?}"), "ChangeToken");
    }

    #[test]
    fn a_token_of_a_file_is_one_word_of_some_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(ChangeToken::of_file(&path).is_err());
        for (text, is_right) in [
            ("0123456789abcdef\n", true),
            ("0123456789abcde\n", false),
            ("", false),
            ("01234567 89abcdef", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(ChangeToken::of_file(&path).is_ok(), is_right, "{text:?}");
        }
    }
}
