use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Action, Line};

/// A checkpoint that a child asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointWish {
    /// The sequence number, as the child wrote it; `None` for everything that it was given.
    pub sequence: Option<String>,
    /// The sub-sequence number.
    pub sub_sequence: Option<u64>,
}

/// What a line of a child means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has done what it was asked to.
    Done(Action),
    /// It asks for a checkpoint.
    Checkpoint(CheckpointWish),
    /// Nothing for the daemon: output of the user's code, or an empty line.
    Output,
    /// It looks like a message, and is none. It is passed over as well, but told: the child may
    /// wait for an answer.
    NotUnderstood(String),
}

/// The members of the messages that a child sends. Each library has members of its own that are
/// always `null`, or that repeat what is known.
#[derive(Deserialize)]
struct Raw {
    /// `status` or `checkpoint`. Any type is accepted here, so that a line of a log with an
    /// `action` of another type is output and not an error.
    action: Option<Value>,
    /// Of a status: the action that it answers.
    #[serde(rename = "responseFor")]
    response_for: Option<Value>,
    /// Of a checkpoint: a string, or a number in what users wrote themselves.
    #[serde(rename = "sequenceNumber")]
    sequence: Option<Value>,
    /// Of a checkpoint: a number, which one library sends as a string.
    #[serde(rename = "subSequenceNumber")]
    sub_sequence: Option<Value>,
    #[expect(dead_code, reason = "one library sends it, always null")]
    error: Option<Value>,
    /// Everything else. A message has none, so this tells a line of a log from a message.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Said {
    /// Reads a line. Only a JSON object that is a message as a whole is one: a line of a log that
    /// happens to have an `action` is not.
    ///
    /// Two mistakes are possible, and they are not alike. A message that is taken for output leaves
    /// the child waiting, until its limit ends it and the records come again. Output that is taken
    /// for a checkpoint would store one that nobody asked for. So in doubt a line is no message.
    #[must_use]
    pub fn read(line: Line<'_>) -> Self {
        let text = match line {
            Line::Whole(text) => without_blanks(text),
            Line::TooLong(_) => return Self::Output,
        };
        if text.first() != Some(&b'{') {
            return Self::Output;
        }
        // What follows the object on the line is no reason to refuse it.
        let first = serde_json::Deserializer::from_slice(text)
            .into_iter()
            .next();
        let Some(Ok(Raw {
            action: Some(Value::String(action)),
            response_for,
            sequence,
            sub_sequence,
            others,
            ..
        })) = first
        else {
            return Self::Output;
        };
        if !matches!(&*action, "status" | "checkpoint") {
            return Self::Output;
        }
        if let Some(other) = others.keys().next() {
            return Self::NotUnderstood(format!(
                "a message with the action `{action}` and the unknown member `{}`",
                shortened(other)
            ));
        }
        if action == "checkpoint" {
            return checkpoint(sequence, sub_sequence);
        }
        match response_for.as_ref().and_then(Value::as_str) {
            Some(name) => match Action::named(name) {
                Some(action) => Self::Done(action),
                None => Self::NotUnderstood(format!(
                    "a status for the unknown action `{}`",
                    shortened(name)
                )),
            },
            None => Self::NotUnderstood("a status without `responseFor`".to_owned()),
        }
    }
}

/// The text from the first byte on that JSON does not take for a blank.
fn without_blanks(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let begin = text.iter().position(|byte| !is_blank(byte));
    &text[begin.unwrap_or(text.len())..]
}

/// Reads the position of a checkpoint. One that cannot be read is not taken for one without a
/// position, which would store everything that was delivered.
fn checkpoint(sequence: Option<Value>, sub_sequence: Option<Value>) -> Said {
    let sequence = match sequence {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        // A sequence number is longer than what a JSON number holds exactly, so one that was sent as
        // a number is taken only where nothing can be lost.
        Some(Value::Number(number)) if number.is_u64() => Some(number.to_string()),
        Some(other) => {
            return Said::NotUnderstood(format!(
                "a checkpoint whose sequence number is {}",
                kind(&other)
            ));
        }
    };
    let sub_sequence = match sub_sequence {
        None | Some(Value::Null) => None,
        Some(value) => {
            let number = match &value {
                Value::String(text) => text.parse().ok(),
                other => other.as_u64(),
            };
            if number.is_none() {
                return Said::NotUnderstood(format!(
                    "a checkpoint whose sub-sequence number is {}",
                    kind(&value)
                ));
            }
            number
        }
    };
    Said::Checkpoint(CheckpointWish {
        sequence,
        sub_sequence,
    })
}

/// What a value is, without the value itself: it comes from the user's code and may hold record
/// data.
const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number that is no 64-bit integer",
        Value::String(_) => "a string that is no number",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a text of a child, for a message.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Said {
        Said::read(Line::Whole(line.as_bytes()))
    }

    fn wish(sequence: Option<&str>, sub_sequence: Option<u64>) -> Said {
        Said::Checkpoint(CheckpointWish {
            sequence: sequence.map(str::to_owned),
            sub_sequence,
        })
    }

    /// Python has blanks after colons and commas, Node.js has none, .NET ends its lines with the
    /// platform's newline and adds an `error`.
    #[test]
    fn the_lines_of_the_four_libraries_are_read() {
        let done = Said::Done(Action::ProcessRecords);
        for line in [
            r#"{"action": "status", "responseFor": "processRecords"}"#,
            r#"{"action":"status","responseFor":"processRecords"}"#,
            "{\"responseFor\":\"processRecords\",\"action\":\"status\"}\r",
            r#"  {"action":"status","responseFor":"processRecords","error":null} and more"#,
        ] {
            assert_eq!(read(line), done, "{line}");
        }
        for action in Action::ALL {
            let line = format!(r#"{{"action":"status","responseFor":"{action}"}}"#);
            assert_eq!(read(&line), Said::Done(action));
        }
        for (line, expected) in [
            (
                r#"{"action": "checkpoint", "sequenceNumber": null, "subSequenceNumber": null}"#,
                wish(None, None),
            ),
            (r#"{"action":"checkpoint"}"#, wish(None, None)),
            (
                r#"{"action":"checkpoint","sequenceNumber":"42"}"#,
                wish(Some("42"), None),
            ),
            (
                r#"{"action":"checkpoint","sequenceNumber":42,"subSequenceNumber":"3"}"#,
                wish(Some("42"), Some(3)),
            ),
            (
                r#"{"action":"checkpoint","sequenceNumber":"42","subSequenceNumber":3,"error":null}"#,
                wish(Some("42"), Some(3)),
            ),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn output_of_the_users_code_is_no_message() {
        for line in [
            "",
            "\r",
            "\x0c{\"action\":\"checkpoint\"}",
            "hello",
            "{",
            "{'action': 'checkpoint'}",
            "null",
            "[]",
            "7",
            r#""{\"action\":\"checkpoint\"}""#,
            r#"{"level":"info","msg":"began"}"#,
            r#"{"action":"login","user":7}"#,
            r#"{"action":7}"#,
            r#"{"action":"checkpoint","action":"checkpoint"}"#,
            r#"{"action":"initialize","shardId":"s"}"#,
            r#"sent {"action":"checkpoint","sequenceNumber":null}"#,
        ] {
            assert_eq!(read(line), Said::Output, "{line}");
        }
        assert_eq!(
            Said::read(Line::TooLong(br#"{"action":"checkpoint"}"#)),
            Said::Output
        );
    }

    #[test]
    fn what_is_nearly_a_message_is_told_and_passed_over() {
        for line in [
            r#"{"action":"checkpoint","checkpoint":"123"}"#,
            r#"{"action":"checkpoint","sequenceNumber":null,"msg":"a line of a log"}"#,
            r#"{"action":"checkpoint","sequenceNumber":49590338271490256608559692538361571095921575989136588898}"#,
            r#"{"action":"checkpoint","sequenceNumber":{"a":1}}"#,
            r#"{"action":"checkpoint","sequenceNumber":"1","subSequenceNumber":-1}"#,
            r#"{"action":"status"}"#,
            r#"{"action":"status","responseFor":"checkpoint"}"#,
            r#"{"action":"status","responseFor":null}"#,
        ] {
            assert!(
                matches!(read(line), Said::NotUnderstood(_)),
                "{line}: {:?}",
                read(line)
            );
        }
    }
}
