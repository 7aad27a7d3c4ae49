use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::BoxError;
use crate::runtime::system_clock;

use super::connector::Connector;
use super::dial::Dialer;
use super::pool::Pool;
use super::settings::Http2Settings;

/// A connection is there within this time, if the client has no limit of its own.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// An HTTP client of the SDK for responses that go on for minutes, many at once. The
/// [module](super) says what is different.
///
/// [`KinesisStream`](super::super::KinesisStream) makes one for itself. Make one, and give it to
/// [`subscribe_over`](super::super::KinesisStream::subscribe_over), to have other
/// [`Http2Settings`], to trust a certificate that the machine does not, or to share the connections
/// among streams. Clones share them.
#[derive(Clone)]
pub struct Http2Client {
    /// As they were given. The pool brings them within the bounds of HTTP/2.
    settings: Http2Settings,
    /// Kept so that another client can be made from this one.
    trusted: Vec<CertificateDer<'static>>,
    /// The connections, which clones share.
    pool: Arc<Pool>,
}

/// The input contains no usable PEM certificate.
#[derive(Debug, thiserror::Error)]
#[error("no usable certificate in the input: expected PEM (`-----BEGIN CERTIFICATE-----` ...)")]
pub struct BadCertificate {
    /// What the reader of PEM, or the store of certificates, says is wrong.
    #[source]
    cause: BoxError,
}

impl Http2Client {
    /// A client with the usual settings. It makes no connection before it is used.
    #[must_use]
    pub fn new() -> Self {
        Self::made(Http2Settings::default(), Vec::new())
    }

    /// A client without connections yet, with these settings; what is out of the bounds of HTTP/2
    /// is brought into them.
    #[must_use]
    pub fn with_settings(self, settings: Http2Settings) -> Self {
        Self::made(settings, self.trusted)
    }

    /// A client without connections yet that trusts these certificates (in PEM) too, beside the
    /// machine's (and those that the environment names: `SSL_CERT_FILE`, `SSL_CERT_DIR`).
    ///
    /// # Errors
    /// When they are none.
    pub fn trusting(self, pem: &[u8]) -> Result<Self, BadCertificate> {
        let given = certificates(pem)?;
        Ok(Self::made(
            self.settings,
            self.trusted.into_iter().chain(given).collect(),
        ))
    }

    /// A client with a new, empty pool. Connections cannot be carried over: they were made with the
    /// former settings and certificates.
    fn made(settings: Http2Settings, trusted: Vec<CertificateDer<'static>>) -> Self {
        let pool = Arc::new(Pool::new(
            Dialer::new(trusted.clone(), &[b"h2", b"http/1.1"]),
            settings,
            system_clock(),
        ));
        Self {
            settings,
            trusted,
            pool,
        }
    }
}

/// The certificates of a PEM, of which there is at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let bad = |cause: BoxError| BadCertificate { cause };
    let given: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.into()))?;
    if given.is_empty() {
        return Err(bad("there is none in it".into()));
    }
    // Tried here, so that a certificate of no use is the error of this call, and not of each
    // connection later.
    for certificate in &given {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| bad(error.into()))?;
    }
    Ok(given)
}

impl Default for Http2Client {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient for Http2Client {
    fn http_connector(
        &self,
        limits: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        // The SDK asks for a connector per set of time limits; all of them share the pool.
        SharedHttpConnector::new(Connector {
            pool: Arc::clone(&self.pool),
            connect_limit: limits.connect_timeout().unwrap_or(CONNECT_LIMIT),
            read_limit: limits.read_timeout(),
        })
    }
}

impl fmt::Debug for Http2Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Client")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
