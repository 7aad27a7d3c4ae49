//! What the failure of a call means. The first matching row decides.
//!
//! | result of the call | for a write | for a read |
//! |---|---|---|
//! | `ConditionalCheckFailedException` | conflict: nothing was written | |
//! | `ProvisionedThroughputExceededException`, `RequestLimitExceeded`, `ThrottlingException`, `Throttling`, `LimitExceededException`, `TransactionConflictException`, `ReplicatedWriteConflictException`, status 429 | throttled: rejected before anything was done | the same |
//! | `ExpiredTokenException`, `ExpiredToken`, `RequestExpired`, `RequestTimeTooSkewed`, and `InvalidSignatureException` about the time | throttled: credentials will be renewed, and clocks corrected | the same |
//! | `InternalServerError`, `InternalServerErrorException`, `InternalFailure`, `ServiceUnavailable`, `RequestTimeout`, any status from 500, status 408 | unknown: it may have been applied | throttled |
//! | no answer in time, no connection, an answer that cannot be read | unknown | throttled |
//! | `AccessDeniedException`, `UnrecognizedClientException`, `InvalidSignatureException`, `IncompleteSignatureException`, `IncompleteSignature`, `InvalidClientTokenId`, `MissingAuthenticationTokenException`, `MissingAuthenticationToken`, `SignatureDoesNotMatch`, `NotAuthorized`, `OptInRequired`, status 401 to 407 | denied | denied |
//! | a request that cannot be built or sent, every other status | fatal | fatal |

/// An operation, with its name in IAM policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Action {
    DescribeTable,
    CreateTable,
    UpdateContinuousBackups,
    GetItem,
    Scan,
    PutItem,
    UpdateItem,
    DeleteItem,
}

impl Action {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DescribeTable => "DescribeTable",
            Self::CreateTable => "CreateTable",
            Self::UpdateContinuousBackups => "UpdateContinuousBackups",
            Self::GetItem => "GetItem",
            Self::Scan => "Scan",
            Self::PutItem => "PutItem",
            Self::UpdateItem => "UpdateItem",
            Self::DeleteItem => "DeleteItem",
        }
    }

    /// Whether the operation writes, so that a call without an answer may have changed something.
    const fn writes(self) -> bool {
        !matches!(self, Self::DescribeTable | Self::GetItem | Self::Scan)
    }
}

/// What a call returned instead of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure<'a> {
    /// An error response.
    Refusal {
        status: u16,
        code: Option<&'a str>,
        message: Option<&'a str>,
    },
    /// The request could not be built or sent.
    NotSendable,
    /// No answer in time, no connection, or an unreadable answer.
    NoAnswer,
}

/// What a failure means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The condition did not hold.
    Conflict,
    /// It is unknown whether it was applied.
    Unknown,
    /// It was not applied, but may succeed later.
    Throttled,
    /// It was not applied, because of missing permissions or invalid credentials.
    Denied,
    /// It cannot succeed, however often it is repeated.
    Fatal,
}

const BUSY: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "Throttling",
    "LimitExceededException",
    "TransactionConflictException",
    "ReplicatedWriteConflictException",
];
const PASSING: &[&str] = &[
    "ExpiredTokenException",
    "ExpiredToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
];
const REFUSED: &[&str] = &[
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "MissingAuthenticationTokenException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "NotAuthorized",
    "OptInRequired",
];
const TIME: &[&str] = &["Signature expired", "Signature not yet current"];
const TROUBLE: &[&str] = &[
    "InternalServerError",
    "InternalServerErrorException",
    "InternalFailure",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
];

/// The table of the module.
pub(crate) fn classify(action: Action, failure: &Failure<'_>) -> Verdict {
    let unanswered = if action.writes() {
        Verdict::Unknown
    } else {
        Verdict::Throttled
    };
    let (status, code, message) = match *failure {
        Failure::NotSendable => return Verdict::Fatal,
        Failure::NoAnswer => return unanswered,
        Failure::Refusal {
            status,
            code,
            message,
        } => (
            status,
            code.unwrap_or_default(),
            message.unwrap_or_default(),
        ),
    };
    let is_about_the_time =
        code == "InvalidSignatureException" && TIME.iter().any(|begin| message.starts_with(begin));
    if code == "ConditionalCheckFailedException" {
        Verdict::Conflict
    } else if BUSY.contains(&code) || PASSING.contains(&code) || status == 429 || is_about_the_time
    {
        Verdict::Throttled
    } else if TROUBLE.contains(&code) || status >= 500 || status == 408 {
        unanswered
    } else if REFUSED.contains(&code) || (401..=407).contains(&status) {
        Verdict::Denied
    } else {
        Verdict::Fatal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<'a>(status: u16, code: &'a str, message: &'a str) -> Failure<'a> {
        Failure::Refusal {
            status,
            code: Some(code).filter(|code| !code.is_empty()),
            message: Some(message),
        }
    }

    /// Calls that were not applied are distinguished from those that may have been, and from those
    /// that never can be.
    #[test]
    fn throttled_unknown_and_fatal_failures_are_told_apart() {
        use Verdict::{Conflict, Denied, Fatal, Throttled, Unknown};
        let rows = [
            (
                refusal(400, "ConditionalCheckFailedException", ""),
                Conflict,
                None,
            ),
            (
                refusal(400, "ProvisionedThroughputExceededException", ""),
                Throttled,
                Some(Throttled),
            ),
            (
                refusal(400, "ThrottlingException", ""),
                Throttled,
                Some(Throttled),
            ),
            (
                refusal(400, "RequestLimitExceeded", ""),
                Throttled,
                Some(Throttled),
            ),
            (
                refusal(400, "TransactionConflictException", ""),
                Throttled,
                Some(Throttled),
            ),
            (refusal(429, "", ""), Throttled, Some(Throttled)),
            (
                refusal(400, "ExpiredTokenException", ""),
                Throttled,
                Some(Throttled),
            ),
            (
                refusal(400, "InvalidSignatureException", "Signature expired: 2026"),
                Throttled,
                Some(Throttled),
            ),
            (
                refusal(
                    400,
                    "InvalidSignatureException",
                    "The request signature we calculated",
                ),
                Denied,
                Some(Denied),
            ),
            (
                refusal(500, "InternalServerError", ""),
                Unknown,
                Some(Throttled),
            ),
            (refusal(503, "", ""), Unknown, Some(Throttled)),
            (refusal(502, "", "a proxy"), Unknown, Some(Throttled)),
            (refusal(408, "", ""), Unknown, Some(Throttled)),
            (
                refusal(400, "AccessDeniedException", ""),
                Denied,
                Some(Denied),
            ),
            (
                refusal(400, "UnrecognizedClientException", ""),
                Denied,
                Some(Denied),
            ),
            (
                refusal(400, "ResourceNotFoundException", ""),
                Fatal,
                Some(Fatal),
            ),
            (refusal(400, "ValidationException", ""), Fatal, Some(Fatal)),
            (refusal(403, "", ""), Denied, Some(Denied)),
            (Failure::NotSendable, Fatal, Some(Fatal)),
            (Failure::NoAnswer, Unknown, Some(Throttled)),
        ];
        for (failure, of_a_write, of_a_read) in rows {
            for action in [
                Action::PutItem,
                Action::UpdateItem,
                Action::DeleteItem,
                Action::CreateTable,
            ] {
                assert_eq!(
                    classify(action, &failure),
                    of_a_write,
                    "{action:?} {failure:?}"
                );
            }
            for action in [Action::GetItem, Action::Scan, Action::DescribeTable] {
                if let Some(verdict) = of_a_read {
                    assert_eq!(
                        classify(action, &failure),
                        verdict,
                        "{action:?} {failure:?}"
                    );
                }
            }
        }
    }
}
