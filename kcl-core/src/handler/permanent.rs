use std::error::Error;
use std::fmt;

use crate::BoxError;

/// An error that no retry can cure: the record itself is wrong.
///
/// A handler that returns it, alone or as a cause of another error, spends no further attempts on
/// the record: what [`Retries`](super::Retries) say comes last (stop, skip or dead letter) follows
/// at once. Of several records that fail together, that is the one that fails alone or is named by
/// [`Failure::at`](crate::Failure::at). Without `Retries`, a worker that is to
/// [retry](crate::OnFailure::Retry) tries it for ever all the same, because nothing says what else
/// could become of the record.
///
/// A record that cannot be [decoded](super::decode) fails so.
///
/// ```
/// use kcl_core::handler::{Permanent, RecordContext, RecordHandler};
/// use kcl_core::model::Record;
/// use kcl_core::BoxError;
///
/// struct Orders;
///
/// impl RecordHandler for Orders {
///     async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
///         if record.data.is_empty() {
///             return Err(Permanent::new("an order without content").into());
///         }
///         // ... errors of the service that is called here may pass.
///         Ok(())
///     }
/// }
/// ```
pub struct Permanent(BoxError);

impl Permanent {
    /// Says that no retry can cure this error.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permanent").field(&self.0).finish()
    }
}

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Permanent {
    /// That of the error itself, which is said already.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
