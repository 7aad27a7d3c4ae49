//! Attributes of an item by type.

use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;

use kcl_core::lease::{MalformedRow, RowKey};
use kcl_core::model::{LeaseKey, WorkerId};

use super::attribute::{INCARNATION, Item, LEASE_KEY, SIGNAL_KEY, WORKER};

/// Reads the attributes of an item; its errors name the row, the attribute, what was found and what
/// is expected. The value of an attribute is shown only where a person needs it to repair the row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a Item);

impl<'a> Reader<'a> {
    /// The key; empty if the item has none that is text.
    pub(crate) fn key(self) -> &'a str {
        self.0
            .get(LEASE_KEY)
            .and_then(|value| value.as_s().ok())
            .map_or("", String::as_str)
    }

    /// Whether the attribute exists, whatever its type.
    pub(crate) fn has(self, attribute: &str) -> bool {
        self.0.contains_key(attribute)
    }

    /// Whether it is this crate's row of a worker: it has the mark or, if that was removed, the
    /// worker's name.
    pub(crate) fn is_our_worker(self) -> bool {
        self.has(INCARNATION) || self.has(WORKER)
    }

    /// The error for an attribute of this row.
    pub(crate) fn malformed(
        self,
        attribute: &'static str,
        found: Option<&str>,
        allowed: &'static str,
    ) -> MalformedRow {
        MalformedRow::new(self.row(), attribute, found, allowed)
    }

    /// Which row it is, as far as its key and this crate's marks show.
    fn row(self) -> RowKey {
        if self.key() == SIGNAL_KEY {
            return RowKey::Signal;
        }
        if self.is_our_worker() {
            let name = self.0.get(WORKER).and_then(|value| value.as_s().ok());
            return RowKey::Worker(WorkerId::from(
                name.map_or_else(|| self.key(), String::as_str),
            ));
        }
        RowKey::Lease(LeaseKey::parse(self.key()))
    }

    /// The value, if it has this type. A wrong type is an error even where the attribute may be
    /// missing.
    fn typed<T: ?Sized>(
        self,
        attribute: &'static str,
        allowed: &'static str,
        take: impl FnOnce(&'a AttributeValue) -> Result<&'a T, &'a AttributeValue>,
    ) -> Result<Option<&'a T>, MalformedRow> {
        let Some(value) = self.0.get(attribute) else {
            return Ok(None);
        };
        take(value)
            .map(Some)
            .map_err(|other| self.malformed(attribute, Some(type_of(other)), allowed))
    }

    /// Text, or `None` if it is missing.
    pub(crate) fn text(self, attribute: &'static str) -> Result<Option<&'a str>, MalformedRow> {
        Ok(self
            .typed(attribute, "text (S)", AttributeValue::as_s)?
            .map(String::as_str))
    }

    /// Text that must not be missing.
    pub(crate) fn needed_text(self, attribute: &'static str) -> Result<&'a str, MalformedRow> {
        self.text(attribute)?
            .ok_or_else(|| self.malformed(attribute, None, "text (S)"))
    }

    /// A whole number, or `None` if it is missing.
    pub(crate) fn number<T: FromStr>(
        self,
        attribute: &'static str,
    ) -> Result<Option<T>, MalformedRow> {
        const ALLOWED: &str = "a whole number (N) in its range";
        let Some(text) = self.typed(attribute, ALLOWED, AttributeValue::as_n)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| self.malformed(attribute, Some(text), ALLOWED))
    }

    /// A whole number that must not be missing.
    pub(crate) fn needed_number<T: FromStr>(
        self,
        attribute: &'static str,
    ) -> Result<T, MalformedRow> {
        self.number(attribute)?
            .ok_or_else(|| self.malformed(attribute, None, "a whole number (N)"))
    }

    /// A boolean; false if it is missing.
    pub(crate) fn truth(self, attribute: &'static str) -> Result<bool, MalformedRow> {
        Ok(self
            .typed(attribute, "a truth value (BOOL)", AttributeValue::as_bool)?
            .copied()
            .unwrap_or(false))
    }

    /// Bytes, or `None` if they are missing.
    pub(crate) fn bytes(self, attribute: &'static str) -> Result<Option<&'a [u8]>, MalformedRow> {
        Ok(self
            .typed(attribute, "bytes (B)", AttributeValue::as_b)?
            .map(AsRef::as_ref))
    }

    /// A set of texts, sorted, because a set has no order of its own; empty if it is missing.
    pub(crate) fn set(self, attribute: &'static str) -> Result<Vec<&'a str>, MalformedRow> {
        let set = self.typed(attribute, "a set of texts (SS)", AttributeValue::as_ss)?;
        let mut texts: Vec<&str> = set
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(String::as_str)
            .collect();
        texts.sort_unstable();
        Ok(texts)
    }

    /// A list of texts; empty if it is missing.
    pub(crate) fn texts(self, attribute: &'static str) -> Result<Vec<&'a str>, MalformedRow> {
        let list = self.typed(attribute, "a list of texts (L of S)", AttributeValue::as_l)?;
        let text = |value: &'a AttributeValue| {
            let text = value.as_s().map(String::as_str);
            text.map_err(|other| {
                self.malformed(attribute, Some(type_of(other)), "a list of texts (L of S)")
            })
        };
        list.map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(text)
            .collect()
    }
}

/// Only the type: the value may be long or secret.
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
