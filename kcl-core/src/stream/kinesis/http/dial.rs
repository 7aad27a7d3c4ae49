use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::BoxError;

use super::failure::ConnectionFailure;

/// A socket, with or without TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static> Io for T {}

impl fmt::Debug for dyn Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Io")
    }
}

/// What the other side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// By ALPN: `h2`.
    Http2,
    /// By ALPN: `http/1.1`, or nothing.
    Http1,
    /// Nobody asked: there is no TLS.
    Unknown,
}

/// Nothing is heard for this long: the kernel asks whether the other side is there. It is all that
/// minds an HTTP/1.1 connection; one of HTTP/2 has pings.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Makes sockets to endpoints.
pub(super) struct Dialer {
    /// Resolves names and connects, trying all addresses of a host.
    tcp: HttpConnector,
    /// Certificates that are trusted beside the machine's.
    trusted: Vec<CertificateDer<'static>>,
    /// What a server with TLS may choose from, the best first.
    protocols: &'static [&'static [u8]],
    /// Made with the first connection that needs it. An error stays: the certificates do not change
    /// while the process runs.
    tls: OnceLock<Result<Arc<ClientConfig>, ConnectionFailure>>,
    /// Which proxy leads to which host, as the environment says. Read once, when this is made.
    proxies: Matcher,
}

impl Dialer {
    /// Reads the environment's proxies. Certificates are read with the first connection.
    pub(super) fn new(
        trusted: Vec<CertificateDer<'static>>,
        protocols: &'static [&'static [u8]],
    ) -> Self {
        let mut tcp = HttpConnector::new();
        // TLS is done here, so an address at `https` is as good as any.
        tcp.enforce_http(false);
        // A request is written in one piece and waits for its answer; there is nothing to gather it
        // with.
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(TCP_KEEP_ALIVE));
        Self {
            tcp,
            trusted,
            protocols,
            tls: OnceLock::new(),
            proxies: Matcher::from_env(),
        }
    }

    /// A socket to the host and port of this address, with TLS where the scheme is `https`.
    /// Dropping the future closes it.
    pub(super) async fn dial(
        &self,
        to: &Uri,
    ) -> Result<(Box<dyn Io>, Protocol), ConnectionFailure> {
        match to.scheme_str() {
            // No proxy: plain HTTP leads to an emulator, on this machine or near it.
            Some("http") => {
                let socket = called(self.tcp.clone(), to.clone())
                    .await
                    .map_err(|error| ConnectionFailure::broken("no connection", error))?;
                Ok((Box::new(TokioIo::new(socket)), Protocol::Unknown))
            }
            Some("https") => self.dial_tls(to).await,
            _ => Err(ConnectionFailure::wrong(
                "the endpoint is no address",
                format!("`{to}` is neither `http` nor `https`"),
            )),
        }
    }

    /// A socket with TLS, through a proxy if the environment names one for this host.
    async fn dial_tls(&self, to: &Uri) -> Result<(Box<dyn Io>, Protocol), ConnectionFailure> {
        let config = self
            .tls
            .get_or_init(|| tls(&self.trusted, self.protocols))
            .clone()?;
        let host = to
            .host()
            .unwrap_or_default()
            // An IPv6 address has brackets in a URL, and none in a certificate.
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host)
            .map_err(|error| ConnectionFailure::wrong("the endpoint is no address", error))?;
        let socket: Box<dyn Io> = match self.proxies.intercept(to) {
            Some(proxy) => self
                .tunnel(&proxy, to, &config)
                .await
                .map_err(|error| ConnectionFailure::broken("no way through the proxy", error))?,
            None => {
                let socket = called(self.tcp.clone(), to.clone())
                    .await
                    .map_err(|error| ConnectionFailure::broken("no connection", error))?;
                Box::new(TokioIo::new(socket))
            }
        };
        let tls = TlsConnector::from(config)
            .connect(name, socket)
            .await
            .map_err(|error| ConnectionFailure::broken("no TLS", error))?;
        let speaks = match tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            // A server that does not say has nothing else.
            _ => Protocol::Http1,
        };
        Ok((Box::new(tls), speaks))
    }

    /// A way through a proxy, which may be one at `https`.
    async fn tunnel(
        &self,
        proxy: &Intercept,
        to: &Uri,
        config: &ClientConfig,
    ) -> Result<Box<dyn Io>, BoxError> {
        let mut config = config.clone();
        // To the proxy itself: `CONNECT` is spoken in HTTP/1.1, whatever the endpoint speaks.
        config.alpn_protocols.clear();
        let host = proxy
            .uri()
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = FixedServerNameResolver::new(ServerName::try_from(host)?);
        let to_proxy = HttpsConnector::new(self.tcp.clone(), config, false, Arc::new(name));
        let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Ok(Box::new(TokioIo::new(called(tunnel, to.clone()).await?)))
    }
}

impl fmt::Debug for Dialer {
    /// Not the proxies: their addresses may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("trusted", &self.trusted.len())
            .finish_non_exhaustive()
    }
}

/// Calls a connector, which has to be ready first by the contract of `Service`.
async fn called<S: Service<Uri>>(mut service: S, to: Uri) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(to).await
}

/// The machine's certificates are read from its disk: once, when the first connection needs them.
fn tls(
    trusted: &[CertificateDer<'static>],
    protocols: &[&[u8]],
) -> Result<Arc<ClientConfig>, ConnectionFailure> {
    let no_tls = "no TLS";
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    for certificate in trusted {
        roots
            .add(certificate.clone())
            .map_err(|error| ConnectionFailure::wrong(no_tls, error))?;
    }
    // A few certificates that cannot be read are no reason to fail, but without any no connection
    // could be made, and rustls would only say `unknown issuer`.
    if roots.is_empty() {
        let errors: Vec<_> = native.errors.iter().map(ToString::to_string).collect();
        let said = format!(
            "the machine has no root certificates ({})",
            errors.join("; ")
        );
        return Err(ConnectionFailure::wrong(no_tls, said));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions();
    let config = config.map_err(|error| ConnectionFailure::wrong(no_tls, error))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}
