use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::result::ConnectorError;

use crate::BoxError;

use super::super::classify::CallFailure;

/// Why there is no connection, or no answer by one. It is copied to all who waited for the
/// connection.
#[derive(Clone, Debug)]
pub(in crate::stream::kinesis) struct ConnectionFailure {
    /// Whether to try again.
    kind: ConnectionFailureKind,
    /// All that is known, with the causes: an error of a connection cannot be cloned, and several
    /// calls may fail with it.
    text: Arc<str>,
}

#[derive(Clone, Copy, Debug)]
enum ConnectionFailureKind {
    /// The network or the server.
    Broken,
    /// No answer in time.
    Late,
    /// The request or the settings: it will not be better the next time.
    Wrong,
}

impl ConnectionFailure {
    /// What it is to whoever judges failures of calls.
    pub(in crate::stream::kinesis) const fn as_call_failure(&self) -> CallFailure<'static> {
        match self.kind {
            ConnectionFailureKind::Broken => CallFailure::NoConnection,
            ConnectionFailureKind::Late => CallFailure::Late,
            ConnectionFailureKind::Wrong => CallFailure::NotSendable,
        }
    }

    /// The network or the server failed. It is worth another try.
    pub(super) fn broken(what: &str, cause: impl Into<BoxError>) -> Self {
        Self {
            kind: ConnectionFailureKind::Broken,
            text: with_causes(what, &*cause.into()).into(),
        }
    }

    /// There was no answer in time. Whether the request was carried out is not known.
    pub(in crate::stream::kinesis) fn late(what: impl fmt::Display) -> Self {
        Self {
            kind: ConnectionFailureKind::Late,
            text: what.to_string().into(),
        }
    }

    /// The request or a setting cannot be right. Another try fails as well.
    pub(super) fn wrong(what: &str, cause: impl Into<BoxError>) -> Self {
        Self {
            kind: ConnectionFailureKind::Wrong,
            text: with_causes(what, &*cause.into()).into(),
        }
    }
}

/// The text of an error and of what lies beneath.
fn with_causes(what: &str, error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = what.to_owned();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let said = error.to_string();
        // Many errors repeat the text of their cause.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for ConnectionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConnectionFailure {}

impl From<ConnectionFailure> for ConnectorError {
    fn from(failure: ConnectionFailure) -> Self {
        let kind = failure.kind;
        let source = Box::new(failure);
        match kind {
            // The SDK judges by these kinds, and `classify` by what the SDK then says: each must
            // come out as `as_call_failure` has it.
            ConnectionFailureKind::Broken => Self::io(source),
            ConnectionFailureKind::Late => Self::timeout(source),
            ConnectionFailureKind::Wrong => Self::user(source),
        }
    }
}
