//! Why a table could not be opened. Each message says which variable or setting to change.

use std::fmt;
use std::time::Duration;

use kcl_core::BoxError;

/// Why a lease table could not be opened. Nothing has been sent to DynamoDB. The `Debug` output is
/// the same as `Display`, because that is what a `main` that returns the error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No region is configured.
    #[error(
        "no AWS region for the lease table `{table}`: set AWS_REGION (or AWS_DEFAULT_REGION), or `region` in the profile of \
         ~/.aws/config that AWS_PROFILE names"
    )]
    NoRegion {
        /// The name of the table.
        table: String,
    },
    /// No credentials are available.
    #[error(
        "no AWS credentials for the lease table `{table}`: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (any value will do for \
         a local endpoint), or AWS_PROFILE to a profile of ~/.aws/config or ~/.aws/credentials, or run with a role{}",
        cause(source.as_ref())
    )]
    NoCredentials {
        /// The name of the table.
        table: String,
        /// The error of the credentials provider.
        #[source]
        source: Option<BoxError>,
    },
    /// DynamoDB does not allow such a table name.
    #[error(
        "invalid table name `{name}`: expected 3 to 255 letters, digits, `_`, `.` and `-`. The table is named after the \
         application unless a name of its own is given"
    )]
    TableName {
        /// The name.
        name: String,
    },
    /// The call limit is out of range.
    #[error("invalid call_limit: got {given:?}, expected {least:?} to {most:?}")]
    CallLimit {
        /// The value.
        given: Duration,
        /// The lowest allowed value.
        least: Duration,
        /// The highest allowed value.
        most: Duration,
    },
}

// A `main` that returns an error prints its `Debug` output, which should be the message and not the
// fields.
impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The credentials provider's error with all its causes: the outermost text says only that it
/// failed, not why.
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
    /// Always `Fatal`: an invalid setting does not become valid by trying again.
    fn from(error: OpenError) -> Self {
        Self::Fatal {
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}
