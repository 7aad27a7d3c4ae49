//! An event as a sentence.
//!
//! The sentence is what a log line shows, so it stands by itself: what has happened, to which shard
//! or lease, and the cause if there is one. What happens next depends on the settings, and is added
//! by the log (`worker/log.rs`). Positions and ids are in it, keys and payloads never are.

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
            Self::RecordSkipped { shard, at } => write!(
                f,
                "skipped record {at} of {shard}, which could not be processed"
            ),
            Self::DataGap { shard, gap } => write!(f, "{shard}: {gap}"),
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
            Self::Stopping => f.write_str("stopping: draining the shards"),
            Self::Missed(events) => write!(
                f,
                "{events} events were dropped because they were not read in time"
            ),
        }
    }
}
