use std::fmt;
use std::time::Duration;

use kcl_core::BoxError;

/// Why there is no handle on a lease table. Nothing has been sent to DynamoDB. Its `Debug` is its
/// text, as that is what a `main` prints that returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Nothing says which region the table is in.
    #[error(
        "no AWS region for the lease table `{table}`: set AWS_REGION (or AWS_DEFAULT_REGION), or `region` in the profile of \
         ~/.aws/config that AWS_PROFILE names"
    )]
    NoRegion {
        /// The table.
        table: String,
    },
    /// Nothing gives credentials.
    #[error(
        "no AWS credentials for the lease table `{table}`: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (any value will do for \
         a local endpoint), or AWS_PROFILE to a profile of ~/.aws/config or ~/.aws/credentials, or run with a role{}",
        cause(source.as_ref())
    )]
    NoCredentials {
        /// The table.
        table: String,
        /// What the providers of credentials said.
        #[source]
        source: Option<BoxError>,
    },
    /// DynamoDB has no table of such a name.
    #[error(
        "invalid table name `{name}`: expected 3 to 255 letters, digits, `_`, `.` and `-`. The table is named after the \
         application unless a name of its own is given"
    )]
    TableName {
        /// The name.
        name: String,
    },
    /// The limit of a call is out of range.
    #[error("invalid call_limit: got {given:?}, expected {least:?} to {most:?}")]
    CallLimit {
        /// The value.
        given: Duration,
        /// The lowest value that is allowed.
        least: Duration,
        /// The highest value that is allowed.
        most: Duration,
    },
}

// A `main` that returns an error prints its `Debug`: that has to be the sentence, not the fields.
impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the providers of credentials said, with all that lies beneath it: the first text alone says
/// that they failed, not why.
fn cause(source: Option<&BoxError>) -> String {
    let mut texts = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> =
        source.map(|source| &**source as &(dyn std::error::Error + 'static));
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    if texts.is_empty() {
        String::new()
    } else {
        format!(". Cause: {}", texts.join(": "))
    }
}

impl From<OpenError> for kcl_core::lease::Error {
    /// A wrong setting does not become right by trying again.
    fn from(error: OpenError) -> Self {
        Self::Fatal {
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}
