//! The transport of HTTP: plain TCP, or TLS.
//!
//! TLS is a feature of its own, because it brings a library for cryptography that needs a C
//! compiler. The AWS SDKs speak plain HTTP to a local endpoint.

use super::{LocalStreamBuilder, StartError};

#[cfg(feature = "stream-tls")]
pub(super) use tls::Identity;

/// The transport of HTTP.
///
/// It is decided once at the start: a port speaks one of them.
#[derive(Clone)]
pub(super) enum Transport {
    /// Plain TCP.
    Plain,
    /// TLS, with HTTP/2 or HTTP/1.1 by ALPN.
    #[cfg(feature = "stream-tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

impl Transport {
    /// The transport that the settings ask for.
    ///
    /// # Errors
    ///
    /// If the certificate or its key cannot be used.
    #[cfg_attr(
        not(feature = "stream-tls"),
        expect(clippy::unnecessary_wraps, reason = "TLS may fail")
    )]
    pub(super) fn of(settings: &LocalStreamBuilder) -> Result<Self, StartError> {
        #[cfg(feature = "stream-tls")]
        if let Some(identity) = &settings.identity {
            return identity.acceptor(settings.http2).map(Self::Tls);
        }
        let _ = settings;
        Ok(Self::Plain)
    }

    /// The scheme of its URLs.
    pub(super) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            #[cfg(feature = "stream-tls")]
            Self::Tls(_) => "https",
        }
    }
}

#[cfg(feature = "stream-tls")]
mod tls {
    use std::fmt;
    use std::sync::Arc;

    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use crate::stream::StartError;

    /// A server's certificate and its key, as given in the settings.
    #[derive(Clone)]
    pub(in crate::stream) struct Identity {
        /// PEM with one or more certificates, or one in DER.
        certificate: Vec<u8>,
        /// The private key, PEM or DER. `Debug` does not show it.
        key: Vec<u8>,
    }

    impl Identity {
        /// Creates it from a certificate and a key, each PEM or DER.
        pub(in crate::stream) fn new(certificate: Vec<u8>, key: Vec<u8>) -> Self {
            Self { certificate, key }
        }

        /// An acceptor for connections with them, for HTTP/1.1 only or also for HTTP/2.
        ///
        /// # Errors
        ///
        /// If one of them cannot be read, or they do not belong together.
        pub(in crate::stream) fn acceptor(&self, http2: bool) -> Result<TlsAcceptor, StartError> {
            let (chain, key) = (self.chain()?, self.key()?);
            let provider = Arc::new(aws_lc_rs::default_provider());
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
                .map_err(|error| unusable("the TLS library refuses them", error))?;
            let protocols = [(http2, "h2"), (true, "http/1.1")].into_iter();
            config.alpn_protocols = protocols
                .filter(|(on, _)| *on)
                .map(|(_, name)| name.as_bytes().to_vec())
                .collect();
            Ok(TlsAcceptor::from(Arc::new(config)))
        }

        /// The certificates, that of the server first.
        fn chain(&self) -> Result<Vec<CertificateDer<'static>>, StartError> {
            if !is_pem(&self.certificate) {
                return Ok(vec![CertificateDer::from(self.certificate.clone())]);
            }
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(&self.certificate).collect();
            let chain = chain
                .map_err(|error| unusable("the PEM of the certificate cannot be read", error))?;
            if chain.is_empty() {
                return Err(StartError::Identity {
                    problem: "there is no CERTIFICATE in the PEM",
                    source: None,
                });
            }
            Ok(chain)
        }

        /// The private key.
        fn key(&self) -> Result<PrivateKeyDer<'static>, StartError> {
            if is_pem(&self.key) {
                return PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
                    unusable(
                        "there is no private key in the PEM (PKCS #8, PKCS #1 or SEC 1)",
                        error,
                    )
                });
            }
            PrivateKeyDer::try_from(self.key.clone()).map_err(|_| StartError::Identity {
                problem: "the private key is neither PEM nor DER",
                source: None,
            })
        }
    }

    impl fmt::Debug for Identity {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Identity").finish_non_exhaustive()
        }
    }

    /// Whether the bytes are PEM. DER has no such text.
    fn is_pem(bytes: &[u8]) -> bool {
        let mark = b"-----BEGIN ";
        bytes.windows(mark.len()).any(|window| window == mark)
    }

    /// The error for a certificate or a key that the TLS library does not take.
    fn unusable(
        problem: &'static str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> StartError {
        StartError::Identity {
            problem,
            source: Some(Box::new(error)),
        }
    }
}
