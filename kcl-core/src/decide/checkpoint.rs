//! Which checkpoints an application may store.
//!
//! ```text
//!                 stored          greatest delivered
//!                   |                     |
//!   ----------------[=====================]--------------->  positions of the shard
//!      BehindStored        accepted         AheadOfDelivered
//! ```
//!
//! The rule is the KCL's: a new checkpoint lies between the stored one and the greatest position
//! that was handed to the processor, both included. The stored one itself is accepted and costs no
//! write. What differs from the KCL, where it loses something:
//!
//! - a position is always (sequence, sub-sequence), with state bytes or without;
//! - state prepared at the stored position is written, not dropped;
//! - no position means the shard's end: the worker writes that, when everything before it is done.
//!
//! A two-phase checkpoint adds no rule of its own: what is prepared is judged against the
//! *committed* checkpoint, when it is prepared and again when it is committed. So an older prepared
//! one may be committed after a newer one was prepared, and not after a later one was committed.

use bytes::Bytes;

use crate::model::{Checkpoint, Pending, Position};

/// What a checkpoint that is allowed comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored already: nothing is written.
    AlreadyStored,
    /// This is to be written.
    Store(Checkpoint),
}

/// What a prepared checkpoint that is allowed comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It is stored already and there is no state to keep: nothing is written, and committing it
    /// does nothing.
    AlreadyStored,
    /// This is to be written beside the stored checkpoint.
    Store(Pending),
}

/// Why a checkpoint was refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It would pass records that were not delivered to the processor.
    #[error("a checkpoint at {wanted} passes what was delivered: {}", allowed(stored, delivered.as_ref()))]
    AheadOfDelivered {
        /// The position that was asked for.
        wanted: Position,
        /// The stored checkpoint.
        stored: Checkpoint,
        /// The greatest position that the processor was given. Nothing when it was given none.
        delivered: Option<Position>,
    },
    /// It would move the stored checkpoint backwards.
    #[error("a checkpoint at {wanted} goes back: {}", allowed(stored, delivered.as_ref()))]
    BehindStored {
        /// The position that was asked for.
        wanted: Position,
        /// The stored checkpoint.
        stored: Checkpoint,
        /// The greatest position that the processor was given. Nothing when it was given none.
        delivered: Option<Position>,
    },
    /// The shard's end is stored, and nothing follows it.
    #[error("cannot checkpoint at {wanted}: the shard has already been completed")]
    Ended {
        /// The position that was asked for.
        wanted: Position,
    },
}

fn allowed(stored: &Checkpoint, delivered: Option<&Position>) -> String {
    match (stored, greatest(stored, delivered)) {
        (Checkpoint::At(from), Some(to)) if from == to => {
            format!("expected {from}, the stored position")
        }
        (Checkpoint::At(from), Some(to)) => {
            format!("expected a position from {from} (stored) to {to} (delivered)")
        }
        (_, Some(to)) => format!("expected a delivered position, up to {to}"),
        (_, None) => "nothing can be checkpointed before the first record is delivered".to_owned(),
    }
}

/// The greatest position that may be stored.
fn greatest<'a>(stored: &'a Checkpoint, delivered: Option<&'a Position>) -> Option<&'a Position> {
    stored.position().max(delivered)
}

/// Judges a checkpoint at `wanted` where `stored` is the committed checkpoint (the value that the
/// table acknowledged last) and `delivered` the greatest position that was handed to the processor
/// in this tenancy.
///
/// # Errors
/// When the position is outside of what is stored and what was delivered.
pub fn accept(
    stored: &Checkpoint,
    delivered: Option<&Position>,
    wanted: &Position,
) -> Result<Accepted, Refused> {
    if stored.is_shard_end() {
        return Err(Refused::Ended {
            wanted: wanted.clone(),
        });
    }
    if stored.position().is_some_and(|stored| wanted < stored) {
        return Err(Refused::BehindStored {
            wanted: wanted.clone(),
            stored: stored.clone(),
            delivered: delivered.cloned(),
        });
    }
    if greatest(stored, delivered).is_none_or(|greatest| wanted > greatest) {
        return Err(Refused::AheadOfDelivered {
            wanted: wanted.clone(),
            stored: stored.clone(),
            delivered: delivered.cloned(),
        });
    }
    if stored.position() == Some(wanted) {
        return Ok(Accepted::AlreadyStored);
    }
    Ok(Accepted::Store(Checkpoint::At(wanted.clone())))
}

/// Judges the first phase of a checkpoint: `accepted` is what [`accept`] said of the position
/// against `stored`.
///
/// State is kept at the stored position too: it is what the application wants to find after a
/// failover.
#[must_use]
pub fn prepare(stored: &Checkpoint, accepted: Accepted, state: Option<Bytes>) -> Prepared {
    match (accepted, state) {
        (Accepted::AlreadyStored, None) => Prepared::AlreadyStored,
        (Accepted::AlreadyStored, state) => Prepared::Store(Pending {
            at: stored.clone(),
            state,
        }),
        (Accepted::Store(at), state) => Prepared::Store(Pending { at, state }),
    }
}

/// Judges the second phase: `prepared` is what the first phase wrote, `pending` what the row holds
/// as prepared now.
///
/// Delivery is not judged again, it only grows (`delivered` stands in the error). A checkpoint at
/// the stored position is written when the row still holds a prepared one there: committing removes
/// it.
///
/// # Errors
/// When a later checkpoint was committed since.
pub fn commit(
    stored: &Checkpoint,
    delivered: Option<&Position>,
    pending: Option<&Pending>,
    prepared: &Checkpoint,
) -> Result<Accepted, Refused> {
    if prepared > stored
        || (prepared == stored && pending.is_some_and(|pending| pending.at == *prepared))
    {
        return Ok(Accepted::Store(prepared.clone()));
    }
    match prepared {
        prepared if prepared == stored => Ok(Accepted::AlreadyStored),
        Checkpoint::At(wanted) if stored.is_shard_end() => Err(Refused::Ended {
            wanted: wanted.clone(),
        }),
        Checkpoint::At(wanted) => Err(Refused::BehindStored {
            wanted: wanted.clone(),
            stored: stored.clone(),
            delivered: delivered.cloned(),
        }),
        // A sentinel below what is stored says that nothing is done: there is nothing to commit.
        Checkpoint::AtTimestamp
        | Checkpoint::TrimHorizon
        | Checkpoint::Latest
        | Checkpoint::ShardEnd => Ok(Accepted::AlreadyStored),
    }
}

#[cfg(test)]
#[path = "checkpoint_test.rs"]
mod tests;
