//! The error for a stream whose consumer is not available.

use std::sync::Arc;

use crate::decide::registration::Why;
use crate::model::StreamName;
use crate::stream::{Error, WhichConsumer};

/// A stream cannot be read by enhanced fan-out because its consumer is not available.
///
/// It reaches the application as the reason why fan-out is not used. In the mode that prefers
/// fan-out the worker polls instead and tries again later.
#[derive(Clone, Debug, thiserror::Error)]
#[error("consumer `{consumer}` is not available on stream {stream}: {why}")]
#[non_exhaustive]
pub struct NoConsumer {
    /// The stream.
    pub stream: StreamName,
    /// The consumer, by its name or its ARN.
    pub consumer: Arc<str>,
    /// Why.
    pub why: Why,
    /// What the service said last.
    #[source]
    pub source: Option<Arc<Error>>,
}

impl NoConsumer {
    /// The source of the stream knows no fan-out.
    pub(crate) fn unsupported(stream: StreamName, which: &WhichConsumer) -> Self {
        Self {
            stream,
            consumer: which.text().into(),
            why: Why::Unsupported,
            source: None,
        }
    }

    /// Whether trying again later may help: nobody has said no.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self.why, Why::NoAnswer(_))
    }
}
