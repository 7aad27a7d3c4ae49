use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::BoxError;
use crate::runtime::blocking;

use super::dead_letter::{DeadLetter, Discarded, Letter};

/// Dead letters as lines of JSON at the end of a file, each on the disk before it counts as taken.
///
/// ```json
/// {"stream":"orders","shard":"shardId-000000000000","sequence_number":"49590338271490256608559692538361571095921575989136588898",
///  "sub_sequence_number":0,"partition_key":"customer-7","explicit_hash_key":null,"arrived_at":"2025-01-31T12:00:00.000Z",
///  "why":"attempts_exhausted","attempts":5,"error":"no number: invalid digit found in string","data":"dGhyZWU="}
/// ```
///
/// on one line. `data` is the content of the record in Base64. One file is for one process; its handles may be shared by several workers in it.
#[derive(Clone, Debug)]
pub struct JsonLines(Arc<Mutex<LetterFile>>);

#[derive(Debug)]
struct LetterFile {
    file: File,
    /// The last line may be a part of one: what comes next begins a line of its own, or neither could be read.
    is_torn: bool,
}

impl LetterFile {
    fn write(&mut self, line: &str) -> io::Result<()> {
        if std::mem::replace(&mut self.is_torn, true) {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.is_torn = false;
        Ok(())
    }
}

impl JsonLines {
    /// Opens the file to write at its end. It is made if it is not there. Blocks for as long as the disk takes.
    ///
    /// A line that a process did not finish, because it died or the disk was full, stays as it is: a reader passes lines that are no JSON,
    /// and empty ones. Its letter was not taken, and comes again.
    ///
    /// # Errors
    /// It cannot be opened for reading and writing.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        // A process may have died within a line.
        let is_torn = file.seek(SeekFrom::End(0))? > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        Ok(Self(Arc::new(Mutex::new(LetterFile { file, is_torn }))))
    }
}

impl DeadLetter for JsonLines {
    /// Cancel safe: a letter that was begun is written whole.
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        let (line, file) = (line(&letter), Arc::clone(&self.0));
        let written = blocking(move || file.lock().unwrap_or_else(PoisonError::into_inner).write(&line));
        Ok(written.await??)
    }
}

/// A letter as a line.
fn line(letter: &Letter<'_>) -> String {
    let Letter { shard, record, why, attempts, error } = letter;
    let mut line = String::with_capacity(512 + record.data.len() / 3 * 4);
    line.push_str("{\"stream\":");
    text(&mut line, shard.stream.name());
    line.push_str(",\"shard\":");
    text(&mut line, shard.shard.as_str());
    let _ = write!(line, ",\"sequence_number\":\"{}\"", record.sequence());
    let _ = write!(line, ",\"sub_sequence_number\":{},\"partition_key\":", record.sub_sequence());
    text(&mut line, &record.partition_key);
    line.push_str(",\"explicit_hash_key\":");
    text_or_null(&mut line, record.explicit_hash_key.as_deref());
    line.push_str(",\"arrived_at\":");
    text_or_null(&mut line, record.arrived_at.map(|at| at.to_string()).as_deref());
    let why = match why {
        Discarded::AttemptsExhausted => "attempts_exhausted",
        Discarded::TooOld => "too_old",
    };
    let _ = write!(line, ",\"why\":\"{why}\",\"attempts\":{attempts},\"error\":");
    text_or_null(&mut line, *error);
    line.push_str(",\"data\":\"");
    base64(&mut line, &record.data);
    line.push_str("\"}\n");
    line
}

fn text_or_null(line: &mut String, value: Option<&str>) {
    match value {
        Some(value) => text(line, value),
        None => line.push_str("null"),
    }
}

/// A string of JSON.
fn text(line: &mut String, value: &str) {
    line.push('"');
    for letter in value.chars() {
        match letter {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            letter if letter < ' ' => drop(write!(line, "\\u{:04x}", u32::from(letter))),
            letter => line.push(letter),
        }
    }
    line.push('"');
}

/// RFC 4648, with padding.
fn base64(line: &mut String, data: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in data.chunks(3) {
        let bytes = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            line.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LeaseKey, RawRecord, Record, SequenceNumber, ShardId, ShardRef, Timestamp};

    #[test]
    fn a_line_that_was_not_finished_spoils_no_other() {
        let path = std::env::temp_dir().join(format!("torn-letters-{}.jsonl", std::process::id()));
        for (before, after) in [("", "1\n2\n"), ("0\n", "0\n1\n2\n"), ("{\"hal", "{\"hal\n1\n2\n")] {
            std::fs::write(&path, before).unwrap();
            let lines = JsonLines::append(&path).unwrap();
            for line in ["1\n", "2\n"] {
                lines.0.lock().unwrap().write(line).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_letter_is_one_line_of_json_with_the_record_in_it() {
        let shard = ShardId::new("shardId-000000000000");
        let shard = ShardRef::new("orders".parse().unwrap(), LeaseKey::single(shard.clone()), shard);
        let whole: Vec<u8> = (0..=255).collect();
        for size in 0..whole.len() {
            let raw = RawRecord::new(SequenceNumber::from_u128(7), "a \"key\" \\ \n\u{1} ü", whole[..size].to_vec());
            let record = Record::from(raw.arrived_at(Timestamp::from_millis(0)));
            let why = Discarded::AttemptsExhausted;
            let line = line(&Letter { shard: &shard, record: &record, why, attempts: 5, error: Some("a\tcause") });
            assert_eq!(line.matches('\n').count(), 1);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["partition_key"], "a \"key\" \\ \n\u{1} ü");
            assert_eq!((&value["sequence_number"], &value["error"]), (&"7".into(), &"a\tcause".into()));
            assert_eq!((&value["why"], &value["explicit_hash_key"]), (&"attempts_exhausted".into(), &serde_json::Value::Null));
            let data = base64_simd::STANDARD.decode_to_vec(value["data"].as_str().unwrap()).unwrap();
            assert_eq!(data, whole[..size]);
        }
    }
}
