//! Turns failed calls into the errors of the lease table.
//!
//! A refused write comes with the row that did not meet the condition. That row decides what the
//! worker learns: a lease is the one that won, a row that cannot be read is malformed, and a row of
//! another kind means that the key is taken.

use kcl_core::lease::Error;
use kcl_core::model::Lease;

use crate::call::Refused;
use crate::item::attribute::{ENTITY_TYPE, KIND_LEASE, KIND_SIGNAL, KIND_WORKER};
use crate::item::{Item, Reader, Row};

/// The kind as it would stand in `entityType`, for the message.
fn kind_of(row: &Row) -> String {
    match row {
        Row::Lease(_) => KIND_LEASE.to_owned(),
        Row::Worker(_) => KIND_WORKER.to_owned(),
        Row::Signal => KIND_SIGNAL.to_owned(),
        Row::Foreign { kind } => kind.clone().unwrap_or_else(|| "nothing".to_owned()),
    }
}

/// The error for a row that is of another kind than expected under its key. It is fatal: somebody
/// has given a worker the name of another row, and no retry changes that.
pub(crate) fn in_the_way(key: &str, row: &Row, wanted: &str) -> Error {
    let found = match row {
        Row::Lease(_) => "a lease".to_owned(),
        Row::Worker(_) => "a worker".to_owned(),
        Row::Signal => "the change signal".to_owned(),
        Row::Foreign { kind } => match kind {
            Some(kind) => format!("of the kind `{kind}`"),
            None => "of an unknown kind".to_owned(),
        },
    };
    Error::Fatal {
        message: format!("the row `{key}` is {found}: expected {wanted}"),
        source: None,
    }
}

/// The lease of a row that was read or written under the key of a lease. A row of another kind
/// there is malformed, because an edit has changed its kind.
pub(crate) fn lease_of(item: &Item) -> Result<Lease, Error> {
    match Row::read(item)? {
        Row::Lease(lease) => Ok(lease),
        // A lease was expected here: only this shard cannot be read.
        other => Err(Reader(item)
            .malformed(
                ENTITY_TYPE,
                Some(&kind_of(&other)),
                "LEASE in the row of a lease",
            )
            .into()),
    }
}

/// The error of a write on a lease: a conflict with the row that won, or what else was in its
/// place.
pub(crate) fn refusal(refused: Refused) -> Error {
    match refused {
        Refused::Failed(error) => error,
        Refused::Condition(None) => Error::conflict(None),
        Refused::Condition(Some(item)) => match lease_of(&item) {
            Ok(lease) => Error::conflict(Some(lease)),
            Err(error) => error,
        },
    }
}

/// The error of a write on the row of a worker. The conflict has no row, as the contract says:
/// whoever needs it reads it.
pub(crate) fn worker_refusal(refused: Refused) -> Error {
    match refused {
        Refused::Failed(error) => error,
        Refused::Condition(None) => Error::conflict(None),
        Refused::Condition(Some(item)) => match Row::read(&item) {
            Ok(Row::Worker(_)) => Error::conflict(None),
            Ok(other) => in_the_way(Reader(&item).key(), &other, "a worker of this fleet"),
            Err(malformed) => malformed.into(),
        },
    }
}
