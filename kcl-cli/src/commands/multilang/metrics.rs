//! The metrics of the daemon, where Prometheus fetches them.
//!
//! A server of a few lines and not a web framework: one path is served, without TLS, to a scraper
//! inside the network. Everything else is 404.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::failure::Failure;

/// The longest head of a request that is read: a client that sends more gets no more memory here.
const HEAD: usize = 8 * 1024;
/// How many connections are served at once. Others wait to be accepted: a scraper opens one.
const AT_ONCE: usize = 16;

/// The metrics, and where they are asked for. It has two halves, because the port must be known to
/// be free before the daemon starts.
#[derive(Debug)]
pub(super) struct MetricsServer {
    /// Bound, and not accepting yet.
    listener: TcpListener,
    /// The recorder that every part of the process writes to.
    metrics: PrometheusHandle,
}

impl MetricsServer {
    /// Binds the address and installs the recorder: metrics are collected from here on.
    ///
    /// # Errors
    /// The address is in use or not of this machine, or another recorder was installed before.
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let cannot = |error: kcl_core::BoxError| {
            Failure::new(format!("cannot serve metrics at {address}"), error)
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| cannot(error.into()))?;
        let metrics = PrometheusBuilder::new()
            .install_recorder()
            .map_err(|error| cannot(error.into()))?;
        Ok(Self { listener, metrics })
    }

    /// Answers for as long as the future lives. It never ends by itself, and a connection that
    /// fails ends alone.
    pub(super) async fn serve(self) {
        let mut connections = JoinSet::new();
        loop {
            if connections.len() >= AT_ONCE {
                connections.join_next().await;
            }
            // A connection that fails is that client's business.
            if let Ok((connection, _)) = self.listener.accept().await {
                connections.spawn(answer(connection, self.metrics.clone()));
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

/// One request and its answer; the connection is closed after it.
///
/// Recorded values are brought together before they are rendered. The exporter would do that in a
/// task of its own, which this program does not start.
async fn answer(mut connection: TcpStream, metrics: PrometheusHandle) {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD {
        match connection.read(&mut piece).await {
            Ok(length) if length > 0 => head.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let (status, body) = if head.starts_with(b"GET /metrics ") {
        // What was recorded in the meantime is brought together, which nobody else does here.
        metrics.run_upkeep();
        ("200 OK", metrics.render())
    } else {
        ("404 Not Found", "the metrics are at /metrics\n".to_owned())
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // The client may be gone.
    let _ = connection.write_all(answer.as_bytes()).await;
}
