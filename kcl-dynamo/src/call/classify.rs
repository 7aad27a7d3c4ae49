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
//!
//! Two mistakes would be dangerous here. A write that was applied and is reported as a conflict
//! looks as if another worker had the lease. A write that was never applied and is reported as
//! unknown costs the owner a read, and time in which its lease runs out. Everything that is not
//! listed is therefore decided by the HTTP status, and only what cannot get better by itself is
//! fatal.

/// An operation of DynamoDB that this crate uses.
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
    /// The name in IAM policies, for the hint in the message of a denied call.
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

/// What a call returned instead of a result, reduced to what decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure<'a> {
    /// An error response: DynamoDB, or a proxy in front of it, has answered.
    Refusal {
        /// The HTTP status.
        status: u16,
        /// The type of the exception. A proxy's answer has none.
        code: Option<&'a str>,
        /// The text. It decides only for `InvalidSignatureException`, which stands for two
        /// different faults.
        message: Option<&'a str>,
    },
    /// The request could not be built or sent: a fault of the configuration, and nothing was done.
    NotSendable,
    /// No answer in time, no connection, or an unreadable answer. The request may have arrived.
    NoAnswer,
}

/// What a failure means for the caller: see [`Error`](kcl_core::lease::Error).
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

/// DynamoDB is busy with other calls: the request was rejected before anything was done. The last
/// one comes from a global table with strong consistency.
const BUSY: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "Throttling",
    "LimitExceededException",
    "TransactionConflictException",
    "ReplicatedWriteConflictException",
];
/// The credentials have expired or a clock is off. The SDK renews credentials and corrects its
/// clock, so the same call may succeed in a moment.
const PASSING: &[&str] = &[
    "ExpiredTokenException",
    "ExpiredToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
];
/// The credentials are wrong or lack a permission. The worker keeps trying for a while, because IAM
/// takes up to minutes to apply a change.
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
/// How the message of an `InvalidSignatureException` begins if only the time in it was wrong.
const TIME: &[&str] = &["Signature expired", "Signature not yet current"];
/// DynamoDB has failed in the middle: a write may have been applied before.
const TROUBLE: &[&str] = &[
    "InternalServerError",
    "InternalServerErrorException",
    "InternalFailure",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
];

/// The table of the module: the first matching row decides.
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
