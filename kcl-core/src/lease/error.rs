//! ```text
//!   nothing was written         Conflict, Throttled, Denied, Malformed, Fatal
//!   it may have been written    Unknown
//! ```
//!
//! The difference decides what may follow. After `Unknown` only writes that expect the same counter
//! may be sent, until the row shows what became of the first.

use crate::BoxError;
use crate::model::Lease;

use super::MalformedRow;

/// Why a call to a [`LeaseTable`](super::LeaseTable) failed. Each variant tells the caller what to
/// do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The row is not as expected, because another write was first. **Nothing was written.**
    #[error("the lease is not as expected: {}", found(row.as_deref()))]
    Conflict {
        /// The row as it is now, or `None` if there is no row. It saves the caller a read, and
        /// there is no moment in between in which it could change unseen.
        row: Option<Box<Lease>>,
    },
    /// The answer was lost: **the write may have been applied, or may still be applied later**.
    /// Only a consistent read or a later write on the same row can tell.
    #[error("no answer to a write on the lease table: it may have happened")]
    Unknown {
        /// What happened instead of an answer, such as a timeout.
        #[source]
        source: BoxError,
    },
    /// The table is busy or unreachable, and nothing was written. Try again later.
    #[error("the lease table is busy or out of reach")]
    Throttled {
        /// What the table said.
        #[source]
        source: BoxError,
    },
    /// The table rejects the call because of missing permissions or invalid credentials, and
    /// nothing was written. A worker to which such a call was granted before tries again for a
    /// while; for all others this is final.
    #[error("the lease table refuses the call: {message}")]
    Denied {
        /// What was called, what the table answered, and what is needed.
        message: String,
    },
    /// The row that was read, or that the write's condition did not match, cannot be read: it was
    /// edited from outside. Leave it alone and look again later; all other rows are unaffected.
    #[error("a row of the lease table is malformed: {0}")]
    Malformed(Box<MalformedRow>),
    /// The call cannot succeed, however often it is repeated: a wrong schema or an invalid address,
    /// for example.
    #[error("the lease table cannot be used: {message}")]
    Fatal {
        /// What is wrong, where, and what is expected.
        message: String,
        /// The underlying cause, if there is one.
        #[source]
        source: Option<BoxError>,
    },
}

impl Error {
    /// A conflict with this row, or with a missing one.
    #[must_use]
    pub fn conflict(row: Option<Lease>) -> Self {
        Self::Conflict {
            row: row.map(Box::new),
        }
    }

    /// Whether the same call may succeed when it is repeated. After [`Error::Unknown`] it is the
    /// same write with the same condition that may be repeated, no other one.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unknown { .. })
    }
}

/// The text of an error followed by those of its causes, separated by `: `. For places that show
/// one line: events, the status, messages.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

impl From<MalformedRow> for Error {
    fn from(row: MalformedRow) -> Self {
        Self::Malformed(Box::new(row))
    }
}

/// The row that won, for the message of a conflict.
fn found(row: Option<&Lease>) -> String {
    match row {
        None => "there is no row".to_owned(),
        Some(row) => {
            let owner = row
                .actual_owner()
                .map_or_else(|| "nobody".to_owned(), ToString::to_string);
            format!(
                "{} is held by {owner} at counter {} and checkpoint {}",
                row.key, row.counter, row.checkpoint
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checkpoint, LeaseKey};

    #[test]
    fn a_conflict_says_what_was_found() {
        let text = |row| Error::conflict(row).to_string();
        assert_eq!(text(None), "the lease is not as expected: there is no row");
        let free = Lease {
            counter: 7,
            ..Lease::new(LeaseKey::single("s"), Checkpoint::TrimHorizon)
        };
        let held = Lease {
            owner: Some("a".into()),
            ..free.clone()
        };
        let found = |owner: &str| {
            format!(
                "the lease is not as expected: s is held by {owner} at counter 7 and checkpoint \
                 TRIM_HORIZON"
            )
        };
        assert_eq!(
            (text(Some(free)), text(Some(held))),
            (found("nobody"), found("a"))
        );
    }

    #[test]
    fn only_what_may_pass_is_worth_another_try() {
        assert!(
            Error::Throttled {
                source: "busy".into()
            }
            .is_transient()
                && Error::Unknown {
                    source: "no answer".into()
                }
                .is_transient()
        );
        assert!(
            !Error::conflict(None).is_transient()
                && !Error::Denied {
                    message: "no right".into()
                }
                .is_transient()
        );
    }
}
