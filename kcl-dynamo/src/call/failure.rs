//! From an error of the SDK to one of the lease table, with a message that helps.
//!
//! The SDK's own text for an error is often "service error". What DynamoDB said, the request id
//! that AWS support asks for, and the missing permission are dug out of it here.

use std::error::Error as StdError;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId as _;
use kcl_core::BoxError;
use kcl_core::lease::Error;

use crate::item::Item;

use super::classify::{Action, Failure, Verdict, classify};

/// How much of a service's error message is kept, in characters. A validation error can repeat a
/// whole expression.
const MAX_MESSAGE: usize = 512;

/// A failure's message, without the response that caused it: a response may contain the rows of the
/// table.
#[derive(Debug, thiserror::Error)]
#[error("{action} on table `{table}`: {said}")]
struct Said {
    /// The operation, with its name in IAM policies.
    action: &'static str,
    table: String,
    /// What was said, the request id, and a hint.
    said: String,
}

/// A service error that may contain the row that did not meet a write's condition.
pub(crate) trait RefusedItem {
    /// The row, if the error contains one.
    fn item(&self) -> Option<&Item>;
}

/// The row that did not meet a conditional write's condition. `None` if there is no row.
pub(crate) fn refused_item<E: RefusedItem>(error: &SdkError<E>) -> Option<&Item> {
    error.as_service_error().and_then(RefusedItem::item)
}

macro_rules! refused_item {
    ($($operation:ident::$error:ident),*) => {$(
        impl RefusedItem for aws_sdk_dynamodb::operation::$operation::$error {
            fn item(&self) -> Option<&Item> {
                match self {
                    Self::ConditionalCheckFailedException(refusal) => refusal.item(),
                    _ => None,
                }
            }
        }
    )*};
}

refused_item!(
    put_item::PutItemError,
    update_item::UpdateItemError,
    delete_item::DeleteItemError
);

/// The verdict on a failure, and its error.
///
/// A conflict has no row here: the caller knows how to read the row. `E` is the error type of the
/// operation, one for each in the SDK.
pub(crate) fn say<E>(action: Action, table: &str, error: &SdkError<E>) -> (Verdict, Error)
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let failure = failure_of(error);
    let verdict = classify(action, &failure);
    let request = error
        .request_id()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default();
    let hint = hint(action, &failure);
    let said: String = what_was_said(&failure, error)
        .chars()
        .take(MAX_MESSAGE)
        .collect();
    let said = Said {
        action: action.name(),
        table: table.to_owned(),
        said: format!("{said}{request}{hint}"),
    };
    let error = match verdict {
        Verdict::Conflict => Error::conflict(None),
        Verdict::Unknown => Error::Unknown {
            source: Box::new(said),
        },
        Verdict::Throttled => Error::Throttled {
            source: Box::new(said),
        },
        Verdict::Denied => Error::Denied {
            message: said.to_string(),
        },
        Verdict::Fatal => Error::Fatal {
            message: said.to_string(),
            source: None::<BoxError>,
        },
    };
    (verdict, error)
}

/// What is needed instead, to be appended to the message: the permission in the form of a policy,
/// or that the table is looked for in one account and one region.
fn hint(action: Action, failure: &Failure<'_>) -> String {
    let Failure::Refusal {
        code: Some(code), ..
    } = failure
    else {
        return String::new();
    };
    match *code {
        "AccessDeniedException" => {
            format!(
                "; the credentials need `dynamodb:{}` on the table (the documentation has the \
                 whole policy)",
                action.name()
            )
        }
        "ResourceNotFoundException" => {
            "; the table does not exist in this account and region".to_owned()
        }
        _ => String::new(),
    }
}

/// Reduces the SDK's error to what decides.
///
/// A connection that breaks is `NoAnswer` even if nothing was sent, because that cannot be known.
/// An answer with a successful status that cannot be parsed is also `NoAnswer`: the write has been
/// applied as far as DynamoDB is concerned.
fn failure_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Failure<'_> {
    match error {
        SdkError::ConstructionFailure(_) => Failure::NotSendable,
        SdkError::DispatchFailure(failure) if failure.is_user() => Failure::NotSendable,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Failure::NoAnswer,
        SdkError::ResponseError(response) if response.raw().status().is_success() => {
            Failure::NoAnswer
        }
        _ => match error.raw_response() {
            Some(response) => Failure::Refusal {
                status: response.status().as_u16(),
                code: error.code(),
                message: error.message(),
            },
            None => Failure::NoAnswer,
        },
    }
}

/// What was said, by DynamoDB, by a proxy or by the transport, in one sentence.
fn what_was_said<E: StdError + 'static>(failure: &Failure<'_>, error: &SdkError<E>) -> String {
    match (failure, error.raw_response().map(HttpResponse::status)) {
        (
            Failure::Refusal {
                code: Some(code),
                message,
                ..
            },
            _,
        ) => {
            format!("{code}: {}", message.unwrap_or("(no message)"))
        }
        (Failure::Refusal { status, .. }, _) => {
            format!("HTTP status {status} without an error code")
        }
        (Failure::NotSendable, _) => format!("the request cannot be sent: {}", causes(error)),
        (Failure::NoAnswer, Some(_)) => format!("the answer cannot be read: {}", causes(error)),
        (Failure::NoAnswer, None) => format!("no answer: {}", causes(error)),
    }
}

/// The causes, from the outermost to the innermost.
fn causes<E: StdError + 'static>(error: &SdkError<E>) -> String {
    let mut texts = Vec::new();
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.dedup();
    if texts.is_empty() {
        error.to_string()
    } else {
        texts.join(": ")
    }
}
