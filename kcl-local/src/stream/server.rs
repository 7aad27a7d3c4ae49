//! Connections: HTTP/1.1 and HTTP/2, told apart by their first bytes.

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

/// How long the server waits before it accepts again when it could not, for want of file
/// descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take for the handshake of TLS.
#[cfg(feature = "stream-tls")]
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What each connection is served with.
#[derive(Clone)]
pub(super) struct Server {
    router: Router,
    transport: Transport,
    http: Builder<TokioExecutor>,
    stopping: watch::Receiver<bool>,
}

impl Server {
    /// A server of these answers, until it is told to stop. Over HTTP/2, if it is spoken, a
    /// connection takes so many requests at once.
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

    /// Serves connections. Told to stop, it accepts no more of them and ends when the requests that
    /// have come are answered.
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

    async fn connection(mut self, connection: TcpStream, peer: SocketAddr) {
        // Small replies and events go out at once; without this a client may wait 40 ms for them.
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

/// Whether a connection went away before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
