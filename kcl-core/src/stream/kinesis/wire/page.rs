use bytes::Bytes;

use crate::model::{
    ChildShard, Encryption, HashKeyRange, Key, RawRecord, SequenceNumber, ShardId, Timestamp,
};

use super::super::page_pool::PagePool;
use super::cbor::Cbor;
use super::json::Json;
use super::reader::{Form, Payload, Reader};
use super::unreadable::Unreadable;

/// The member that says where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextMember {
    /// In the answer to `GetRecords`.
    NextShardIterator,
    /// In an event of a subscription.
    ContinuationSequenceNumber,
}

impl NextMember {
    /// As it stands in the answer.
    const fn name(self) -> &'static [u8] {
        match self {
            Self::NextShardIterator => b"NextShardIterator",
            Self::ContinuationSequenceNumber => b"ContinuationSequenceNumber",
        }
    }
}

/// A page of records as it was answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WirePage {
    /// In the order of the answer, which is that of the shard.
    pub(crate) records: Vec<RawRecord>,
    /// Where the next page begins; nothing when it was null or not there. Of an answer an iterator,
    /// which is good for five minutes and opens the shard to whoever has it; of an event a sequence
    /// number.
    pub(crate) next: Option<String>,
    /// How far this page is behind the tip, in milliseconds. Some emulators do not say it.
    pub(crate) millis_behind_latest: Option<u64>,
    /// The shards that follow. Nothing when one of them is not described well: the list of shards
    /// tells them too, and to know none is better than to know some.
    pub(crate) children: Vec<ChildShard>,
}

/// The page that a body holds, all of it or nothing, and its form. Payloads that have to be decoded
/// are decoded into a buffer of `pages`.
///
/// The records of half a page would be delivered as if they were all of it, and the next iterator,
/// if it was in the half that came, leads past the others: they would be lost without a sign.
///
/// # Errors
/// If any of it is not what the service promises.
pub(crate) fn page_of(
    content_type: Option<&str>,
    body: &Bytes,
    next: NextMember,
    pages: &PagePool,
) -> Result<(WirePage, Form), Unreadable> {
    // Keys are found by numbers of 32 bits. A page of the service has 10 MiB of payloads at most.
    if u32::try_from(body.len()).is_err() {
        return Err(Unreadable::Unexpected {
            expected: "less than 4 GiB",
            at: 0,
            length: body.len(),
        });
    }
    let form = Form::of(content_type, body)?;
    let page = match form {
        Form::Cbor => PageDraft::new(body.len()).read(Cbor::new(body), next),
        Form::Json => PageDraft::new(body.len()).read(Json::new(body, Some(pages)), next),
    };
    Ok((page?, form))
}

/// The member with the records.
pub(super) const RECORDS: &[u8] = b"Records";

/// A page whose records lack their keys and payloads, which are beside them.
#[derive(Default)]
pub(super) struct PageDraft {
    /// How many bytes the page has.
    length: usize,
    /// The records, with empty keys and payloads.
    page: WirePage,
    /// The keys, one behind the other. One text for all of them, which the page's records share: a
    /// `String` each would be up to 10,000 small allocations a page.
    keys: String,
    /// Where each key ends in `keys`, by record.
    key_ends: Vec<u32>,
    /// Where each payload is, by record. The buffer that they are in is complete only at the end.
    payloads: Vec<Payload>,
    /// Whether a list of records has come. A second one would have to be joined or dropped, and
    /// either could lose records.
    has_records: bool,
    /// Whether anything of a page has come. An error in the form of an empty object is not a page
    /// without records: that would be taken for the shard's end.
    has_any: bool,
}

/// How far a draft has come.
#[derive(Clone, Copy)]
pub(super) struct DraftMark {
    records: usize,
    /// Bytes of the text of all keys.
    keys: usize,
}

impl PageDraft {
    /// Of a page of so many bytes.
    pub(super) fn new(length: usize) -> Self {
        Self {
            length,
            ..Self::default()
        }
    }

    /// Reads a body to its end before anything of it is used. Members come in any order: servers
    /// were seen to send `MillisBehindLatest` before the records.
    fn read<'a>(
        mut self,
        mut reader: impl Reader<'a>,
        next: NextMember,
    ) -> Result<WirePage, Unreadable> {
        // What each record has until `finish`: cloning it allocates nothing.
        let no_key = Key::from("");
        reader.members(|reader, name| {
            if name != RECORDS {
                return self.member(reader, name, next);
            }
            if !self.are_null(reader)? {
                reader.items(|reader| self.record(reader, &no_key))?;
            }
            self.found_records();
            Ok(())
        })?;
        self.finish(&reader.finish()?)
    }

    /// Whether null stands in the place of the records. It is taken then.
    pub(super) fn are_null<'a>(&self, reader: &mut impl Reader<'a>) -> Result<bool, Unreadable> {
        if self.has_records {
            return Err(Unreadable::Twice("Records"));
        }
        reader.is_null()
    }

    /// A list of records is there, or null in its place.
    pub(super) const fn found_records(&mut self) {
        (self.has_records, self.has_any) = (true, true);
    }

    /// Reads the value of a member that is not the records. Reading it again makes up for a value
    /// that was read in part.
    pub(super) fn member<'a>(
        &mut self,
        reader: &mut impl Reader<'a>,
        name: &[u8],
        next: NextMember,
    ) -> Result<(), Unreadable> {
        match name {
            b"MillisBehindLatest" => self.page.millis_behind_latest = reader.count()?,
            b"ChildShards" => self.page.children = children(reader)?,
            name if name == next.name() => self.page.next = text_or_null(reader)?,
            name => return reader.skip_member(name),
        }
        self.has_any = true;
        Ok(())
    }

    /// Makes room for the records of a page whose first has so many bytes: lists that grow are copied
    /// again and again.
    fn expect(&mut self, first: usize) {
        let records = expected(self.length, first);
        self.page.records.reserve_exact(records);
        self.payloads.reserve_exact(records);
        self.key_ends.reserve_exact(records);
    }

    /// How far it has come, to go [back to](Self::back_to).
    pub(super) const fn mark(&self) -> DraftMark {
        DraftMark {
            records: self.page.records.len(),
            keys: self.keys.len(),
        }
    }

    /// Without the records, and parts of records, that were read since.
    pub(super) fn back_to(&mut self, mark: DraftMark) {
        self.page.records.truncate(mark.records);
        self.payloads.truncate(mark.records);
        self.key_ends.truncate(mark.records);
        self.keys.truncate(mark.keys);
    }

    /// Reads one record. If a member comes twice, the last one counts, as with the SDK.
    #[inline]
    pub(super) fn record<'a>(
        &mut self,
        reader: &mut impl Reader<'a>,
        no_key: &Key,
    ) -> Result<(), Unreadable> {
        let begins_at = reader.at();
        let (mut sequence, mut payload) = (None, Payload::Empty);
        let (mut arrived_at, mut encryption) = (None::<Timestamp>, Encryption::None);
        let key = self.keys.len();
        reader.members(|reader, name| {
            match name {
                b"SequenceNumber" if reader.is_null()? => sequence = None,
                b"SequenceNumber" => sequence = Some(number(&reader.text()?)?),
                b"PartitionKey" => {
                    self.keys.truncate(key);
                    if !reader.is_null()? {
                        self.keys.push_str(&reader.text()?);
                    }
                }
                b"Data" if reader.is_null()? => payload = Payload::Empty,
                b"Data" => payload = reader.payload()?,
                b"ApproximateArrivalTimestamp" => arrived_at = reader.time()?,
                b"EncryptionType" => {
                    encryption = match text_or_null(reader)?.as_deref() {
                        Some("KMS") => Encryption::Kms,
                        _ => Encryption::None,
                    };
                }
                name => reader.skip_member(name)?,
            }
            Ok(())
        })?;
        // One without its number is refused as one with an invalid number.
        let sequence = sequence.map_or_else(|| number(""), Ok)?;
        let mut raw = RawRecord::new(sequence, no_key.clone(), Bytes::new()).encrypted(encryption);
        raw.arrived_at = arrived_at;
        if self.page.records.is_empty() {
            self.expect(reader.at() - begins_at);
        }
        self.page.records.push(raw);
        self.payloads.push(payload);
        // The text of all keys is shorter than the body, which has been measured.
        self.key_ends
            .push(u32::try_from(self.keys.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Gives the records their keys and payloads, as parts of one text and slices of one buffer.
    pub(super) fn finish(self, buffer: &Bytes) -> Result<WirePage, Unreadable> {
        if !self.has_any {
            return Err(Unreadable::NoPage);
        }
        let mut page = self.page;
        // It is kept until the page is processed, with what was expected and did not come.
        page.records.shrink_to_fit();
        let keys = self.keys.into();
        let mut start = 0;
        let besides = self.key_ends.into_iter().zip(self.payloads);
        for (record, (end, payload)) in page.records.iter_mut().zip(besides) {
            record.partition_key = Key::part(&keys, start, end);
            start = end;
            record.data = match payload {
                Payload::Empty => Bytes::new(),
                Payload::Part(from, to) => buffer.slice(from..to),
                Payload::Joined(data) => data,
            };
        }
        Ok(page)
    }
}

/// As many records as there are if all are as long as the first. If they are not, their lists grow,
/// or take no more than the page has.
fn expected(page: usize, first: usize) -> usize {
    let of_each = size_of::<RawRecord>() + size_of::<Payload>() + size_of::<u32>();
    page / first.max(of_each)
}

/// A sequence number. A record without a valid one has no place in its shard, so the whole page is
/// refused.
fn number(text: &str) -> Result<SequenceNumber, Unreadable> {
    text.parse().map_err(Unreadable::Sequence)
}

/// A text, or `None` for null.
fn text_or_null<'a>(reader: &mut impl Reader<'a>) -> Result<Option<String>, Unreadable> {
    if reader.is_null()? {
        return Ok(None);
    }
    Ok(Some(reader.text()?.into_owned()))
}

/// The shards that follow, all of them or none. One that is not described well empties the list for
/// good; those behind it are still read, as the body has to be read to its end.
fn children<'a>(reader: &mut impl Reader<'a>) -> Result<Vec<ChildShard>, Unreadable> {
    let mut children = Some(Vec::new());
    if !reader.is_null()? {
        reader.items(|reader| {
            let child = child(reader)?;
            children = children.take().zip(child).map(|(mut children, child)| {
                children.push(child);
                children
            });
            Ok(())
        })?;
    }
    Ok(children.unwrap_or_default())
}

/// A shard that follows, if it is described well. One without an id could be given no lease; of one
/// without its hash keys nobody could say whether they are read.
fn child<'a>(reader: &mut impl Reader<'a>) -> Result<Option<ChildShard>, Unreadable> {
    let (mut id, mut range, mut parents) = (None, None, Vec::new());
    reader.members(|reader, name| {
        match name {
            b"ShardId" => id = text_or_null(reader)?,
            b"ParentShards" => {
                parents.clear();
                if !reader.is_null()? {
                    reader.items(|reader| {
                        parents.extend(text_or_null(reader)?.map(ShardId::from));
                        Ok(())
                    })?;
                }
            }
            b"HashKeyRange" => range = hash_range(reader)?,
            name => reader.skip_member(name)?,
        }
        Ok(())
    })?;
    let id = id.filter(|id| !id.is_empty());
    Ok(id
        .zip(range)
        .map(|(id, range)| ChildShard::new(id, parents, range)))
}

/// The hash keys of a shard, if both bounds are numbers in order.
fn hash_range<'a>(reader: &mut impl Reader<'a>) -> Result<Option<HashKeyRange>, Unreadable> {
    if reader.is_null()? {
        return Ok(None);
    }
    let (mut start, mut end) = (None, None);
    reader.members(|reader, name| {
        match name {
            b"StartingHashKey" => start = text_or_null(reader)?,
            b"EndingHashKey" => end = text_or_null(reader)?,
            name => reader.skip_member(name)?,
        }
        Ok(())
    })?;
    Ok(start
        .zip(end)
        .and_then(|(start, end)| HashKeyRange::parse(&start, &end).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_room_is_made_than_the_page_has_bytes() {
        assert_eq!(expected(3_000_000, 1500), 2000);
        assert_eq!(expected(1500, 1500), 1);
        for first in [0, 1, 25] {
            let records = expected(3_000_000, first);
            assert!(records * size_of::<RawRecord>() < 3_000_000, "{records}");
        }
    }
}
