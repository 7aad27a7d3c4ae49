use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::Clock;
use crate::model::Moment;
use crate::runtime::{system_clock, within};

use super::super::page_pool::PagePool;
use super::client::{BadCertificate, certificates};
use super::dial::Dialer;
use super::failure::ConnectionFailure;
use super::http1_answer::Http1Answer;
use super::http1_connection::{Broken, Http1Connection};

/// A connection that was not used for this long is closed. Load balancers do so after a minute.
const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// The connections by which pages are read: of HTTP/1.1, as many as there are calls at a time. Each
/// is kept for later calls, and closed when it was idle for 50 s.
///
/// [`KinesisStream`](super::super::KinesisStream) makes one for itself. Make one, and give it to
/// [`read_over`](super::super::KinesisStream::read_over), to trust a certificate that the machine
/// does not, or to share the connections among streams. Clones share them.
#[derive(Clone)]
pub struct Http1Client {
    /// Kept so that another client can be made from this one.
    trusted: Vec<CertificateDer<'static>>,
    /// Which clones share.
    pool: Arc<Http1Pool>,
}

struct Http1Pool {
    /// Makes the sockets. It offers HTTP/1.1 alone.
    dialer: Dialer,
    clock: Arc<dyn Clock>,
    /// Where bodies are received into, so that a page takes no new memory each time.
    pages: PagePool,
    /// By scheme, host and port; who was used last is at the end.
    idle: Mutex<HashMap<Uri, Vec<(Moment, Http1Connection)>>>,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(in crate::stream::kinesis) enum NoAnswer {
    /// There is no connection.
    NotConnected(ConnectionFailure),
    /// The connection was lost, or what came is no answer.
    Lost(ConnectionFailure),
}

impl Http1Client {
    /// A client without connections yet.
    #[must_use]
    pub fn new() -> Self {
        Self::made(Vec::new())
    }

    /// A client without connections yet that trusts these certificates (in PEM) too, beside the
    /// machine's (and those that the environment names: `SSL_CERT_FILE`, `SSL_CERT_DIR`).
    ///
    /// # Errors
    /// When they are none.
    pub fn trusting(self, pem: &[u8]) -> Result<Self, BadCertificate> {
        let given = certificates(pem)?;
        Ok(Self::made(self.trusted.into_iter().chain(given).collect()))
    }

    /// A client with an empty pool.
    fn made(trusted: Vec<CertificateDer<'static>>) -> Self {
        let pool = Http1Pool {
            dialer: Dialer::new(trusted.clone(), &[b"http/1.1"]),
            clock: system_clock(),
            pages: PagePool::new(),
            idle: Mutex::default(),
        };
        Self {
            trusted,
            pool: Arc::new(pool),
        }
    }

    /// Sends a request to a host and port, and waits for the answer. A connection that was kept and
    /// ends before anything of the answer came is replaced once: the server may have closed it at
    /// that moment, and to read twice does no harm. `limit` bounds the making of a connection.
    /// Dropping the future closes the connection.
    pub(in crate::stream::kinesis) async fn exchange(
        &self,
        to: &Uri,
        request: &[u8],
        limit: Duration,
    ) -> Result<Http1Answer, NoAnswer> {
        // `GetRecords` changes nothing at the service, so sending it twice is safe. It is sent
        // twice at most: a second failure comes from a connection that was just made.
        if let Some(kept) = self.pool.kept(to) {
            match kept.exchange(request, &self.pool.pages).await {
                // It has waited too long for a request, and says so while it closes the connection.
                Ok((answer, None)) if answer.head.status == 408 => {}
                Ok((answer, connection)) => return Ok(self.pool.keep(to, answer, connection)),
                Err(Broken::InAnswer(failure)) => return Err(NoAnswer::Lost(failure)),
                Err(Broken::BeforeAnswer(_)) => {}
            }
        }
        let dialled = within(&*self.pool.clock, limit, self.pool.dialer.dial(to)).await;
        let (io, _) = dialled
            .unwrap_or_else(|| {
                Err(ConnectionFailure::late(format_args!(
                    "no connection to {to} within {limit:?}"
                )))
            })
            .map_err(NoAnswer::NotConnected)?;
        let made = Http1Connection::new(io);
        match made.exchange(request, &self.pool.pages).await {
            Ok((answer, connection)) => Ok(self.pool.keep(to, answer, connection)),
            Err(Broken::BeforeAnswer(failure) | Broken::InAnswer(failure)) => {
                Err(NoAnswer::Lost(failure))
            }
        }
    }
}

impl Http1Client {
    /// The buffers that pages are received into.
    pub(in crate::stream::kinesis) fn pages(&self) -> &PagePool {
        &self.pool.pages
    }
}

impl Http1Pool {
    /// The connection that was used last, if it still may be.
    fn kept(&self, to: &Uri) -> Option<Http1Connection> {
        let since = self.clock.now();
        loop {
            // The newest first: it is the least likely to be closed by the server, and the others
            // can grow old.
            let (at, mut connection) = self.idle().get_mut(to)?.pop()?;
            if since.since(at) < IDLE_LIMIT && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps the connection for a later call, if it takes another, and closes those that were idle
    /// for too long: there is no task that would do so.
    fn keep(
        &self,
        to: &Uri,
        answer: Http1Answer,
        connection: Option<Http1Connection>,
    ) -> Http1Answer {
        if let Some(connection) = connection {
            let now = self.clock.now();
            self.pages.free_idle();
            let mut idle = self.idle();
            for connections in idle.values_mut() {
                let old = |(at, _): &(Moment, _)| now.since(*at) >= IDLE_LIMIT;
                let many = connections.iter().take_while(|kept| old(kept)).count();
                connections.drain(..many);
            }
            match idle.get_mut(to) {
                Some(connections) => connections.push((now, connection)),
                None => {
                    idle.insert(to.clone(), vec![(now, connection)]);
                }
            }
        }
        answer
    }

    /// The connections that wait for a call.
    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<Uri, Vec<(Moment, Http1Connection)>>> {
        // Nothing is left half done where it is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Http1Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Http1Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Client").finish_non_exhaustive()
    }
}
