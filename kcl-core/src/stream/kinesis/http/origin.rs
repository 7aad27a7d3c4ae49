use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::sync::Mutex as Turn;

use crate::Clock;
use crate::runtime::within;

use super::connection::{Connection, NotOpened, Place};
use super::dial::{Dialer, Io, Speaks};
use super::failure::Failure;
use super::settings::Settings;

/// The connections to one host and port.
#[derive(Debug)]
pub(super) struct Origin {
    to: Uri,
    dialer: Arc<Dialer>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Connections are made by one at a time: whoever waits for a turn finds places on the one that was made meanwhile.
    turn: Turn<LastFailure>,
    /// How many connections were begun.
    begun: AtomicU64,
    /// The server answers HTTP/1.1 and nothing better.
    http1: AtomicBool,
}

/// Which of the connections that were begun failed last, and why.
type LastFailure = Option<(u64, Failure)>;

/// What a request may go by.
pub(super) enum Way {
    Http2 {
        place: Place,
        /// The connection was made for it.
        new: bool,
    },
    /// A connection of its own.
    Http1(Box<dyn Io>),
}

impl Origin {
    pub(super) fn new(to: Uri, dialer: Arc<Dialer>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let turn = Turn::default();
        Self {
            to,
            dialer,
            settings,
            clock,
            connections: Mutex::default(),
            turn,
            begun: AtomicU64::new(0),
            http1: AtomicBool::new(false),
        }
    }

    /// A way for one request: a place on a connection that there is, or on a new one. `limit` bounds the making of a connection, and
    /// again its first words. Cancel safe.
    pub(super) async fn way(&self, limit: Duration) -> Result<Way, Failure> {
        if let Some(place) = self.free() {
            return Ok(Way::Http2 { place, new: false });
        }
        if self.http1.load(Ordering::Relaxed) {
            // Nothing is shared, so nobody waits for anybody.
            return self.open(limit).await;
        }
        let begun = self.begun.load(Ordering::Relaxed);
        let mut failed = self.turn.lock().await;
        if let Some(place) = self.free() {
            return Ok(Way::Http2 { place, new: false });
        }
        match &*failed {
            // It was begun after we came, so it is as good an answer as our own would be: all who wait learn it at once.
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
        self.http1.store(true, Ordering::Relaxed);
    }

    /// The first free place, so that connections that are not needed any more run empty.
    fn free(&self) -> Option<Place> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| !connection.is_closed());
        connections.iter().find_map(Connection::take)
    }

    async fn open(&self, limit: Duration) -> Result<Way, Failure> {
        let (io, speaks) = self.dial(limit).await?;
        let speaks = match speaks {
            Speaks::Unknown if self.http1.load(Ordering::Relaxed) => Speaks::Http1,
            other => other,
        };
        if speaks == Speaks::Http1 {
            return Ok(Way::Http1(io));
        }
        let opening = Connection::open(io, &self.to, self.settings, Arc::clone(&self.clock));
        match within(&*self.clock, limit, opening).await {
            Some(Ok(connection)) => self.add(connection).map(|place| Way::Http2 { place, new: true }),
            Some(Err(NotOpened::NotHttp2(_))) if speaks == Speaks::Unknown => {
                let (io, _) = self.dial(limit).await?;
                Ok(Way::Http1(io))
            }
            Some(Err(NotOpened::NotHttp2(failure) | NotOpened::Failed(failure))) => Err(failure),
            None => Err(Failure::late(format_args!("{} did not begin to speak HTTP/2 within {limit:?}", self.to))),
        }
    }

    async fn dial(&self, limit: Duration) -> Result<(Box<dyn Io>, Speaks), Failure> {
        let dialled = within(&*self.clock, limit, self.dialer.dial(&self.to)).await;
        let dialled =
            dialled.unwrap_or_else(|| Err(Failure::late(format_args!("no connection to {} within {limit:?}", self.to))));
        if dialled.is_err() {
            // It may be another server when it is there again.
            self.http1.store(false, Ordering::Relaxed);
        }
        dialled
    }

    fn add(&self, connection: Connection) -> Result<Place, Failure> {
        let connection = Arc::new(connection);
        let allowed = connection.allowed();
        let Some(place) = connection.take() else {
            return Err(Failure::broken("no subscription", format!("{} allows {allowed} streams on a connection", self.to)));
        };
        self.http1.store(false, Ordering::Relaxed);
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(place)
    }
}
