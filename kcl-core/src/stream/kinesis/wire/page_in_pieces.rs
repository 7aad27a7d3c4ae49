use crate::model::Key;

use super::super::page_pool::{PageBuffer, PagePool};
use super::json::Json;
use super::page::{NextMember, PageDraft, RECORDS, WirePage};
use super::reader::Reader as _;
use super::unreadable::Unreadable;

/// A page in JSON that comes in pieces, which are read as they come, each where it lies.
///
/// ```text
///   pieces   {"Records":[{..},{..},{. | .},{..},{..},{..},{ | ..}],"MillisBehindLatest":0}
///                              `left`: what a piece ends within is read with the next one
/// ```
///
/// The whole page in one buffer would be read from memory several times over: when it is gathered,
/// for its checksum, in search of the ends of strings, and when payloads are decoded. A piece stays
/// in the caches meanwhile.
///
/// What is read is the same as of a whole body, error for error, and nothing is given out before
/// the end: see [`page_of`](super::page_of). A step is a record, or another member, with the
/// comma or the bracket behind it. One that fails is taken back and tried again when more is
/// there, as its end may not have come; only at the end is it a fault.
pub(super) struct PageInPieces {
    /// What was read of it.
    draft: PageDraft,
    /// What each record of the draft has until the end.
    no_key: Key,
    /// The member that says where the next page begins.
    next: NextMember,
    /// What comes next.
    place: Place,
    /// The decoded payloads, with room for all of them.
    payloads: PageBuffer,
    /// The beginning of a step whose end has not come. Mostly less than a record.
    left: PageBuffer,
    /// Where buffers come from.
    pages: PagePool,
    /// The step is tried again when so much of it is there: twice as much as before, so that a
    /// record of many pieces is not read once for each.
    try_at: usize,
    /// Bytes of the page before those that are left.
    before: usize,
    /// Bytes of the whole page.
    length: usize,
}

/// What comes next in a page.
#[derive(Clone, Copy)]
enum Place {
    /// The page.
    Start,
    /// A member, or the end of the page.
    FirstMember,
    /// A member.
    Member,
    /// A record, or the end of their list.
    FirstRecord,
    /// A record.
    Record,
    /// What stands behind the list of records.
    AfterRecords,
    /// Nothing.
    End,
}

/// So many bytes are added at least before a step is tried again: about a record. All that is left
/// of a piece is a record and this, so no more of the next piece is copied.
const MORE: usize = 1024;

impl PageInPieces {
    /// A page of so many bytes.
    pub(super) fn new(length: usize, next: NextMember, pages: &PagePool) -> Self {
        Self {
            draft: PageDraft::new(length),
            no_key: Key::from(""),
            next,
            place: Place::Start,
            // All that there can be, so that it never has to grow.
            payloads: pages.buffer(length / 4 * 3 + 3),
            left: PageBuffer::own(Vec::new()),
            pages: pages.clone(),
            try_at: 0,
            before: 0,
            length,
        }
    }

    /// Takes the next piece, and reads as much as is complete with it.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !self.left.data.is_empty() && !rest.is_empty() {
            let missing = self.try_at - self.left.data.len();
            let (more, others) = rest.split_at(rest.len().min(missing));
            self.keep(more);
            rest = others;
            if self.left.data.len() < self.try_at {
                return;
            }
            let mut left = std::mem::replace(&mut self.left, PageBuffer::own(Vec::new()));
            let (read, _) = self.read(&left.data);
            let (open, of_piece) = (left.data.len() - read, piece.len() - rest.len());
            if open <= of_piece {
                // What is left now has come with this piece, and is read where it lies.
                rest = &piece[of_piece - open..];
                left.data.clear();
                self.left = left;
            } else {
                left.data.drain(..read);
                self.left = left;
                self.tried();
            }
        }
        if !rest.is_empty() {
            let (read, _) = self.read(rest);
            self.keep(&rest[read..]);
            self.tried();
        }
    }

    /// The page, when all of it has come.
    ///
    /// # Errors
    /// If any of it is not what the service promises.
    pub(super) fn finish(mut self) -> Result<WirePage, Unreadable> {
        let left = std::mem::replace(&mut self.left, PageBuffer::own(Vec::new()));
        let before = self.before;
        let (_, end) = self.read(&left.data);
        end.map_err(|error| match error {
            Unreadable::Unexpected { expected, at, .. } => Unreadable::Unexpected {
                expected,
                at: before + at,
                length: self.length,
            },
            error => error,
        })?;
        self.draft.finish(&self.payloads.freeze())
    }

    /// Adds to what is left.
    fn keep(&mut self, bytes: &[u8]) {
        let needed = self.left.data.len() + bytes.len();
        if needed > self.left.data.capacity() {
            // It comes from the pool where it is long: for a record of many pieces.
            let room = needed.max(MORE) * 2;
            let mut longer = self.pages.buffer(room.min(self.length - self.before));
            longer.data.extend_from_slice(&self.left.data);
            self.left = longer;
        }
        self.left.data.extend_from_slice(bytes);
    }

    /// What is left was tried.
    fn tried(&mut self) {
        let left = self.left.data.len();
        self.try_at = left + left.max(MORE);
    }

    /// Takes all steps whose ends are here. Gives how many bytes they have, and the error of the
    /// step that cannot be taken, unless the page is at its end.
    fn read(&mut self, body: &[u8]) -> (usize, Result<(), Unreadable>) {
        let payloads = std::mem::replace(&mut self.payloads, PageBuffer::own(Vec::new()));
        let mut reader = Json::within(body, payloads);
        let (mut mark, mut taken) = (self.draft.mark(), reader.taken());
        let end = loop {
            match self.step(&mut reader) {
                Ok(true) => (mark, taken) = (self.draft.mark(), reader.taken()),
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let (read, filled) = taken;
        self.draft.back_to(mark);
        self.payloads = reader.into_payloads(filled);
        self.before += read;
        (read, end)
    }

    /// Takes a step. False when there is none: the page is at its end.
    #[inline]
    fn step(&mut self, reader: &mut Json<'_>) -> Result<bool, Unreadable> {
        self.place = match self.place {
            Place::Start => {
                reader.take(b'{', "an object")?;
                Place::FirstMember
            }
            Place::FirstMember if reader.peek() == Some(b'}') => {
                reader.take(b'}', "the end of an object")?;
                Place::End
            }
            Place::FirstMember | Place::Member => self.member(reader)?,
            Place::FirstRecord if reader.peek() == Some(b']') => {
                reader.take(b']', "the end of a list")?;
                Place::AfterRecords
            }
            Place::FirstRecord | Place::Record => {
                self.draft.record(reader, &self.no_key)?;
                if reader.peek() == Some(b',') {
                    reader.take(b',', "a comma")?;
                    Place::Record
                } else {
                    reader.take(b']', "a comma or the end of a list")?;
                    Place::AfterRecords
                }
            }
            Place::AfterRecords => behind(reader)?,
            Place::End => {
                return match reader.peek() {
                    None => Ok(false),
                    Some(_) => Err(reader.expected("the end")),
                };
            }
        };
        Ok(true)
    }

    /// Reads a member with what stands behind it: the end of a number is known by that alone. Of
    /// the records it is the beginning.
    fn member(&mut self, reader: &mut Json<'_>) -> Result<Place, Unreadable> {
        let name = reader.name()?;
        if &*name != RECORDS {
            self.draft.member(reader, &name, self.next)?;
            return behind(reader);
        }
        let place = if self.draft.are_null(reader)? {
            behind(reader)?
        } else {
            reader.take(b'[', "a list")?;
            Place::FirstRecord
        };
        self.draft.found_records();
        Ok(place)
    }
}

/// What comes behind a member.
fn behind(reader: &mut Json<'_>) -> Result<Place, Unreadable> {
    if reader.peek() == Some(b',') {
        reader.take(b',', "a comma")?;
        return Ok(Place::Member);
    }
    reader.take(b'}', "a comma or the end of an object")?;
    Ok(Place::End)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: NextMember = NextMember::ContinuationSequenceNumber;

    #[test]
    fn a_record_of_many_pieces_is_tried_a_few_times() {
        let data = "AAAA".repeat(500_000);
        let body = format!(r#"{{"Records":[{{"SequenceNumber":"7","Data":"{data}"}}]}}"#);
        let mut page = PageInPieces::new(body.len(), NEXT, &PagePool::new());
        let mut tries = vec![0];
        for piece in body.as_bytes().chunks(1000) {
            page.push(piece);
            if tries.last() != Some(&page.try_at) {
                tries.push(page.try_at);
            }
        }
        assert!(tries.len() < 20, "{tries:?}");
        assert_eq!(page.finish().unwrap().records[0].data.len(), 1_500_000);
    }

    #[test]
    fn what_is_complete_is_not_kept() {
        let (data, key) = ("AAAA".repeat(200), "k".repeat(400));
        let record = format!(r#"{{"Data":"{data}","SequenceNumber":"7","PartitionKey":"{key}"}},"#);
        let body = format!(
            r#"{{"Records":[{}{{"SequenceNumber":"8"}}]}}"#,
            record.repeat(1000)
        );
        let mut page = PageInPieces::new(body.len(), NEXT, &PagePool::new());
        for piece in body.as_bytes().chunks(16_384) {
            page.push(piece);
            assert!(page.left.data.len() < record.len());
        }
        // Nor is a payload that was decoded again with the rest of its record.
        assert_eq!(page.payloads.data.len(), 1000 * 600);
        assert_eq!(page.finish().unwrap().records.len(), 1001);
    }
}
