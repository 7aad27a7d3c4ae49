use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;

use super::http::without_userinfo;

/// Notes where calls go, so that an error can say where nothing was found: a wrong region or
/// endpoint is the usual reason, and the SDK's errors name neither.
#[derive(Clone, Default)]
pub(super) struct NoteEndpoint(Arc<Mutex<Option<String>>>);

impl NoteEndpoint {
    /// Scheme, host and port of the last call, without a user and a password.
    pub(super) fn noted(&self) -> Option<String> {
        let address = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let address = without_userinfo(address?.parse().ok()?).ok()?;
        Some(format!(
            "{}://{}",
            address.scheme_str()?,
            address.authority()?
        ))
    }
}

impl fmt::Debug for NoteEndpoint {
    /// Not the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoteEndpoint")
    }
}

impl Intercept for NoteEndpoint {
    fn name(&self) -> &'static str {
        "NoteEndpoint"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let address = context.request().uri();
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It is the same address for nearly every call: then nothing is allocated.
        if noted.as_deref() != Some(address) {
            *noted = Some(address.to_owned());
        }
        Ok(())
    }
}
