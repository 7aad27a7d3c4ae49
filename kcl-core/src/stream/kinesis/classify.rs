//! What a reader does about each failure of each call that reads Kinesis.
//!
//! The calls are R `GetRecords`, I `GetShardIterator`, L `ListShards`, D `DescribeStreamSummary`, S
//! `SubscribeToShard` (its answer, and the exceptions that end a subscription later), C
//! `DescribeStreamConsumer`, N `RegisterStreamConsumer` (a new one) and X
//! `DeregisterStreamConsumer`. The first row that names the call and what came back decides. An
//! [`ErrorKind`] says what the reader does: `Transient`: try again. `Unreachable`: try again, and
//! leave the shard to another worker if it lasts. `Throttled`: try again after a longer pause.
//! `Busy`: try again soon and steadily. `Expired`: get a new iterator, or list from the beginning.
//! `Gone`: the shard, the stream or the consumer has gone. `Denied`: stop this shard and say so.
//! `Fatal`: stop the worker and say so.
//!
//! | calls | what came back | kind | because |
//! |---|---|---|---|
//! | R | `ExpiredIteratorException` | Expired | an iterator is good for 5 minutes |
//! | R | `InvalidArgumentException`, `ValidationException`, `ValidationError` | Expired | the service can find fault only with the iterator, and a new one mends it |
//! | I S | `InvalidArgumentException`, `ValidationException`, `ValidationError` | Denied | the position is not one of this shard: it stems from another stream, or is a time to come |
//! | L D C N X | `InvalidArgumentException`, `ValidationException`, `ValidationError` | Fatal | the question will not be right the next time |
//! | L | `ExpiredNextTokenException` | Expired | the token of a list is good for 5 minutes |
//! | R I L D S C N X | `ResourceNotFoundException` | Gone | there is no such stream or shard (or consumer) |
//! | R I | `ProvisionedThroughputExceededException` | Throttled | 5 calls and 2 MB a second are a shard's limit, and others may read it too |
//! | L D S C N X | `LimitExceededException` | Throttled | the limit of calls a second, or of a stream's consumers: the service has one name for both |
//! | L | `ResourceInUseException` | Transient | the stream is being made |
//! | S N X | `ResourceInUseException` | Busy | the last subscription is still open or was begun less than 5 s ago, the consumer is being made or removed, or there is one of the name |
//! | R S | `KMSThrottlingException` | Throttled | too many calls for the key |
//! | R S | `KMSAccessDeniedException`, `KMSDisabledException`, `KMSInvalidStateException`, `KMSNotFoundException`, `KMSOptInRequired` | Denied | a record keeps the key under which it was put: the records of other shards may be under one that works |
//! | R I L D S C N X | `AccessDeniedException` | Fatal | rights are given for a stream, not for a shard |
//! | R I S | `DryRunOperationException` | Fatal | the answer to a trial call, which is never made here |
//! | R I L D S C N X | `ThrottlingException`, `Throttling`, `RequestLimitExceeded`, `RequestThrottled`, `RequestThrottledException`, `TooManyRequestsException`, `SlowDown` | Throttled | too many calls, by any name |
//! | R I L D S C N X | `InternalFailureException`, `InternalFailure`, `InternalServerError`, `InternalServerException`, `InternalError`, `ServiceUnavailable`, `ServiceUnavailableException`, `RequestTimeout`, `RequestTimeoutException`, `RequestAbortedException` | Transient | the service's own trouble |
//! | R I L D S C N X | `ExpiredTokenException`, `ExpiredToken`, `RequestExpired`, `RequestTimeTooSkewed`, `RequestInTheFuture` | Unreachable | credentials are renewed, and the SDK sets its clock by the answer |
//! | R I L D S C N X | `InvalidSignatureException` saying `Signature expired`, `Signature not yet current` | Unreachable | the process was paused or its clock is wrong; the SDK sets its clock by the answer |
//! | R I L D S C N X | `InvalidSignatureException`, `SignatureDoesNotMatch`, `IncompleteSignature`, `IncompleteSignatureException`, `UnrecognizedClientException`, `InvalidClientTokenId`, `MissingAuthenticationToken`, `MissingAuthenticationTokenException`, `NotAuthorized`, `OptInRequired`, `AuthFailure` | Fatal | the credentials are wrong, for every shard |
//! | R I L D S C N X | `UnknownOperationException`, `InvalidAction`, `MissingAction`, `SerializationException`, `MalformedHttpRequestException` | Fatal | the endpoint does not understand what Kinesis does |
//! | R I L D S C N X | status 429 | Throttled | too many calls, without a name |
//! | R I L D S C N X | status 408 | Unreachable | something on the way gave up waiting |
//! | R I L D S C N X | status 401 to 407 | Fatal | something on the way refuses us, or the endpoint is not Kinesis |
//! | R I S | status 400 to 499 | Denied | refused for a reason that has no row: said for this shard, the others go on |
//! | L D C N X | status 400 to 499 | Fatal | refused for a reason that has no row: without the list, or a consumer, there is nothing to read |
//! | R I L D S C N X | any other status | Transient | the trouble of the service or of something on the way |
//! | R I L D S C N X | a request that cannot be built | Fatal | the client lacks a setting |
//! | R I L D S C N X | a request that cannot be sent | Fatal | the endpoint is no address |
//! | R I L D S C N X | no answer in time | Unreachable | nobody knows why |
//! | R I L D S C N X | no connection | Unreachable | networks and credential providers come back |
//! | R I L D S C N X | an answer that cannot be read | Unreachable | it was cut off |

use crate::stream::ErrorKind;

/// A call that reads Kinesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum KinesisOperation {
    /// A page of records.
    GetRecords,
    /// A place in a shard.
    GetShardIterator,
    /// A page of shards.
    ListShards,
    /// What the stream is.
    DescribeStreamSummary,
    /// Records as they come (enhanced fan-out).
    SubscribeToShard,
    /// What a registered consumer is.
    DescribeStreamConsumer,
    /// A new consumer.
    RegisterStreamConsumer,
    /// The end of a consumer.
    DeregisterStreamConsumer,
}

impl KinesisOperation {
    /// The service's name for it.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GetRecords => "GetRecords",
            Self::GetShardIterator => "GetShardIterator",
            Self::ListShards => "ListShards",
            Self::DescribeStreamSummary => "DescribeStreamSummary",
            Self::SubscribeToShard => "SubscribeToShard",
            Self::DescribeStreamConsumer => "DescribeStreamConsumer",
            Self::RegisterStreamConsumer => "RegisterStreamConsumer",
            Self::DeregisterStreamConsumer => "DeregisterStreamConsumer",
        }
    }
}

/// What came back instead of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum CallFailure<'a> {
    /// An answer that is an error.
    Refusal {
        /// Its HTTP status.
        status: u16,
        /// The service's name for the error; nothing when the answer gave none (it may not be the
        /// service's).
        code: Option<&'a str>,
        /// What the service said about it.
        message: Option<&'a str>,
    },
    /// The request could not be built.
    NotBuilt,
    /// The request could not be sent as it is.
    NotSendable,
    /// No answer came in time.
    Late,
    /// There was no connection, it broke, or no credentials came to sign with.
    NoConnection,
    /// The answer is none.
    Unreadable,
}

/// What a reader does about this failure of this call: the table of the [module](self).
#[must_use]
pub(crate) fn classify(operation: KinesisOperation, failure: &CallFailure<'_>) -> ErrorKind {
    let decides = |row: &&ErrorRow| row.calls.contains(&operation) && row.sign.fits(failure);
    // Every failure has a row for every call (a test goes through them). To try again is never
    // wrong for long.
    TABLE
        .iter()
        .find(decides)
        .map_or(ErrorKind::Transient, |row| row.kind)
}

/// Whether this is a name that the service gives to an error of this call: not one that says that
/// the call was not understood, which depends on how it was written.
pub(super) fn is_named(operation: KinesisOperation, code: &str) -> bool {
    TABLE.iter().any(|row| {
        row.calls.contains(&operation)
            && match &row.sign {
                Sign::Codes(codes) => *codes != NOT_UNDERSTOOD && codes.contains(&code),
                Sign::Saying(name, _) => *name == code,
                _ => false,
            }
    })
}

struct ErrorRow {
    /// The calls that the row is about.
    calls: &'static [KinesisOperation],
    /// What the failure is known by.
    sign: Sign,
    /// What a reader makes of it.
    kind: ErrorKind,
}

/// What a row is about.
enum Sign {
    /// One of these errors.
    Codes(&'static [&'static str]),
    /// This error with one of these beginnings of its message.
    Saying(&'static str, &'static [&'static str]),
    /// A status in these bounds.
    Status(u16, u16),
    /// A refusal by whatever status that no row above names.
    AnyStatus,
    /// The SDK could not make a request of the arguments.
    NotBuilt,
    /// The request or the settings are wrong, so that it was not sent.
    NotSendable,
    /// No answer within the time limit.
    Late,
    /// No connection, or it broke before the answer was complete.
    NoConnection,
    /// The call was granted, and the answer is not what was promised.
    Unreadable,
}

impl Sign {
    /// Whether the failure bears this sign.
    fn fits(&self, failure: &CallFailure<'_>) -> bool {
        match (self, failure) {
            (
                Self::Codes(codes),
                CallFailure::Refusal {
                    code: Some(code), ..
                },
            ) => codes.contains(code),
            (
                Self::Saying(name, begins),
                CallFailure::Refusal {
                    code: Some(code),
                    message: Some(message),
                    ..
                },
            ) => name == code && begins.iter().any(|begin| message.starts_with(begin)),
            (Self::Status(first, last), CallFailure::Refusal { status, .. }) => {
                (first..=last).contains(&status)
            }
            (Self::AnyStatus, CallFailure::Refusal { .. })
            | (Self::NotBuilt, CallFailure::NotBuilt)
            | (Self::NotSendable, CallFailure::NotSendable)
            | (Self::Late, CallFailure::Late)
            | (Self::NoConnection, CallFailure::NoConnection)
            | (Self::Unreadable, CallFailure::Unreadable) => true,
            _ => false,
        }
    }
}

use KinesisOperation::{
    DeregisterStreamConsumer as X, DescribeStreamConsumer as C, DescribeStreamSummary as D,
    GetRecords as R, GetShardIterator as I, ListShards as L, RegisterStreamConsumer as N,
    SubscribeToShard as S,
};

const ALL: &[KinesisOperation] = &[R, I, L, D, S, C, N, X];
const BAD_ARGUMENT: Sign = Sign::Codes(&[
    "InvalidArgumentException",
    "ValidationException",
    "ValidationError",
]);

/// The endpoint does not understand what Kinesis does, or not in the form of the call.
const NOT_UNDERSTOOD: &[&str] = &[
    "UnknownOperationException",
    "InvalidAction",
    "MissingAction",
    "SerializationException",
    "MalformedHttpRequestException",
];

const fn row(calls: &'static [KinesisOperation], sign: Sign, kind: ErrorKind) -> ErrorRow {
    ErrorRow { calls, sign, kind }
}

/// The table of the module's docs, row by row.
static TABLE: &[ErrorRow] = &[
    row(
        &[R],
        Sign::Codes(&["ExpiredIteratorException"]),
        ErrorKind::Expired,
    ),
    row(&[R], BAD_ARGUMENT, ErrorKind::Expired),
    row(&[I, S], BAD_ARGUMENT, ErrorKind::Denied),
    row(&[L, D, C, N, X], BAD_ARGUMENT, ErrorKind::Fatal),
    row(
        &[L],
        Sign::Codes(&["ExpiredNextTokenException"]),
        ErrorKind::Expired,
    ),
    row(
        ALL,
        Sign::Codes(&["ResourceNotFoundException"]),
        ErrorKind::Gone,
    ),
    row(
        &[R, I],
        Sign::Codes(&["ProvisionedThroughputExceededException"]),
        ErrorKind::Throttled,
    ),
    row(
        &[L, D, S, C, N, X],
        Sign::Codes(&["LimitExceededException"]),
        ErrorKind::Throttled,
    ),
    row(
        &[L],
        Sign::Codes(&["ResourceInUseException"]),
        ErrorKind::Transient,
    ),
    row(
        &[S, N, X],
        Sign::Codes(&["ResourceInUseException"]),
        ErrorKind::Busy,
    ),
    row(
        &[R, S],
        Sign::Codes(&["KMSThrottlingException"]),
        ErrorKind::Throttled,
    ),
    row(
        &[R, S],
        Sign::Codes(&[
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "KMSOptInRequired",
        ]),
        ErrorKind::Denied,
    ),
    row(
        ALL,
        Sign::Codes(&["AccessDeniedException"]),
        ErrorKind::Fatal,
    ),
    row(
        &[R, I, S],
        Sign::Codes(&["DryRunOperationException"]),
        ErrorKind::Fatal,
    ),
    row(
        ALL,
        Sign::Codes(&[
            "ThrottlingException",
            "Throttling",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "TooManyRequestsException",
            "SlowDown",
        ]),
        ErrorKind::Throttled,
    ),
    row(
        ALL,
        Sign::Codes(&[
            "InternalFailureException",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "InternalError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "RequestTimeout",
            "RequestTimeoutException",
            "RequestAbortedException",
        ]),
        ErrorKind::Transient,
    ),
    row(
        ALL,
        Sign::Codes(&[
            "ExpiredTokenException",
            "ExpiredToken",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "RequestInTheFuture",
        ]),
        ErrorKind::Unreachable,
    ),
    row(
        ALL,
        Sign::Saying(
            "InvalidSignatureException",
            &["Signature expired", "Signature not yet current"],
        ),
        ErrorKind::Unreachable,
    ),
    row(
        ALL,
        Sign::Codes(&[
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "OptInRequired",
            "AuthFailure",
        ]),
        ErrorKind::Fatal,
    ),
    row(ALL, Sign::Codes(NOT_UNDERSTOOD), ErrorKind::Fatal),
    row(ALL, Sign::Status(429, 429), ErrorKind::Throttled),
    row(ALL, Sign::Status(408, 408), ErrorKind::Unreachable),
    row(ALL, Sign::Status(401, 407), ErrorKind::Fatal),
    row(&[R, I, S], Sign::Status(400, 499), ErrorKind::Denied),
    row(&[L, D, C, N, X], Sign::Status(400, 499), ErrorKind::Fatal),
    row(ALL, Sign::AnyStatus, ErrorKind::Transient),
    row(ALL, Sign::NotBuilt, ErrorKind::Fatal),
    row(ALL, Sign::NotSendable, ErrorKind::Fatal),
    row(ALL, Sign::Late, ErrorKind::Unreachable),
    row(ALL, Sign::NoConnection, ErrorKind::Unreachable),
    row(ALL, Sign::Unreadable, ErrorKind::Unreachable),
];

#[cfg(test)]
#[path = "classify_test.rs"]
mod tests;
