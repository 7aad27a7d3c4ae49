/// An invalid value: a text that cannot be parsed, or a number out of range. The message says what
/// kind of value it is, what was given, and what is expected.
///
/// ```
/// use kcl_core::model::StreamName;
///
/// let error = "s!t".parse::<StreamName>().unwrap_err();
/// assert!(error.to_string().starts_with("invalid stream name `s!t`: expected a name of 1 to 128"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {value}: expected {expected}")]
pub struct InvalidValue {
    what: &'static str,
    value: String,
    expected: String,
}

impl InvalidValue {
    /// The error for a text. Only its first characters are repeated, because it may be anything
    /// that was written into a table.
    pub(crate) fn text(
        what: &'static str,
        text: &str,
        repeated: usize,
        expected: impl Into<String>,
    ) -> Self {
        let text: String = text.chars().take(repeated).collect();
        Self::new(what, format!("`{text}`"), expected)
    }

    pub(crate) fn new(
        what: &'static str,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let (value, expected) = (value.into(), expected.into());
        Self {
            what,
            value,
            expected,
        }
    }
}
