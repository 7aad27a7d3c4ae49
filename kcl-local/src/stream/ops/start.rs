//! Where a reader starts in a shard.

use ferrokinesis::types::Stream;

use super::request::{invalid, unfit};
use crate::stream::records::{Origin, Position, StreamLog};
use crate::stream::service::horizon_ms;
use crate::stream::wire::Refusal;

/// The members that describe a start, in `GetShardIterator` and in `SubscribeToShard`.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// `ShardIteratorType` or `Type`.
    pub(super) kind: &'a str,
    /// `StartingSequenceNumber` or `SequenceNumber`.
    pub(super) sequence: Option<&'a str>,
    /// `Timestamp`, in milliseconds since the Unix epoch.
    pub(super) timestamp_ms: Option<u64>,
}

impl Start<'_> {
    /// The position of the first record to read.
    ///
    /// # Errors
    ///
    /// If a member is missing or does not belong to this type of start, the sequence number is not
    /// one of this shard, or the time is in the future.
    ///
    /// The result is an index, not a record: a start after the last record is the index of the next
    /// one.
    pub(super) fn resolve(
        &self,
        stream: &Stream,
        log: &StreamLog,
        origin: Origin,
        now_ms: u64,
    ) -> Result<Position, Refusal> {
        let by_sequence = matches!(self.kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
        if self.sequence.is_some() && !by_sequence {
            return Err(unfit(&format!(
                "a start of type {} does not take a sequence number",
                self.kind
            )));
        }
        let index = match self.kind {
            "TRIM_HORIZON" => 1,
            "LATEST" => log.read(origin.shard, crate::stream::records::ShardLog::next),
            "AT_TIMESTAMP" => {
                let at_ms = self
                    .timestamp_ms
                    .ok_or_else(|| unfit("a start of type AT_TIMESTAMP needs a Timestamp"))?;
                if at_ms > now_ms {
                    return Err(unfit(&format!(
                        "the Timestamp {at_ms} ms is after the current time {now_ms} ms"
                    )));
                }
                log.read(origin.shard, |log| {
                    log.index_at(at_ms.max(horizon_ms(stream, now_ms)))
                })
            }
            "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" => return self.by_sequence(origin),
            other => {
                return Err(invalid(&format!(
                    "unknown start type {other}; known are AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, AT_TIMESTAMP, \
                     TRIM_HORIZON, LATEST"
                )));
            }
        };
        Ok(Position { origin, index })
    }

    /// AT or AFTER a sequence number, which must have come from this very shard: a number of
    /// another shard, or of a stream that was deleted, is refused and not read as a place.
    fn by_sequence(&self, origin: Origin) -> Result<Position, Refusal> {
        let sequence = self.sequence.ok_or_else(|| {
            unfit(&format!(
                "a start of type {} needs a sequence number",
                self.kind
            ))
        })?;
        let position = Position::at(sequence)
            .filter(|position| position.origin == origin)
            .ok_or_else(|| {
                unfit(&format!(
                    "the sequence number {sequence} did not come from this shard"
                ))
            })?;
        Ok(if self.kind == "AT_SEQUENCE_NUMBER" {
            position
        } else {
            position.after()
        })
    }
}
