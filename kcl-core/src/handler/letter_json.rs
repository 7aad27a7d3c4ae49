//! A dead letter as JSON: one format for every place that keeps letters as text.

use std::fmt::Write as _;

use super::Letter;

/// What is kept of an error where the letter has to be short, in bytes. A message of SQS or a
/// record of Kinesis has room for it beside names and positions.
const SHORT_ERROR: usize = 8 * 1024;

impl Letter<'_> {
    /// The letter as JSON in one line, in ASCII, with the content of the record in Base64: for a
    /// [`DeadLetter`](super::DeadLetter) of your own. [`JsonLines`](super::JsonLines) shows one.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.json(self.error, true)
    }

    /// The same without the content of the record, for a target that has no room for it: `data` is
    /// null, and `data_bytes` says how many bytes the content has. Of the error there are the first
    /// 8 KiB. Until the stream forgets the record, it can be read there at the sequence number.
    #[must_use]
    pub fn to_json_without_data(&self) -> String {
        let short = |error: &str| error.floor_char_boundary(SHORT_ERROR);
        self.json(self.error.map(|error| &error[..short(error)]), false)
    }

    fn json(&self, error: Option<&str>, with_data: bool) -> String {
        let Letter {
            shard,
            record,
            why,
            attempts,
            ..
        } = self;
        let data = if with_data {
            record.data.len() / 3 * 4
        } else {
            0
        };
        // Mostly enough for names, positions and an error, so that only a long error makes it grow.
        let mut line = String::with_capacity(512 + data);
        line.push_str("{\"stream\":");
        text(&mut line, shard.stream.name());
        line.push_str(",\"shard\":");
        text(&mut line, shard.shard.as_str());
        // As a string: it has up to 56 digits, and readers of JSON round what they take for a
        // number.
        let _ = write!(line, ",\"sequence_number\":\"{}\"", record.sequence());
        let _ = write!(
            line,
            ",\"sub_sequence_number\":{},\"partition_key\":",
            record.sub_sequence()
        );
        text(&mut line, &record.partition_key);
        line.push_str(",\"explicit_hash_key\":");
        text_or_null(&mut line, record.explicit_hash_key.as_deref());
        line.push_str(",\"arrived_at\":");
        text_or_null(
            &mut line,
            record.arrived_at.map(|at| at.to_string()).as_deref(),
        );
        let _ = write!(
            line,
            ",\"why\":\"{}\",\"attempts\":{attempts},\"error\":",
            why.as_str()
        );
        text_or_null(&mut line, error);
        if with_data {
            line.push_str(",\"data\":\"");
            base64(&mut line, &record.data);
            line.push_str("\"}");
        } else {
            let bytes = record.data.len();
            let _ = write!(line, ",\"data\":null,\"data_bytes\":{bytes}}}");
        }
        line
    }
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
            ' '..='~' => line.push(letter),
            // A line that was cut off within a letter would make all of the file no text.
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
}

/// RFC 4648, with padding. Written here because without the feature `kinesis` this crate has no
/// library for it.
fn base64(line: &mut String, data: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in data.chunks(3) {
        let bytes = [
            chunk[0],
            chunk.get(1).copied().unwrap_or(0),
            chunk.get(2).copied().unwrap_or(0),
        ];
        let bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            line.push(if place <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::handler::letter_scene::{letter, record, shard};

    #[test]
    fn a_file_that_was_cut_off_anywhere_is_still_text() {
        let (shard, record) = (shard(), record(1, "müller-\u{1F600}", "ü".as_bytes()));
        let whole = letter(&shard, &record, "kein Preis: ½ €\u{7f}").to_json();
        for end in 0..=whole.len() {
            assert!(
                std::str::from_utf8(&whole.as_bytes()[..end]).is_ok(),
                "cut at {end}"
            );
        }
        let value: serde_json::Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(
            (&value["partition_key"], &value["error"]),
            (&"müller-\u{1F600}".into(), &"kein Preis: ½ €\u{7f}".into())
        );
    }

    #[test]
    fn a_letter_is_one_line_of_json_with_the_record_in_it() {
        let shard = shard();
        let whole: Vec<u8> = (0..=255).collect();
        for size in 0..whole.len() {
            let record = record(7, "a \"key\" \\ \n\u{1} ü", &whole[..size]);
            let line = letter(&shard, &record, "a\tcause").to_json();
            assert_eq!(line.matches('\n').count(), 0);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["partition_key"], "a \"key\" \\ \n\u{1} ü");
            assert_eq!(
                (&value["sequence_number"], &value["error"]),
                (&"7".into(), &"a\tcause".into())
            );
            assert_eq!(
                (&value["why"], &value["explicit_hash_key"]),
                (&"attempts_exhausted".into(), &serde_json::Value::Null)
            );
            let data = base64_simd::STANDARD
                .decode_to_vec(value["data"].as_str().unwrap())
                .unwrap();
            assert_eq!(data, whole[..size]);
        }
    }

    #[test]
    fn a_letter_without_its_data_says_how_much_that_is() {
        let (shard, record) = (shard(), record(7, "k", &vec![0; 100_000]));
        let error = "ü".repeat(10_000);
        let line = letter(&shard, &record, &error).to_json_without_data();
        assert!(line.len() < 30_000, "{}", line.len());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&value["data"], &value["data_bytes"]),
            (&serde_json::Value::Null, &100_000.into())
        );
        assert_eq!(value["error"].as_str().unwrap(), "ü".repeat(4_096));
        assert_eq!(value["sequence_number"], "7");
    }
}
