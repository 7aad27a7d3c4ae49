use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};

use crate::model::Timestamp;

/// Notes the `Date` header of a call's response: the service's time when it answered, cut to the
/// second and so never later.
#[derive(Clone, Debug, Default)]
pub(super) struct NoteDate(Arc<Mutex<Option<Timestamp>>>);

impl NoteDate {
    /// The time that the response gave, if it gave one.
    pub(super) fn noted(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for NoteDate {
    fn name(&self) -> &'static str {
        "NoteDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(parse);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// `Tue, 14 Nov 2023 22:13:20 GMT`; `None` for anything else. It is the date of an endpoint, and
/// any of them may send what it likes.
fn parse(header: &str) -> Option<Timestamp> {
    let date = DateTime::from_str(header, DateTimeFormat::HttpDate).ok()?;
    date.to_millis().ok().map(Timestamp::from_millis)
}
