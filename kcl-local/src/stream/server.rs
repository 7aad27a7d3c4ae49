//! Connections: HTTP/1.1 or HTTP/2, distinguished by their first bytes.
//!
//! Every connection is a task that the server owns. When it is told to stop, connections finish the
//! requests that they are answering and take no more.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::transport::Transport;
use crate::runtime::{Tasks, sleep};

/// How long the server waits after it could not accept a connection, for example because there was
/// no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take for the TLS handshake.
#[cfg(feature = "stream-tls")]
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What serves each connection.
#[derive(Clone)]
pub(super) struct Server {
    /// Answers requests.
    router: Router,
    /// Plain TCP, or TLS.
    transport: Transport,
    /// Speaks HTTP/1.1 and, if it is on, HTTP/2.
    http: Builder<TokioExecutor>,
    /// Becomes true when the server is to stop.
    stopping: watch::Receiver<bool>,
}

impl Server {
    /// Creates a server that answers with this router until it is told to stop. `http2` is how many
    /// requests an HTTP/2 connection may have open at the same time, if HTTP/2 is supported.
    pub(super) fn new(
        router: Router,
        transport: Transport,
        http2: Option<u32>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        match http2 {
            Some(requests) => {
                http.http2().max_concurrent_streams(requests);
            }
            None => http = http.http1_only(),
        }
        Self {
            router,
            transport,
            http,
            stopping,
        }
    }

    /// Serves connections. When it is told to stop, it accepts no more and ends when the requests
    /// in progress have been answered.
    ///
    /// An error of accepting does not end the server: a process that has run out of file
    /// descriptors gets some back.
    pub(super) async fn serve(self, listener: TcpListener) {
        let mut connections = Tasks::default();
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                // An error means that the server's owner is gone.
                _ = stopping.wait_for(|stop| *stop) => break,
                () = connections.ended() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((connection, peer)) => {
                    connections.spawn(self.clone().connection(connection, peer));
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "the embedded stream cannot accept a connection");
                    sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.all_ended().await;
    }

    /// One connection from its acceptance to its end. Errors are logged at the level debug, because
    /// a client that goes away is nothing unusual.
    async fn connection(mut self, connection: TcpStream, peer: SocketAddr) {
        // So that small replies and events are sent immediately: otherwise a client may wait 40 ms
        // for them.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection of the embedded stream keeps its delay");
        }
        let result = match self.transport.clone() {
            Transport::Plain => self.http(connection).await,
            #[cfg(feature = "stream-tls")]
            Transport::Tls(acceptor) => {
                let mut stopping = self.stopping.clone();
                let handshake = tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => return,
                    handshake = acceptor.accept(connection) => handshake,
                    () = sleep(HANDSHAKE) => return,
                };
                match handshake {
                    Ok(connection) => self.http(connection).await,
                    Err(error) => Err(error.into()),
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%peer, error, "a connection of the embedded stream ended");
        }
    }

    /// Serves HTTP on a connection until the client closes it or the server stops.
    async fn http<C>(
        &mut self,
        connection: C,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(self.router.clone());
        let mut serving = pin!(
            self.http
                .serve_connection(TokioIo::new(connection), service)
        );
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stop| *stop) => {}
            result = serving.as_mut() => return result,
        }
        serving.as_mut().graceful_shutdown();
        serving.await
    }
}

/// Whether the error is that the peer closed the connection before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
