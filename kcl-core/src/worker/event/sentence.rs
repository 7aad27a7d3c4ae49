//! An event as a sentence.
//!
//! The sentence is what a log line shows, so it stands by itself: what has happened, to which shard
//! or lease, and the cause if there is one. It has no full stop, as the log goes on behind it: what
//! happens next depends on the settings, and is added there (`worker/log.rs`):
//!
//! ```text
//!   process_records of orders/shardId-000000000000 failed (attempt 2): no route; the worker stops
//!   \-- the event's sentence ------------------------------------------------/  \-- the log's --/
//! ```
//!
//! Positions and ids are in it, keys and payloads never are: more people may read a log than may
//! read the stream. The words may change with any version. Filters and alerts go by the name of the
//! kind (`Event::kind`), which does not.

use std::fmt;

use super::Event;

/// So many leases are named in a line, at the most. The event itself has all of them; a line with
/// thousands of leases would help nobody.
const NAMED: usize = 5;

impl fmt::Display for Event {
    /// The event as a sentence, with its cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => {
                f.write_str("started: the lease table is ready and the shards are known")
            }
            Self::LeaseAcquired { lease, checkpoint } => {
                write!(f, "acquired lease {lease} at checkpoint {checkpoint}")
            }
            Self::ShardStarted { shard } => write!(f, "the processor of {shard} is initialized"),
            Self::CaughtUp { shard } => write!(
                f,
                "caught up on {shard}: every record it had has been processed"
            ),
            Self::ShardEnded { shard, children } => {
                write!(f, "{shard} has ended")?;
                // A split has two children, a merge one, and a shard that was closed without a
                // successor none.
                for (n, child) in children.iter().enumerate() {
                    write!(
                        f,
                        "{}{child}",
                        if n == 0 {
                            "; its children are "
                        } else {
                            " and "
                        }
                    )?;
                }
                Ok(())
            }
            Self::LeaseReleased { lease } => write!(f, "released lease {lease}"),
            Self::LeaseHandedOver { lease, to } => write!(f, "handed lease {lease} over to {to}"),
            Self::LeaseLost { lease, reason } => write!(f, "lost lease {lease}: {reason}"),
            Self::HandlerFailed {
                shard,
                call,
                attempt,
                at,
                error,
            } => {
                write!(f, "{call} of {shard} failed")?;
                // Only where the handler named a record: a batch has failed otherwise, and nobody
                // knows at which.
                if let Some(at) = at {
                    write!(f, " at record {at}")?;
                }
                write!(f, " (attempt {attempt}): {error}")
            }
            Self::HandlerRecovered {
                shard,
                call,
                at,
                failures,
            } => {
                write!(f, "{call} of {shard} succeeded")?;
                if let Some(at) = at {
                    write!(f, " at record {at}")?;
                }
                let attempts = if *failures == 1 {
                    "attempt"
                } else {
                    "attempts"
                };
                write!(f, " after {failures} failed {attempts}")
            }
            Self::HandlerSlow { shard, call, span } => {
                write!(
                    f,
                    "{call} of {shard} has been running for {:.1} s",
                    span.as_secs_f64()
                )
            }
            Self::ChildWaits {
                child,
                parent,
                span,
            } => {
                // The span is measured by the one who waits. Of the parent only its lease is known
                // here: why it stands still is said by the worker that holds it.
                write!(
                    f,
                    "{child} has waited {:.1} s for its parent {parent}, which is not completed",
                    span.as_secs_f64()
                )
            }
            Self::DeadLettered {
                shard,
                at,
                attempts,
            } => {
                write!(
                    f,
                    "record {at} of {shard} was kept as a dead letter after {attempts} attempts"
                )
            }
            Self::DeadLetterRefused { shard, at, error } => {
                write!(
                    f,
                    "the dead letter of record {at} of {shard} was not accepted: {error}"
                )
            }
            Self::RecordSkipped { shard, at } => write!(
                f,
                "skipped record {at} of {shard}, which could not be processed"
            ),
            Self::DataGap { shard, gap } => write!(f, "{shard}: {gap}"),
            // Whose mistake it is cannot be known here, so both sides are told and neither is
            // blamed.
            Self::EndRefused { shard, times } => {
                write!(
                    f,
                    "a response said that {shard} has ended, but the shard is listed as open \
                     ({times} such responses in a row)"
                )
            }
            Self::ShardUnreadable { shard, error } => {
                write!(f, "this worker cannot read {shard}: {error}")
            }
            Self::RowMalformed { row } => write!(f, "malformed row in the lease table: {row}"),
            Self::Refused {
                of, call, error, ..
            } => write!(f, "{of} denies {call}, which it permitted before: {error}"),
            Self::ReadingFails {
                shard,
                for_long,
                attempts,
                error,
            } => {
                // Both figures: a shard may fail for a minute by two calls that hang, or by sixty
                // that are refused.
                let seconds = for_long.as_secs_f64();
                write!(
                    f,
                    "{shard} cannot be read: all {attempts} calls in the last {seconds:.1} s \
                     failed: {error}"
                )
            }
            Self::ReadingGoesOn { shard, attempts } => write!(
                f,
                "{shard} can be read again, after {attempts} failed calls"
            ),
            Self::PolledInstead { stream, reason } => {
                write!(f, "stream {stream} cannot be read by fan-out: {reason}")
            }
            Self::LeasesLeftUnread { leases } => {
                let (shards, have) = if leases.len() == 1 {
                    ("shard", "has")
                } else {
                    ("shards", "have")
                };
                write!(f, "{} {shards} {have} no owner (", leases.len())?;
                for (n, lease) in leases.iter().take(NAMED).enumerate() {
                    write!(f, "{}{lease}", if n == 0 { "" } else { ", " })?;
                }
                let more = if leases.len() > NAMED { ", ..." } else { "" };
                write!(
                    f,
                    "{more}), and this worker already holds as many leases as it may"
                )
            }
            Self::StreamReplaced { stream } => write!(
                f,
                "stream {stream} was deleted and created again: the new one is read; the leases \
                 of the old one stay in the table"
            ),
            Self::HashKeysUnread { stream, ranges } => {
                write!(
                    f,
                    "these hash keys of stream {stream} are not read, because no unfinished lease \
                     covers them:"
                )?;
                // All of them, unlike the leases above: who mends a hole needs each of its bounds.
                for (n, range) in ranges.iter().enumerate() {
                    write!(
                        f,
                        "{} {}-{}",
                        if n == 0 { "" } else { "," },
                        range.start(),
                        range.end()
                    )?;
                }
                Ok(())
            }
            Self::StepFailed {
                what,
                stream: Some(stream),
                error,
            } => write!(f, "failed {what} (stream {stream}): {error}"),
            Self::StepFailed {
                what,
                stream: None,
                error,
            } => write!(f, "failed {what}: {error}"),
            Self::LeasesLedByOthers { what } => {
                write!(f, "a process outside this fleet assigns the leases: {what}")
            }
            Self::ShardPaused { lease } => {
                write!(f, "an operator has paused shard {lease}: draining it")
            }
            Self::DrainBegun { held } => write!(
                f,
                "an operator drains this worker: giving up its {held} leases"
            ),
            Self::DrainEnded => f.write_str("this worker is not drained any more"),
            Self::Stopping => f.write_str("stopping: draining the shards"),
            Self::Missed(events) => write!(
                f,
                "{events} events were dropped because they were not read in time"
            ),
        }
    }
}
