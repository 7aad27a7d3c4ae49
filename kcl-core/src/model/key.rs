//! A key as a part of a text that many keys share.
//!
//! A page of 10,000 records would otherwise allocate 10,000 strings that most applications never
//! look at. In a [`Record`](super::Record) a key takes 24 bytes whatever its length.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The partition key or explicit hash key of a user record: text that dereferences to `&str`.
/// Cloning it copies no text.
///
/// The keys of an aggregate, or of a page of records, share one allocation, so keeping one of them
/// keeps all of them in memory.
///
/// # Examples
/// ```
/// use std::collections::HashMap;
///
/// use kcl_core::model::Key;
///
/// let key = Key::new("customer-7");
/// assert_eq!((key.len(), &key[..8]), (10, "customer"));
/// // A map by `Key` can be asked with a `&str`.
/// let orders = HashMap::from([(key, 3)]);
/// assert_eq!(orders.get("customer-7"), Some(&3));
/// ```
#[derive(Clone)]
pub struct Key {
    /// The keys of all records of one page or one aggregate, one behind the other.
    text: Arc<str>,
    /// Where the key begins in `text`, in bytes. 32 bits are enough: no page of the service comes
    /// near 4 GiB.
    start: u32,
    /// Where the key ends, in bytes; [`TO_THE_END`] for the end of `text`. Not an `Option`, which
    /// would make each key longer by eight bytes, and a page has as many as 20,000.
    end: u32,
}

/// As the end of a key: that of the text, however long it is.
const TO_THE_END: u32 = u32::MAX;

impl Key {
    /// Creates a key with this text. The key has the text for itself.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self {
            text: text.into(),
            start: 0,
            end: TO_THE_END,
        }
    }

    /// The key that is the bytes `start..end` of a text, which many keys may share. Bounds that are
    /// not those of a part give an empty key. A bound inside a character counts as one, too, so no
    /// input can cause a panic.
    #[must_use]
    pub fn part(text: &Arc<str>, start: u32, end: u32) -> Self {
        Self {
            text: Arc::clone(text),
            start,
            end,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let start = self.start as usize;
        let part = match self.end {
            TO_THE_END => self.text.get(start..),
            end => self.text.get(start..end as usize),
        };
        part.unwrap_or_default()
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl PartialEq for Key {
    /// By the text: two keys that share nothing may be equal.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Key {}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    /// In the order of bytes, as for `&str`, which [`Borrow`] requires.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Key {
    /// Shows the length, not the text: keys are the users' data and do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    /// A part of a shared text is the same key as the text by itself.
    #[test]
    fn part_of_a_shared_text_is_the_same_key_as_the_text() {
        let text: Arc<str> = "onetwo".into();
        let (one, two) = (Key::part(&text, 0, 3), Key::part(&text, 3, 6));
        assert_eq!((one.as_str(), two.as_str()), ("one", "two"));
        assert_eq!(two, Key::new("two"));
        assert!(one < two);
        assert_eq!(HashMap::from([(two.clone(), 2)]).get("two"), Some(&2));
        assert_eq!(BTreeMap::from([(two, 2)]).get("two"), Some(&2));
        assert_eq!(format!("{one} {one:?}"), "one Key(3 bytes)");
    }
}
