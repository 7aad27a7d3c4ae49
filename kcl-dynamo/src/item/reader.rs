use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, LEASE_KEY};

/// What an attribute holds and must not.
#[derive(Debug, thiserror::Error)]
#[error("the attribute `{attribute}` of the row `{row}` {found}: allowed is {allowed}")]
pub(crate) struct Broken {
    attribute: &'static str,
    row: String,
    found: String,
    allowed: &'static str,
}

/// As much of a value is kept in an error: it may be anything that somebody wrote into the table.
const SHOWN: usize = 160;

/// Reads the attributes of an item, and says of which row a broken one is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a Item);

impl<'a> Reader<'a> {
    /// The key, if the item has one that is text.
    pub(crate) fn key(self) -> &'a str {
        self.0.get(LEASE_KEY).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
    }

    pub(crate) fn has(self, attribute: &str) -> bool {
        self.0.contains_key(attribute)
    }

    pub(crate) fn broken(self, attribute: &'static str, found: Option<&str>, allowed: &'static str) -> Broken {
        let found = found.map_or_else(|| "is missing".to_owned(), |found| format!("holds `{}`", cut(found)));
        Broken { attribute, row: cut(self.key()), found, allowed }
    }

    fn typed<T: ?Sized>(
        self,
        attribute: &'static str,
        allowed: &'static str,
        take: impl FnOnce(&'a AttributeValue) -> Result<&'a T, &'a AttributeValue>,
    ) -> Result<Option<&'a T>, Broken> {
        let Some(value) = self.0.get(attribute) else { return Ok(None) };
        take(value).map(Some).map_err(|other| self.broken(attribute, Some(type_of(other)), allowed))
    }

    /// Text, if it is there.
    pub(crate) fn text(self, attribute: &'static str) -> Result<Option<&'a str>, Broken> {
        Ok(self.typed(attribute, "text (S)", AttributeValue::as_s)?.map(String::as_str))
    }

    /// Text that has to be there.
    pub(crate) fn needed_text(self, attribute: &'static str) -> Result<&'a str, Broken> {
        self.text(attribute)?.ok_or_else(|| self.broken(attribute, None, "text (S)"))
    }

    /// A whole number, if it is there.
    pub(crate) fn number<T: FromStr>(self, attribute: &'static str) -> Result<Option<T>, Broken> {
        const ALLOWED: &str = "a whole number (N) in its range";
        let Some(text) = self.typed(attribute, ALLOWED, AttributeValue::as_n)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.broken(attribute, Some(text), ALLOWED))
    }

    /// A whole number that has to be there.
    pub(crate) fn needed_number<T: FromStr>(self, attribute: &'static str) -> Result<T, Broken> {
        self.number(attribute)?.ok_or_else(|| self.broken(attribute, None, "a whole number (N)"))
    }

    /// A truth value; false when it is missing.
    pub(crate) fn truth(self, attribute: &'static str) -> Result<bool, Broken> {
        Ok(self.typed(attribute, "a truth value (BOOL)", AttributeValue::as_bool)?.copied().unwrap_or(false))
    }

    /// Bytes, if they are there.
    pub(crate) fn bytes(self, attribute: &'static str) -> Result<Option<&'a [u8]>, Broken> {
        Ok(self.typed(attribute, "bytes (B)", AttributeValue::as_b)?.map(AsRef::as_ref))
    }

    /// A set of texts in order, empty when it is missing: a set has no order of its own.
    pub(crate) fn set(self, attribute: &'static str) -> Result<Vec<&'a str>, Broken> {
        let set = self.typed(attribute, "a set of texts (SS)", AttributeValue::as_ss)?;
        let mut texts: Vec<&str> = set.map(Vec::as_slice).unwrap_or_default().iter().map(String::as_str).collect();
        texts.sort_unstable();
        Ok(texts)
    }

    /// A list of texts, empty when it is missing.
    pub(crate) fn texts(self, attribute: &'static str) -> Result<Vec<&'a str>, Broken> {
        let list = self.typed(attribute, "a list of texts (L of S)", AttributeValue::as_l)?;
        let text = |value: &'a AttributeValue| {
            let text = value.as_s().map(String::as_str);
            text.map_err(|other| self.broken(attribute, Some(type_of(other)), "a list of texts (L of S)"))
        };
        list.map(Vec::as_slice).unwrap_or_default().iter().map(text).collect()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// The type alone: the value may be long, or somebody's secret.
fn type_of(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::S(_) => "a text (S)",
        AttributeValue::N(_) => "a number (N)",
        AttributeValue::B(_) => "bytes (B)",
        AttributeValue::Bool(_) => "a truth value (BOOL)",
        AttributeValue::Null(_) => "NULL",
        AttributeValue::Ss(_) => "a set of texts (SS)",
        AttributeValue::Ns(_) => "a set of numbers (NS)",
        AttributeValue::Bs(_) => "a set of bytes (BS)",
        AttributeValue::L(_) => "a list (L)",
        AttributeValue::M(_) => "a map (M)",
        _ => "a value of an unknown type",
    }
}

impl From<Broken> for kcl_core::lease::Error {
    /// Trying again does not mend a row.
    fn from(broken: Broken) -> Self {
        Self::Fatal { message: broken.to_string(), source: Some(Box::new(broken)) }
    }
}
