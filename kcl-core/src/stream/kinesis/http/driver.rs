use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use h2::{Ping, PingPong};
use http::Uri;
use tracing::debug;

use crate::Clock;

use super::counting_io::{ByteCount, CountingIo};
use super::dial::Io;
use super::settings::Http2Settings;
use super::stream_count::StreamCount;

/// The side of a connection that reads and writes the socket.
pub(super) type Transport = h2::client::Connection<CountingIo<Box<dyn Io>>, Bytes>;

/// Reads and writes a connection's socket, and minds that the other side lives.
#[derive(Debug)]
pub(super) struct Driver {
    /// The server, for the log.
    pub(super) to: Uri,
    /// The streams that the server allowed at the beginning.
    pub(super) allowed: usize,
    /// Must be polled for anything to be read or written.
    pub(super) transport: Transport,
    /// Sends pings of our own; those of the server are answered by the transport.
    pub(super) pings: PingPong,
    /// What has come by the socket, of whatever kind.
    pub(super) heard: ByteCount,
    /// Closed when the connection ends, with the reason, which the failures of its streams repeat.
    pub(super) load: Arc<StreamCount>,
    /// The pauses and limits of pings.
    pub(super) settings: Http2Settings,
}

impl Driver {
    /// Until the connection has ended, is dead, or is not used any more. Then it is closed, and
    /// what is still on it fails.
    pub(super) async fn run(self, clock: Arc<dyn Clock>) {
        let Self {
            to,
            allowed,
            transport,
            mut pings,
            heard,
            load,
            settings,
        } = self;
        // Said here, by a task of its own: the SDK's calls, by which a connection is made, are kept
        // out of the log.
        let (streams, window) = (settings.streams, settings.connection_window());
        debug!(%to, streams, allowed, window, "an HTTP/2 connection for subscriptions is open");
        let mut transport = pin!(transport);
        // How much had come when the ping went out that has no answer yet.
        let mut asked: Option<u64> = None;
        let mut alarm = clock.now() + settings.ping_every;
        let why = loop {
            tokio::select! {
                biased;
                // First: it reads what has come, so that nobody is given up while an answer waits
                // to be read.
                ended = &mut transport => break match ended {
                    Ok(()) => "the server closed it".to_owned(),
                    Err(error) => format!("it broke: {error}"),
                },
                answer = std::future::poll_fn(|cx| pings.poll_pong(cx)), if asked.is_some() => {
                    if let Err(error) = answer {
                        break format!("it broke: {error}");
                    }
                    asked = None;
                    alarm = clock.now() + settings.ping_every;
                }
                () = clock.sleep_until(alarm) => match asked {
                    None => {
                        if load.close_if_unused() {
                            break "it was not used".to_owned();
                        }
                        if let Err(error) = pings.send_ping(Ping::opaque()) {
                            break format!("it broke: {error}");
                        }
                        asked = Some(heard.get());
                        alarm = clock.now() + settings.ping_limit;
                    }
                    // The answer may be behind megabytes of events in the same connection. As long
                    // as anything comes, the server lives; only silence counts.
                    Some(before) if heard.get() > before => {
                        asked = Some(heard.get());
                        alarm = clock.now() + settings.ping_limit;
                    }
                    Some(_) => break format!("the server is silent: a ping is without an answer \
                        for {:?}", settings.ping_limit),
                },
            }
        };
        load.close(&why);
        debug!(%to, why, "an HTTP/2 connection for subscriptions has ended");
    }
}
