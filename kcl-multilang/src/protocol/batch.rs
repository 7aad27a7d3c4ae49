use kcl_core::model::{Record, Timestamp};

use super::json::{base64, number_or_null, string};

/// How much of a payload is encoded at once: a length that three divides, so that the parts of a
/// payload in base64 can stand side by side.
const PART: usize = 48 * 1024;

/// The message that gives records to a child, written piece by piece.
///
/// A batch may be 10 MB, and its message a third longer. It is encoded from the fetched bytes into
/// a small buffer that is written into the pipe and used again, so that no second copy of the batch
/// is ever in memory.
#[derive(Clone, Copy, Debug)]
pub struct BatchMessage<'a> {
    /// In the order of the shard, after de-aggregation.
    records: &'a [Record],
    /// What the service said with the page, in milliseconds; `null` in the message if it said
    /// nothing.
    millis_behind_latest: Option<u64>,
    /// Stands in for an arrival time that is missing.
    fetched_at: Timestamp,
    /// How far the message was written.
    next: Next,
}

/// What is written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// What precedes the first record.
    Head,
    /// This record.
    Record(usize),
    /// The payload of this record from this byte on, and what follows it.
    Payload(usize, usize),
    /// What follows the last record.
    Tail,
    /// The message is complete.
    Nothing,
}

impl<'a> BatchMessage<'a> {
    /// A message with these records. A record without an arrival time gets `fetched_at`: one of the
    /// libraries ends its process at a `null`.
    #[must_use]
    pub const fn new(
        records: &'a [Record],
        millis_behind_latest: Option<u64>,
        fetched_at: Timestamp,
    ) -> Self {
        Self {
            records,
            millis_behind_latest,
            fetched_at,
            next: Next::Head,
        }
    }

    /// Appends the next bytes: as much as makes the buffer at least `enough` long, or all that is
    /// left. Returns whether anything is left.
    pub fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        while out.len() < enough && self.next != Next::Nothing {
            self.next = self.step(out);
        }
        self.next != Next::Nothing
    }

    /// Appends one part of the message, at most a [`PART`] of a payload with what follows it, and
    /// says what comes next.
    fn step(&self, out: &mut Vec<u8>) -> Next {
        match self.next {
            Next::Head => {
                out.extend_from_slice(b"{\"action\":\"processRecords\",\"records\":[");
                self.at(0)
            }
            Next::Record(index) => {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(b"{\"data\":\"");
                Next::Payload(index, 0)
            }
            Next::Payload(index, from) => {
                let record = &self.records[index];
                let rest = &record.data[from..];
                if rest.len() > PART {
                    base64(out, &rest[..PART]);
                    return Next::Payload(index, from + PART);
                }
                base64(out, rest);
                self.finish(record, out);
                self.at(index + 1)
            }
            Next::Tail => {
                out.extend_from_slice(b"],\"millisBehindLatest\":");
                number_or_null(out, self.millis_behind_latest);
                out.extend_from_slice(b"}\n");
                Next::Nothing
            }
            Next::Nothing => Next::Nothing,
        }
    }

    /// The record with this index, or the end of the list.
    const fn at(&self, index: usize) -> Next {
        if index < self.records.len() {
            Next::Record(index)
        } else {
            Next::Tail
        }
    }

    /// What follows the payload of a record.
    fn finish(&self, record: &Record, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\",\"partitionKey\":");
        string(out, &record.partition_key);
        out.extend_from_slice(b",\"sequenceNumber\":\"");
        // As a string: 56 digits are more than any of the languages' numbers in JSON can hold.
        out.extend_from_slice(record.sequence().to_string().as_bytes());
        out.extend_from_slice(b"\",\"approximateArrivalTimestamp\":");
        let arrived_at = record.arrived_at.unwrap_or(self.fetched_at);
        out.extend_from_slice(arrived_at.as_millis().to_string().as_bytes());
        out.extend_from_slice(b",\"subSequenceNumber\":");
        number_or_null(out, Some(record.sub_sequence()));
        out.extend_from_slice(b",\"action\":\"record\"}");
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::model::{RawRecord, SequenceNumber};
    use proptest::prelude::*;

    use super::*;

    fn whole(mut message: BatchMessage<'_>, enough: usize) -> Vec<u8> {
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        loop {
            let more = message.write(&mut piece, enough);
            all.append(&mut piece);
            if !more {
                return all;
            }
        }
    }

    fn record(sequence: u128, key: &str, data: Vec<u8>) -> Record {
        Record::from(RawRecord::new(
            SequenceNumber::from_u128(sequence),
            key,
            data,
        ))
    }

    /// What the `MultiLangDaemon` 3.5.1 writes, byte for byte.
    #[test]
    fn the_message_is_that_of_the_java_daemon() {
        let mut one = record(42, "pk", b"\xff\xfe>".to_vec());
        one.arrived_at = Some(Timestamp::from_millis(1_700_000_000_123));
        one.position.sub_sequence = 3;
        let (records, now) = ([one], Timestamp::from_millis(7));
        assert_eq!(
            String::from_utf8(whole(BatchMessage::new(&records, Some(12), now), 1)).unwrap(),
            "{\"action\":\"processRecords\",\"records\":[{\"data\":\"//4+\",\"partitionKey\":\"pk\",\"sequenceNumber\":\"42\",\
             \"approximateArrivalTimestamp\":1700000000123,\"subSequenceNumber\":3,\"action\":\"record\"}],\"millisBehindLatest\":12}\n"
        );
        assert_eq!(
            whole(BatchMessage::new(&[], None, now), 1),
            b"{\"action\":\"processRecords\",\"records\":[],\"millisBehindLatest\":null}\n"
        );
    }

    #[test]
    fn the_buffer_stays_small_however_long_the_batch_is() {
        let records: Vec<Record> = (0..20)
            .map(|n| record(n, "k", vec![7; 1_000_000]))
            .collect();
        let mut message = BatchMessage::new(&records, None, Timestamp::from_millis(7));
        let (mut piece, mut total) = (Vec::new(), 0);
        loop {
            let more = message.write(&mut piece, 64 * 1024);
            assert!(piece.len() < 130 * 1024, "{}", piece.len());
            total += piece.len();
            piece.clear();
            if !more {
                break;
            }
        }
        assert!(total > 20 * 1_333_333, "{total}");
    }

    proptest! {
        /// In pieces of whatever length, and with payloads longer than a part.
        #[test]
        fn any_records_are_read_back(
            records in prop::collection::vec((any::<u128>(), any::<String>(), 0..3 * PART), 0..4),
            behind: Option<u64>,
            enough in 1..100_000_usize,
        ) {
            let records: Vec<Record> = records
                .into_iter()
                .map(|(sequence, key, length)| {
                    let data = (0..length).map(|byte| (byte * 31) as u8).collect();
                    record(sequence, &key, data)
                })
                .collect();
            let message = BatchMessage::new(&records, behind, Timestamp::from_millis(7));
            let written = whole(message, enough);
            prop_assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1);
            let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(&read["action"], "processRecords");
            prop_assert_eq!(read["millisBehindLatest"].as_u64(), behind);
            let read = read["records"].as_array().unwrap();
            prop_assert_eq!(read.len(), records.len());
            for (read, record) in read.iter().zip(&records) {
                let data = base64_simd::STANDARD.decode_to_vec(read["data"].as_str().unwrap()).unwrap();
                prop_assert_eq!(&data, &record.data);
                prop_assert_eq!(read["partitionKey"].as_str().unwrap(), record.partition_key.as_str());
                prop_assert_eq!(read["sequenceNumber"].as_str().unwrap(), record.sequence().to_string());
                prop_assert_eq!(read["approximateArrivalTimestamp"].as_i64(), Some(7));
                prop_assert_eq!(&read["action"], "record");
            }
        }
    }
}
