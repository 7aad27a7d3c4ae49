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
//! that was delivered to the processor, both included. The stored one itself is accepted and costs
//! no write. This differs from the KCL where the KCL loses something:
//!
//! - a position is always a sequence number with a sub-sequence number, with or without state
//!   bytes;
//! - state prepared at the stored position is written, not dropped;
//! - no position stands for the shard's end: only the worker writes that, once everything before it
//!   is done.
//!
//! A two-phase checkpoint adds no rule of its own: a prepared checkpoint is compared with the
//! *committed* one, when it is prepared and again when it is committed. So an older prepared
//! checkpoint can be committed after a newer one was prepared, but not after a later one was
//! committed.

use bytes::Bytes;

use crate::model::{Checkpoint, Pending, Position};

/// The outcome of a checkpoint that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored already, so nothing is written.
    ///
    /// The application may repeat a call after a lost answer, and finds it done.
    AlreadyStored,
    /// This has to be written.
    Store(Checkpoint),
}

/// The outcome of a prepared checkpoint that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It is stored already and has no state, so nothing is written, and committing it does
    /// nothing.
    AlreadyStored,
    /// This has to be written next to the stored checkpoint.
    Store(Pending),
}

/// Why a checkpoint was rejected. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is beyond the last record that was delivered to the processor. To store it would skip the
    /// records in between if the shard changed its owner.
    #[error("cannot checkpoint at {wanted}, which has not been delivered: {}", allowed(stored, delivered.as_ref()))]
    AheadOfDelivered {
        /// The requested position.
        wanted: Position,
        /// The stored checkpoint.
        stored: Checkpoint,
        /// The greatest position that was delivered to the processor, or `None` before the first record.
        delivered: Option<Position>,
    },
    /// It would move the stored checkpoint backwards. Usually a late call of an earlier batch.
    /// Nothing is lost by ignoring it.
    #[error("cannot checkpoint at {wanted}, which is before the stored checkpoint: {}", allowed(stored, delivered.as_ref()))]
    BehindStored {
        /// The requested position.
        wanted: Position,
        /// The stored checkpoint.
        stored: Checkpoint,
        /// The greatest position that was delivered to the processor, or `None` before the first
        /// record.
        delivered: Option<Position>,
    },
    /// The shard's end is stored, and no checkpoint can follow it.
    #[error("cannot checkpoint at {wanted}: the shard has already been completed")]
    Ended {
        /// The requested position.
        wanted: Position,
    },
}

/// What would have been accepted, for the error message.
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

/// Judges the first phase of a checkpoint. `accepted` is the result of [`accept`] for the position
/// and `stored`.
///
/// State is also kept at the stored position: the application wants to find it after a failover.
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

/// Judges the second phase. `prepared` is what the first phase wrote, and `pending` is the prepared
/// checkpoint in the row now.
///
/// The delivered position is not checked again, because it only grows (`delivered` is only for the
/// error). A checkpoint at the stored position is written if the row still has a prepared one
/// there, because the commit removes it.
///
/// # Errors
/// If a later checkpoint has been committed since.
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
        // A sentinel before the stored checkpoint says that nothing has been processed: there is
        // nothing to commit.
        Checkpoint::AtTimestamp
        | Checkpoint::TrimHorizon
        | Checkpoint::Latest
        | Checkpoint::ShardEnd => Ok(Accepted::AlreadyStored),
    }
}

#[cfg(test)]
#[path = "checkpoint_test.rs"]
mod tests;
