use std::sync::Arc;

use crate::decide::retries::Discarded;
use crate::model::Position;

use super::background::AcceptedBatch;

/// What is reported to the listener as it happens.
pub(crate) enum WorkEvent<'a> {
    /// The work on a record failed. `failures` is the highest number of failed attempts of any
    /// record that is currently failing.
    Failed {
        at: &'a Position,
        attempt: u32,
        error: &'a Arc<str>,
        failures: u32,
    },
    /// A record that had failed is done. `failures` is the highest number of failed attempts of the
    /// records that are still failing; 0 if there is none.
    FailsNoMore { failures: u32 },
    /// A record was processed after this many failed attempts.
    Recovered { at: &'a Position, failures: u32 },
    /// The handler is called again after a failed call.
    Retried,
    /// A flush of a buffer begins.
    Flushes { cause: &'static str },
    /// A record that failed was skipped.
    Skipped { at: &'a Position, why: Discarded },
    /// A record that was given up was accepted as a dead letter.
    DeadLettered {
        at: &'a Position,
        attempts: u32,
        why: Discarded,
    },
    /// A dead letter was not accepted.
    LetterRefused {
        /// The record.
        at: &'a Position,
        /// What the target said.
        error: &'a Arc<str>,
    },
    /// A whole batch is done. `oldest` is the batch with the oldest record that is left.
    Done {
        batch: &'a AcceptedBatch,
        oldest: Option<&'a AcceptedBatch>,
    },
}

pub(crate) type WorkListener = Box<dyn Fn(WorkEvent<'_>) + Send + Sync>;
