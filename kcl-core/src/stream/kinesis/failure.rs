use std::error::Error as StdError;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::RequestId as _;

use crate::stream::{Error, ErrorKind};

use super::classify::{CallFailure, KinesisOperation, classify};

pub(super) mod broken;

/// As much is kept of what a service says about an error.
const MAX_MESSAGE: usize = 512;

/// The failure of a call: what to do about it, and its name, code and message for people.
///
/// `secret` is the iterator that the call carried. The service may repeat it in a message, and it
/// is a key to the data.
pub(super) fn error_of<E>(
    operation: KinesisOperation,
    error: SdkError<E>,
    secret: Option<&str>,
) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = classify(operation, &failure_of(&error));
    let request = error
        .request_id()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default();
    let said = discreet(&what_was_said(&error), secret);
    let mut result = Error::new(kind, operation.name(), format!("{said}{request}"));
    result.code = error.code().map(Into::into);
    match error {
        // All that an error of the service says stands in the message, without the secret.
        SdkError::ServiceError(_) => result,
        // The cause alone: the SDK's error would hold the response, and with it record data.
        error => match error.into_source() {
            Ok(source) => result.caused_by(source),
            Err(_) => result,
        },
    }
}

/// What came back is not what the service promises.
pub(super) fn malformed(operation: KinesisOperation, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Fatal, operation.name(), message)
}

/// What kind of failure the SDK's error is, for the table in [`classify`](super::classify).
fn failure_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> CallFailure<'_> {
    match error {
        SdkError::ConstructionFailure(_) => CallFailure::NotBuilt,
        SdkError::TimeoutError(_) => CallFailure::Late,
        SdkError::DispatchFailure(failure) if failure.is_user() => CallFailure::NotSendable,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => CallFailure::Late,
        SdkError::DispatchFailure(_) => CallFailure::NoConnection,
        // Granted, and the body is not what it should be. Whether to repeat the call is another
        // question than after a refusal.
        SdkError::ResponseError(response) if response.raw().status().is_success() => {
            CallFailure::Unreadable
        }
        _ => match error.raw_response() {
            Some(response) => CallFailure::Refusal {
                status: response.status().as_u16(),
                code: error.code(),
                message: error.message(),
            },
            None => CallFailure::Unreadable,
        },
    }
}

/// The words for the SDK's error, with the causes beneath it.
fn what_was_said<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match (failure_of(error), error.raw_response()) {
        // Without a response there was nothing to be read: the connection broke while it came.
        (CallFailure::Unreadable, None) => words(&CallFailure::NoConnection, &causes(error)),
        (failure, _) => words(&failure, &causes(error)),
    }
}

/// A failure in words. `why` is what lies beneath, where the failure does not say it.
fn words(failure: &CallFailure<'_>, why: &str) -> String {
    match failure {
        CallFailure::Refusal {
            code: Some(code),
            message,
            ..
        } => format!(
            "{code}: {}",
            message.unwrap_or("(the service says nothing more)")
        ),
        CallFailure::Refusal { status, .. } => {
            format!("HTTP status {status} without an error code")
        }
        CallFailure::Unreadable => format!("the answer cannot be read: {why}"),
        CallFailure::Late => format!("no answer in time: {why}"),
        CallFailure::NotBuilt => format!("the request cannot be built: {why}"),
        CallFailure::NotSendable => format!("the request cannot be sent: {why}"),
        CallFailure::NoConnection => format!("no connection: {why}"),
    }
}

/// The failure of a call that was not made by the SDK: the same in all as that of one that was.
pub(super) fn failed(
    operation: KinesisOperation,
    failure: &CallFailure<'_>,
    why: &str,
    request_id: Option<&str>,
    secret: Option<&str>,
) -> Error {
    let request = request_id
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default();
    let said = discreet(&words(failure, why), secret);
    let kind = classify(operation, failure);
    let mut result = Error::new(kind, operation.name(), format!("{said}{request}"));
    if let CallFailure::Refusal {
        code: Some(code), ..
    } = failure
    {
        result.code = Some((*code).into());
    }
    result
}

/// What lies beneath, from the outside in.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut texts = Vec::new();
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.dedup();
    texts.join(": ")
}

/// The text without the secret, and bounded: it comes from the wire.
fn discreet(text: &str, secret: Option<&str>) -> String {
    let text = match secret.filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(secret, "(the iterator)"),
        None => text.to_owned(),
    };
    text.chars().take(MAX_MESSAGE).collect()
}
