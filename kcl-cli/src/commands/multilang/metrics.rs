//! The metrics of the daemon, where Prometheus fetches them.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::failure::Failure;

/// The longest head of a request that is read.
const HEAD: usize = 8 * 1024;
/// How many connections are served at once. Others wait.
const AT_ONCE: usize = 16;

/// The metrics, and where they are asked for.
#[derive(Debug)]
pub(super) struct MetricsServer {
    listener: TcpListener,
    metrics: PrometheusHandle,
}

impl MetricsServer {
    /// Collects metrics from here on.
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

    /// Answers for as long as the future lives.
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
