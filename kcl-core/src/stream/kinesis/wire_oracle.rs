//! What [`wire`](super::wire) should make of a body, found out with the decoders of others: for its
//! tests, and for fuzzing it.

use std::fmt;

use bytes::Bytes;
use ciborium::Value as CborValue;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::page_pool::PagePool;
use super::wire::{EventDraft, MAX_DEPTH, NextMember, Unreadable, WirePage, page_of};

use crate::model::{ChildShard, Encryption, HashKeyRange, RawRecord, ShardId, Timestamp};

/// A value of either form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Whole(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    /// Names that are no text are nothing.
    Map(Vec<(Option<String>, Self)>),
    Tag(u64, Box<Self>),
    /// One that no member of ours has.
    Other,
}

/// Compares what is made of a body in CBOR with what it should be.
///
/// # Panics
/// If it is something else.
pub(crate) fn assert_cbor(body: &[u8]) {
    let found = page(Some("application/x-amz-cbor-1.1"), body);
    // JSON, whatever it is said to be; and a tag before the page, which nobody sends.
    if body.trim_ascii_start().starts_with(b"{") || body.first().is_some_and(|byte| byte >> 5 == 6)
    {
        return;
    }
    // Tags 2 and 3 make a number of a byte string there, and other lengths of the same tags too.
    if body
        .iter()
        .any(|byte| matches!(byte, 0xC2 | 0xC3 | 0xD8..=0xDB))
    {
        return;
    }
    let mut rest = body;
    let tree = ciborium::from_reader::<CborValue, _>(&mut rest)
        .ok()
        .filter(|_| rest.is_empty())
        .map(Tree::from);
    // Simple values that have no meaning yet (RFC 8949, section 3.3) are not read there at all.
    let is_strict = !body.iter().any(|byte| matches!(byte, 0xE0..=0xF3 | 0xF8));
    compare(found, tree, true, is_strict);
}

/// Compares what is made of a body in JSON with what it should be.
///
/// # Panics
/// If it is something else.
pub(crate) fn assert_json(body: &[u8]) {
    let found = page(Some("application/x-amz-json-1.1"), body);
    let (tree, is_strict) = match serde_json::from_slice::<Tree>(body) {
        Ok(tree) => (Some(tree), true),
        // A number that is not looked at may be of any size.
        Err(error) => (None, !error.to_string().starts_with("number out of range")),
    };
    compare(found, tree, false, is_strict);
    assert_in_pieces(body);
}

/// Compares what is made of a body that comes in pieces with what is made of it as a whole.
///
/// # Panics
/// If it is something else.
fn assert_in_pieces(body: &[u8]) {
    let next = NextMember::ContinuationSequenceNumber;
    let whole = page_of(None, &Bytes::copy_from_slice(body), next, &PagePool::new());
    let whole = whole.map(|(page, _)| page);
    let message = event(body);
    let pages = PagePool::new();
    for cut in (0..message.len()).step_by(1 + message.len() / 16) {
        let mut draft = EventDraft::new(message.len());
        for piece in [&message[..cut], &message[cut..]] {
            draft.push(piece, &pages);
        }
        let message = draft.finish().expect("a message");
        match message.page {
            Some(page) => assert_eq!(page, whole, "cut at {cut}"),
            None => assert_eq!(message.payload, body),
        }
    }
}

/// A message of a subscription with this payload.
fn event(payload: &[u8]) -> Vec<u8> {
    let headers = [
        (":message-type", "event"),
        (":event-type", "SubscribeToShardEvent"),
    ];
    let headers = headers.map(|(name, value)| {
        let length = |text: &str| u8::try_from(text.len()).unwrap_or_default();
        // A value of the type 7 is a text.
        let lengths = [&[length(name)][..], &[7, 0, length(value)][..]];
        [lengths[0], name.as_bytes(), lengths[1], value.as_bytes()].concat()
    });
    let headers = headers.concat();
    let mut message = Vec::new();
    for length in [16 + headers.len() + payload.len(), headers.len()] {
        message.extend(u32::try_from(length).unwrap_or_default().to_be_bytes());
    }
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&headers);
    message.extend_from_slice(payload);
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message
}

fn page(content_type: Option<&str>, body: &[u8]) -> Result<WirePage, Unreadable> {
    page_of(
        content_type,
        &Bytes::copy_from_slice(body),
        NextMember::NextShardIterator,
        &PagePool::new(),
    )
    .map(|(page, _)| page)
}

fn compare(
    found: Result<WirePage, Unreadable>,
    tree: Option<Tree>,
    is_cbor: bool,
    is_strict: bool,
) {
    let Some(tree) = tree else {
        assert!(
            !is_strict || found.is_err(),
            "no value, and read: {found:?}"
        );
        return;
    };
    if found == Err(Unreadable::TooDeep) {
        assert!(depth(&tree) > u32::from(MAX_DEPTH));
        return;
    }
    // A piece of a string has a known length (RFC 8949, section 3.2.3). The other decoder takes
    // pieces within pieces.
    if let Err(Unreadable::Unexpected { expected, .. }) = &found
        && is_cbor
        && *expected == "a piece of a string"
    {
        return;
    }
    match (found, expected(tree, is_cbor)) {
        (Ok(found), Some(expected)) => assert_same(&found, &expected),
        (Err(_), None) => {}
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

/// Numbers in floating point are read to the last bit by one of us.
fn assert_same(found: &WirePage, expected: &WirePage) {
    let near = |found: Option<i64>, expected: Option<i64>| match (found, expected) {
        (Some(found), Some(expected)) => {
            found.abs_diff(expected) <= 1 + expected.unsigned_abs() / (1 << 52)
        }
        (found, expected) => found == expected,
    };
    let millis = |record: &RawRecord| record.arrived_at.map(Timestamp::as_millis);
    let behind = |page: &WirePage| page.millis_behind_latest.map(u64::cast_signed);
    assert!(
        near(behind(found), behind(expected)),
        "{found:?} {expected:?}"
    );
    assert_eq!(found.records.len(), expected.records.len());
    let mut found = found.clone();
    found.millis_behind_latest = expected.millis_behind_latest;
    for (record, expected) in found.records.iter_mut().zip(&expected.records) {
        assert!(
            near(millis(record), millis(expected)),
            "{record:?} {expected:?}"
        );
        record.arrived_at = expected.arrived_at;
    }
    assert_eq!(&found, expected);
}

fn depth(tree: &Tree) -> u32 {
    let deepest = match tree {
        Tree::List(items) => items.iter().map(depth).max(),
        // A name that is no text may be of any depth itself.
        Tree::Map(entries) if entries.iter().any(|(name, _)| name.is_none()) => return 1_000,
        Tree::Map(entries) => entries.iter().map(|(_, value)| depth(value)).max(),
        Tree::Tag(_, inner) => return depth(inner),
        _ => return 0,
    };
    1 + deepest.unwrap_or_default()
}

/// The page that a value is; nothing if it is none.
fn expected(tree: Tree, is_cbor: bool) -> Option<WirePage> {
    let (mut page, mut has_records, mut has_any) = (WirePage::default(), false, false);
    for (name, value) in map(tree)? {
        match name.as_deref() {
            Some("Records") => {
                if std::mem::replace(&mut has_records, true) {
                    return None;
                }
                page.records = list(value)?
                    .into_iter()
                    .map(|value| record(value, is_cbor))
                    .collect::<Option<_>>()?;
            }
            Some("NextShardIterator") => page.next = text(value)?,
            Some("MillisBehindLatest") => {
                page.millis_behind_latest = match value.unless_null() {
                    Tree::Null => None,
                    Tree::Whole(count) => u64::try_from(count).ok(),
                    Tree::Float(count) => (count >= 0.0).then_some(count as u64),
                    _ => return None,
                }
            }
            Some("ChildShards") => {
                let children = list(value)?.into_iter().map(child);
                let children: Vec<_> = children.collect::<Option<_>>()?;
                page.children = children
                    .into_iter()
                    .collect::<Option<_>>()
                    .unwrap_or_default();
            }
            _ => continue,
        }
        has_any = true;
    }
    has_any.then_some(page)
}

fn record(tree: Tree, is_cbor: bool) -> Option<RawRecord> {
    let (mut sequence, mut key, mut data) = (None, None, None);
    let (mut at, mut encryption) = (None, Encryption::None);
    for (name, value) in map(tree)? {
        match name.as_deref() {
            Some("SequenceNumber") => {
                sequence = text(value)?.map(|text| text.parse());
                if matches!(sequence, Some(Err(_))) {
                    return None;
                }
            }
            Some("PartitionKey") => key = text(value)?,
            Some("Data") => {
                data = match (value.unless_null(), is_cbor) {
                    (Tree::Null, _) => None,
                    (Tree::Bytes(data), true) => Some(data),
                    (Tree::Text(text), false) => {
                        Some(base64_simd::STANDARD.decode_to_vec(text).ok()?)
                    }
                    _ => return None,
                }
            }
            Some("ApproximateArrivalTimestamp") => at = time(value, is_cbor)?,
            Some("EncryptionType") => {
                encryption = match text(value)?.as_deref() {
                    Some("KMS") => Encryption::Kms,
                    _ => Encryption::None,
                }
            }
            _ => {}
        }
    }
    let (key, data) = (key.unwrap_or_default(), data.unwrap_or_default());
    let mut record = RawRecord::new(sequence?.ok()?, key, data).encrypted(encryption);
    record.arrived_at = at;
    Some(record)
}

/// A time, which may be nothing; nothing at all if it is none.
#[expect(clippy::option_option, reason = "a value that may be null, or none")]
fn time(tree: Tree, is_cbor: bool) -> Option<Option<Timestamp>> {
    let is_tagged = matches!(tree, Tree::Tag(1, _));
    let millis = match tree.unless_null() {
        Tree::Null => None,
        Tree::Whole(seconds) if !is_cbor => Some(seconds as f64 * 1_000.0),
        Tree::Whole(millis) if is_tagged || millis.unsigned_abs() >= 100_000_000_000 => {
            return Some(i64::try_from(millis).ok().map(Timestamp::from_millis));
        }
        Tree::Whole(seconds) => Some(seconds as f64 * 1_000.0),
        Tree::Float(seconds) => Some(seconds * 1_000.0),
        _ => return None,
    };
    let millis = millis.filter(|millis| (-9.0e18..=9.0e18).contains(&millis.round()));
    Some(millis.map(|millis| Timestamp::from_millis(millis.round() as i64)))
}

/// A shard that follows, which may be described badly; nothing at all if it is none.
#[expect(clippy::option_option, reason = "a shard that may be bad, or none")]
fn child(tree: Tree) -> Option<Option<ChildShard>> {
    let (mut id, mut parents, mut range) = (None, Vec::new(), None);
    for (name, value) in map(tree)? {
        match name.as_deref() {
            Some("ShardId") => id = text(value)?,
            Some("ParentShards") => {
                let texts: Vec<_> = list(value)?.into_iter().map(text).collect::<Option<_>>()?;
                parents = texts.into_iter().flatten().map(ShardId::from).collect();
            }
            Some("HashKeyRange") if value == Tree::Null => range = None,
            Some("HashKeyRange") => {
                let (mut start, mut end) = (None, None);
                for (name, value) in map(value)? {
                    match name.as_deref() {
                        Some("StartingHashKey") => start = text(value)?,
                        Some("EndingHashKey") => end = text(value)?,
                        _ => {}
                    }
                }
                range = start
                    .zip(end)
                    .and_then(|(start, end)| HashKeyRange::parse(&start, &end).ok());
            }
            _ => {}
        }
    }
    let id = id.filter(|id| !id.is_empty());
    Some(
        id.zip(range)
            .map(|(id, range)| ChildShard::new(id, parents, range)),
    )
}

fn map(tree: Tree) -> Option<Vec<(Option<String>, Tree)>> {
    match tree.untagged() {
        Tree::Map(entries) => Some(entries),
        _ => None,
    }
}

/// The items of a list, which may be null.
fn list(tree: Tree) -> Option<Vec<Tree>> {
    match tree {
        Tree::Null => Some(Vec::new()),
        tree => match tree.untagged() {
            Tree::List(items) => Some(items),
            _ => None,
        },
    }
}

#[expect(clippy::option_option, reason = "a text that may be null, or none")]
fn text(tree: Tree) -> Option<Option<String>> {
    match tree {
        Tree::Null => Some(None),
        tree => match tree.untagged() {
            Tree::Text(text) => Some(Some(text)),
            _ => None,
        },
    }
}

impl Tree {
    /// Without tags; null behind a tag is none of ours.
    fn unless_null(self) -> Self {
        match self {
            Self::Null => Self::Null,
            tagged => match tagged.untagged() {
                Self::Null => Self::Other,
                other => other,
            },
        }
    }

    fn untagged(self) -> Self {
        match self {
            Self::Tag(_, inner) => inner.untagged(),
            other => other,
        }
    }
}

/// Of JSON. Unlike a map, it keeps members of one name apart.
impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Whole(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Whole(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = from.next_entry::<String, Tree>()? {
            members.push((Some(name), value));
        }
        Ok(Tree::Map(members))
    }
}

impl From<CborValue> for Tree {
    fn from(value: CborValue) -> Self {
        match value {
            CborValue::Null => Self::Null,
            CborValue::Integer(whole) => Self::Whole(whole.into()),
            CborValue::Float(number) => Self::Float(number),
            CborValue::Text(text) => Self::Text(text),
            CborValue::Bytes(bytes) => Self::Bytes(bytes),
            CborValue::Tag(tag, inner) => Self::Tag(tag, Box::new((*inner).into())),
            CborValue::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            CborValue::Map(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(name, value)| (Self::from(name).into_name(), value.into()))
                    .collect(),
            ),
            _ => Self::Other,
        }
    }
}

impl Tree {
    fn into_name(self) -> Option<String> {
        match self.untagged() {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
