use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use http::uri::Authority;

use crate::Clock;

use super::dial::Dialer;
use super::failure::ConnectionFailure;
use super::origin::Origin;
use super::settings::Http2Settings;

/// The connections to every host that subscriptions come from: as a rule, one.
#[derive(Debug)]
pub(super) struct Pool {
    /// Makes the sockets of all origins.
    dialer: Arc<Dialer>,
    /// Within the bounds of HTTP/2.
    settings: Http2Settings,
    clock: Arc<dyn Clock>,
    /// By scheme, host and port. An origin is never removed: a worker meets one or two of them in
    /// its life.
    origins: Mutex<HashMap<Uri, Arc<Origin>>>,
}

impl Pool {
    /// A pool without connections.
    pub(super) fn new(dialer: Dialer, settings: Http2Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            dialer: Arc::new(dialer),
            settings: settings.bounded(),
            clock,
            origins: Mutex::default(),
        }
    }

    /// Where this address is.
    pub(super) fn origin(&self, of: &Uri) -> Result<Arc<Origin>, ConnectionFailure> {
        // The path is left out: endpoints behind one host share its connections.
        let authority = of.authority().map(Authority::as_str).unwrap_or_default();
        let to = Uri::builder()
            .scheme(of.scheme_str().unwrap_or_default())
            .authority(authority)
            .path_and_query("/")
            .build();
        let to =
            to.map_err(|error| ConnectionFailure::wrong("the endpoint is no address", error))?;
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = origins.entry(to).or_insert_with_key(|to| {
            Arc::new(Origin::new(
                to.clone(),
                Arc::clone(&self.dialer),
                self.settings,
                Arc::clone(&self.clock),
            ))
        });
        Ok(Arc::clone(origin))
    }

    /// The clock that all limits are measured on.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}
