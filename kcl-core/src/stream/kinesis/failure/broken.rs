//! The failures of a subscription after it was granted: an exception among its events, or the end of
//! what carried them.
//!
//! Record data is in none of them: of what was received, the name and the message of an exception
//! alone are kept.

use std::error::Error as StdError;

use crate::BoxError;
use crate::stream::Error;

use super::super::classify::{CallFailure, KinesisOperation, classify};
use super::super::wire::Unreadable;
use super::{causes, discreet};

/// An exception. It has no status of its own. A name that is not known yet is taken for the
/// service's trouble: if it refuses us for good, the next subscription will tell.
pub(in crate::stream::kinesis) fn refused(
    operation: KinesisOperation,
    code: &str,
    message: Option<&str>,
) -> Error {
    let failure = CallFailure::Refusal {
        status: 500,
        code: Some(code),
        message: message.filter(|text| !text.is_empty()),
    };
    let message = message.filter(|text| !text.is_empty());
    let said = format!(
        "{code}: {}",
        message.unwrap_or("(the service says nothing more)")
    );
    let mut error = of(operation, &failure, &said);
    error.code = Some(code.into());
    error
}

/// Something came that is no event.
pub(in crate::stream::kinesis) fn unreadable(
    operation: KinesisOperation,
    cause: Unreadable,
) -> Error {
    let said = format!("an event cannot be read: {}", all_of(&cause));
    of(operation, &CallFailure::Unreadable, &said).caused_by(cause)
}

/// Nothing comes any more.
pub(in crate::stream::kinesis) fn lost(operation: KinesisOperation, cause: BoxError) -> Error {
    let said = format!("the connection is lost: {}", all_of(&*cause));
    of(operation, &CallFailure::NoConnection, &said).caused_by(cause)
}

/// The error, judged by the same table as the failure of a call.
fn of(operation: KinesisOperation, failure: &CallFailure<'_>, said: &str) -> Error {
    Error::new(
        classify(operation, failure),
        operation.name(),
        discreet(said, None),
    )
}

/// The error and its causes.
fn all_of(error: &(dyn StdError + 'static)) -> String {
    let causes = causes(error);
    if causes.is_empty() {
        error.to_string()
    } else {
        format!("{error}: {causes}")
    }
}
