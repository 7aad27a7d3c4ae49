use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::sync::Mutex as Turn;

use crate::Clock;
use crate::runtime::within;

use super::connection::{Connection, NotOpened, StreamPermit};
use super::dial::{Dialer, Io, Protocol};
use super::failure::ConnectionFailure;
use super::http1;
use super::settings::Http2Settings;

/// A server that may know nothing of HTTP/2, since there is no TLS to tell, has this time to begin
/// with it, and again to answer HTTP/1.1, or less if a connection has less. A server of HTTP/2 says
/// its settings at once (RFC 9113, section 3.4), so that a way there and back is all it takes: as
/// much as a connection, and so the same 3 s. With two connections beside, at most 12 s of the 30 s
/// that a call has are gone when the request is sent at last, whatever limit a connection was
/// given.
const FIRST_WORDS: Duration = Duration::from_secs(3);

/// The connections to one host and port.
#[derive(Debug)]
pub(super) struct Origin {
    /// The server: scheme, host and port.
    to: Uri,
    /// Makes the sockets. All origins share it.
    dialer: Arc<Dialer>,
    /// What connections are made like, within the bounds of HTTP/2.
    settings: Http2Settings,
    /// All limits are measured on it.
    clock: Arc<dyn Clock>,
    /// In the order in which they were made. The lock is never held over an await.
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Connections are made by one at a time: whoever waits for a turn finds places on the one that
    /// was made meanwhile.
    turn: Turn<LastFailure>,
    /// How many connections were begun.
    begun: AtomicU64,
    /// What the server has answered to last, since it was out of reach: HTTP/2 or, when it knows
    /// nothing better, HTTP/1.1.
    known: Mutex<Protocol>,
}

/// Which of the connections that were begun failed last, and why.
type LastFailure = Option<(u64, ConnectionFailure)>;

/// What a request may go by.
pub(super) enum Route {
    /// A stream of a connection that several share.
    Http2 {
        place: StreamPermit,
        /// The connection was made for it.
        new: bool,
    },
    /// A connection of its own.
    Http1(Box<dyn Io>),
}

impl Origin {
    /// No connection is made before the first request.
    pub(super) fn new(
        to: Uri,
        dialer: Arc<Dialer>,
        settings: Http2Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let turn = Turn::default();
        Self {
            to,
            dialer,
            settings,
            clock,
            connections: Mutex::default(),
            turn,
            begun: AtomicU64::new(0),
            known: Mutex::new(Protocol::Unknown),
        }
    }

    /// A way for one request: a place on a connection that there is, or on a new one. `limit`
    /// bounds the making of each connection that it takes, and again its first words. Cancel safe.
    pub(super) async fn way(&self, limit: Duration) -> Result<Route, ConnectionFailure> {
        if let Some(place) = self.free() {
            return Ok(Route::Http2 { place, new: false });
        }
        if self.known() == Protocol::Http1 {
            // Nothing is shared, so nobody waits for anybody.
            return self.open(limit).await;
        }
        let begun = self.begun.load(Ordering::Relaxed);
        let mut failed = self.turn.lock().await;
        if let Some(place) = self.free() {
            return Ok(Route::Http2 { place, new: false });
        }
        match &*failed {
            // It was begun after we came, so it is as good an answer as our own would be: all who
            // wait learn it at once.
            Some((number, failure)) if *number > begun => Err(failure.clone()),
            _ => {
                let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                let way = self.open(limit).await;
                if let Err(failure) = &way {
                    *failed = Some((number, failure.clone()));
                }
                way
            }
        }
    }

    /// The server has answered HTTP/1.1 by a way that this origin gave.
    pub(super) fn answered_http1(&self) {
        self.learn(Protocol::Http1);
    }

    /// What the server spoke last.
    fn known(&self) -> Protocol {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the server speaks, for the next connection.
    fn learn(&self, known: Protocol) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// The first free place, so that connections that are not needed any more run empty.
    fn free(&self) -> Option<StreamPermit> {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| !connection.is_closed());
        connections.iter().find_map(Connection::take)
    }

    /// Makes a connection, and finds out what the server speaks if it is not known.
    ///
    /// ```text
    /// told by TLS: h2 HTTP/2, or the call fails
    /// told by TLS: http/1.1 HTTP/1.1
    /// no TLS, not known HTTP/2 is tried; if the server makes nothing of it, or is silent to it and
    /// answers HTTP/1.1, another connection with HTTP/1.1
    /// no TLS, known what it spoke last
    /// ```
    async fn open(&self, limit: Duration) -> Result<Route, ConnectionFailure> {
        let (io, told) = self.dial(limit).await?;
        let speaks = match told {
            Protocol::Unknown => self.known(),
            told => told,
        };
        if speaks == Protocol::Http1 {
            return Ok(Route::Http1(io));
        }
        // Who has spoken HTTP/2 before is not taken for less because of one late answer.
        let first_words = if speaks == Protocol::Unknown {
            limit.min(FIRST_WORDS)
        } else {
            limit
        };
        let opening = Connection::open(io, &self.to, self.settings, Arc::clone(&self.clock));
        match within(&*self.clock, first_words, opening).await {
            Some(Ok(connection)) => {
                return self
                    .add(connection)
                    .map(|place| Route::Http2 { place, new: true });
            }
            Some(Err(NotOpened::NotHttp2(_))) if told == Protocol::Unknown => {}
            Some(Err(NotOpened::NotHttp2(failure) | NotOpened::Failed(failure))) => {
                return Err(failure);
            }
            None if speaks == Protocol::Unknown => self.ask_http1(first_words).await?,
            None => {
                return Err(ConnectionFailure::late(format_args!(
                    "{} did not begin to speak HTTP/2 within {first_words:?}",
                    self.to
                )));
            }
        }
        let (io, _) = self.dial(limit).await?;
        Ok(Route::Http1(io))
    }

    /// Asks the server, by a connection of its own, whether it answers HTTP/1.1: it was silent to
    /// HTTP/2. The request itself would not do for a question: who waits for a turn would wait as
    /// long as the answer to it may take.
    async fn ask_http1(&self, limit: Duration) -> Result<(), ConnectionFailure> {
        let asking = async {
            let (io, _) = self.dialer.dial(&self.to).await?;
            http1::ask(io, &self.to).await
        };
        let why = match within(&*self.clock, limit, asking).await {
            Some(Ok(())) => {
                self.answered_http1();
                return Ok(());
            }
            Some(Err(failure)) => failure.to_string(),
            None => "no answer".to_owned(),
        };
        let silent = format_args!(
            "{} did not begin to speak HTTP/2 within {limit:?}, nor does it speak HTTP/1.1: {why}",
            self.to
        );
        Err(ConnectionFailure::late(silent))
    }

    /// A socket, and what TLS has told of the protocol.
    async fn dial(&self, limit: Duration) -> Result<(Box<dyn Io>, Protocol), ConnectionFailure> {
        let dialled = within(&*self.clock, limit, self.dialer.dial(&self.to)).await;
        let dialled = dialled.unwrap_or_else(|| {
            Err(ConnectionFailure::late(format_args!(
                "no connection to {} within {limit:?}",
                self.to
            )))
        });
        if dialled.is_err() {
            // It may be another server when it is there again.
            self.learn(Protocol::Unknown);
        }
        dialled
    }

    /// Takes a connection among the others, and its first place. A server that allows no stream at
    /// all is an error, as a loop of new connections would follow.
    fn add(&self, connection: Connection) -> Result<StreamPermit, ConnectionFailure> {
        let connection = Arc::new(connection);
        let allowed = connection.allowed();
        let Some(place) = connection.take() else {
            return Err(ConnectionFailure::broken(
                "no subscription",
                format!("{} allows {allowed} streams on a connection", self.to),
            ));
        };
        self.learn(Protocol::Http2);
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        Ok(place)
    }
}
