//! Checkpoints in two attributes, as the KCL stores them.

use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::lease::MalformedRow;
use kcl_core::model::{Checkpoint, Position};

use super::Reader;

/// A text attribute (S).
pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute (N), which DynamoDB stores exactly up to 38 digits: every counter fits.
pub(crate) fn number(number: impl Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A checkpoint as the KCL stores it: a decimal number or the name of a sentinel, and the
/// sub-sequence number, which is 0 for a sentinel.
pub(crate) fn checkpoint_values(checkpoint: &Checkpoint) -> [AttributeValue; 2] {
    match checkpoint {
        Checkpoint::At(position) => [
            text(position.sequence.to_string()),
            number(position.sub_sequence),
        ],
        sentinel => [text(sentinel.to_string()), number(0)],
    }
}

/// The checkpoints that are names. All others are sequence numbers.
const SENTINELS: [Checkpoint; 4] = [
    Checkpoint::AtTimestamp,
    Checkpoint::TrimHorizon,
    Checkpoint::Latest,
    Checkpoint::ShardEnd,
];

impl Reader<'_> {
    /// Reads a checkpoint from two attributes. A missing sub-sequence number is read as 0, as in
    /// the KCL.
    ///
    /// # Errors
    /// A value that is neither a number nor a sentinel. A misspelt `SHARD_END` that was read as
    /// "not finished" would have the shard read again, and one that was read as finished would lose
    /// it.
    pub(super) fn checkpoint(
        self,
        attribute: &'static str,
        sub_attribute: &'static str,
        value: &str,
    ) -> Result<Checkpoint, MalformedRow> {
        if let Some(sentinel) = SENTINELS
            .into_iter()
            .find(|sentinel| sentinel.to_string() == value)
        {
            return Ok(sentinel);
        }
        let allowed = "a decimal number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END";
        let sequence = value
            .parse()
            .map_err(|_| self.malformed(attribute, Some(value), allowed))?;
        Ok(Position::new(sequence, self.number(sub_attribute)?.unwrap_or(0)).into())
    }
}
