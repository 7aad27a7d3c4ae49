use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason};
use http::Uri;

use crate::Clock;
use crate::runtime::Tasks;

use super::body::PushedBody;
use super::counting_io::CountingIo;
use super::dial::Io;
use super::driver::{Driver, Transport};
use super::failure::ConnectionFailure;
use super::settings::Http2Settings;
use super::silence::{Silence, WatchedBody};
use super::stream_count::StreamCount;

/// The longest frame that a server may send: 120 KiB, seven times the least. A frame is a wake-up of
/// the task that reads, which is most of what an event costs beside its bytes. From 128 KiB on the
/// C library's allocator takes each frame's memory from the system and gives it back (`mmap`), and
/// the reading of events was measured to cost more again.
const FRAME: u32 = 120 << 10;

/// A connection that speaks HTTP/2. It is closed when it is dropped, and with it what is still on
/// it.
pub(super) struct Connection {
    /// Begins streams. A clone of it sends each request.
    sender: SendRequest<Bytes>,
    /// The places that are taken, shared with the driver, which closes it when the connection ends.
    load: Arc<StreamCount>,
    /// For the silence of streams.
    clock: Arc<dyn Clock>,
    /// See [`Http2Settings::silent_limit`].
    silent_limit: Duration,
    /// Reads and writes the socket for as long as this value lives. Places hold the connection, so
    /// it lives until the last of them is given back.
    _driver: Tasks,
}

/// Why a connection is none.
pub(super) enum NotOpened {
    /// The other side does not speak HTTP/2, or is not there any more.
    NotHttp2(ConnectionFailure),
    /// It cannot be used.
    Failed(ConnectionFailure),
}

/// Why a request has no answer.
pub(super) enum NotSent {
    /// It was not sent: the connection takes nothing more, another one will.
    Closed(ConnectionFailure),
    /// It was sent, or nobody knows.
    Failed(ConnectionFailure),
}

impl Connection {
    /// Begins to speak HTTP/2. It is done when the other side has answered a ping: it has told its
    /// settings before that.
    ///
    /// Must be called where the connection's task may live. Dropping the future closes the
    /// connection.
    pub(super) async fn open(
        io: Box<dyn Io>,
        to: &Uri,
        settings: Http2Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotOpened> {
        let (io, heard) = CountingIo::new(io);
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            .max_frame_size(FRAME)
            .initial_window_size(settings.window)
            .initial_connection_window_size(settings.connection_window())
            .handshake::<_, Bytes>(io);
        let (sender, mut transport) = handshake.await.map_err(|error| not_http2(Some(error)))?;
        let Some(mut pings) = transport.ping_pong() else {
            return Err(NotOpened::Failed(ConnectionFailure::broken(
                "no HTTP/2",
                "its pings are taken",
            )));
        };
        // Before the driver takes over: nobody may take a place before the server's own limit of
        // streams is known.
        first_answer(&mut transport, &mut pings).await?;
        let load = Arc::new(StreamCount::new(
            usize::try_from(settings.streams).unwrap_or(usize::MAX),
        ));
        let driver = Driver {
            to: to.clone(),
            allowed: sender.current_max_send_streams(),
            transport,
            pings,
            heard,
            load: Arc::clone(&load),
            settings,
        };
        let mut tasks = Tasks::new();
        tasks.start(driver.run(Arc::clone(&clock)));
        Ok(Self {
            sender,
            load,
            clock,
            silent_limit: settings.silent_limit,
            _driver: tasks,
        })
    }

    /// A place for one subscription, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<StreamPermit> {
        // What the server allows may change at any time.
        let taken = self.load.take(self.sender.current_max_send_streams());
        taken.then(|| StreamPermit(Arc::clone(self)))
    }

    /// Whether it gives no more places for good.
    pub(super) fn is_closed(&self) -> bool {
        self.load.closed().is_some()
    }

    /// Minds the silence of one stream, which is listened to from now on.
    fn silence(&self) -> Silence {
        let since = Some(self.clock.now());
        Silence {
            of: Arc::clone(&self.load),
            clock: Arc::clone(&self.clock),
            limit: self.silent_limit,
            since,
        }
    }

    /// The streams that the server allows at present.
    pub(super) fn allowed(&self) -> usize {
        self.sender.current_max_send_streams()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}

/// Waits for the answer to a first ping. The server's settings precede every other frame of its own
/// (RFC 9113, section 3.4), so they are known by then.
async fn first_answer(transport: &mut Transport, pings: &mut PingPong) -> Result<(), NotOpened> {
    pings
        .send_ping(Ping::opaque())
        .map_err(|error| not_http2(Some(error)))?;
    poll_fn(|cx| {
        // It reads the socket, and so comes first.
        if let Poll::Ready(ended) = Pin::new(&mut *transport).poll(cx) {
            return Poll::Ready(Err(not_http2(ended.err())));
        }
        pings
            .poll_pong(cx)
            .map(|answer| answer.map(drop).map_err(|error| not_http2(Some(error))))
    })
    .await
}

/// Until the first answer, every failure may mean that the server does not speak HTTP/2: a server
/// of HTTP/1.1 answers with an error, or just closes the connection.
fn not_http2(error: Option<h2::Error>) -> NotOpened {
    let what = "the server does not speak HTTP/2";
    NotOpened::NotHttp2(match error {
        Some(error) => ConnectionFailure::broken(what, error),
        None => ConnectionFailure::broken(what, "it closed the connection"),
    })
}

/// A subscription's place on a connection. It keeps the connection open.
#[derive(Debug)]
pub(super) struct StreamPermit(Arc<Connection>);

impl StreamPermit {
    /// Sends a request. The place is held by the body of the response from then on.
    pub(super) async fn send(
        self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<WatchedBody>, NotSent> {
        let (head, body) = request.into_parts();
        // Each step up to the sending can be tried again on another connection; from then on the
        // server may have carried the request out.
        let mut sender = self.0.sender.clone();
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            return Err(self.closed(error));
        }
        let sent = sender.send_request(http::Request::from_parts(head, ()), body.is_empty());
        let (response, mut stream) = match sent {
            Ok(sent) => sent,
            Err(error) => return Err(self.closed(error)),
        };
        if !body.is_empty() {
            stream
                .send_data(body, true)
                .map_err(|error| self.failed(error))?;
        }
        // While the head is awaited, silence counts as well. If this future is dropped after too
        // long a time, the drop of `silence` closes the connection to new places.
        let mut silence = self.0.silence();
        let response = response.await;
        silence.ended();
        let response = response.map_err(|error| self.failed(error))?;
        Ok(response.map(|body| WatchedBody::new(PushedBody::new(body, self), silence)))
    }

    /// The request was not sent. No further place is given, so that the caller does not get this
    /// connection again.
    fn closed(&self, error: h2::Error) -> NotSent {
        let failure = ConnectionFailure::broken("the connection takes no more", error);
        self.0.load.close(&failure.to_string());
        NotSent::Closed(failure)
    }

    /// The request was sent, and there is no answer. A refused stream shows that the server takes
    /// fewer than it says.
    fn failed(&self, error: h2::Error) -> NotSent {
        if error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) {
            self.0.load.refused();
        }
        NotSent::Failed(self.lost("no answer", error))
    }

    /// The failure of what came by this place, with the reason why the connection was given up, if
    /// it was.
    pub(super) fn lost(&self, what: &str, error: h2::Error) -> ConnectionFailure {
        match self.0.load.closed() {
            Some(why) => ConnectionFailure::broken(&format!("{what}: {why}"), error),
            None => ConnectionFailure::broken(what, error),
        }
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.load.give_back();
    }
}
