//! A worker's own `/healthz`, `/readyz` and `/metrics` over HTTP, for probes and scrapers (feature
//! `health`, off by default).
//!
//! ```no_run
//! # use kcl_core::{BoxError, Worker, health::HealthServer};
//! # async fn start(worker: Worker) -> Result<(), BoxError> {
//! let _health = HealthServer::new(&worker).serve("0.0.0.0:8080").await?;
//! worker.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | path | 200 | 503 |
//! |---|---|---|
//! | `/healthz` | the worker runs, or is about to: a restart would mend nothing | its `run` has ended |
//! | `/readyz` | it has read the lease table and described its streams, and the table answers | it is still starting, is stopping, or the table does not answer; the body says which |
//! | `/metrics` | what [`metrics`](HealthServer::metrics) returns | without it the path is 404 |
//!
//! A lease table that is out of reach does not make `/healthz` fail: a process that is started anew
//! does not reach it either, and would only begin again from its checkpoints. A shard that makes no
//! progress changes neither, because the other shards do: see
//! [`Status`] and the [alarms](crate::meters).
//!
//! It is a few lines on a socket and brings no dependency. It reads the first line of a request and
//! answers one request a connection, so put nothing but probes and scrapers in front of it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

use crate::Worker;
use crate::runtime::{SystemClock, Tasks, pause, within};
use crate::worker::{Phase, Status};

/// A request that is longer than this is no probe.
const LONGEST: usize = 8 << 10;
/// So many connections are answered at once; more wait in the system's queue.
const AT_ONCE: usize = 16;
/// A connection that has not been answered by then is closed: Kubernetes gives a probe a second.
const LIMIT: Duration = Duration::from_secs(5);
/// After a connection could not be accepted, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes the text of `/metrics`.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers probes and scrapers as long as it is kept: dropped, it stops listening.
pub struct HealthServer {
    /// A handle: it does not keep the worker running.
    worker: Worker,
    /// `None` answers `/metrics` with 404.
    metrics: Option<Render>,
    /// Set when the socket is bound.
    address: Option<SocketAddr>,
    /// The one task that listens. Connections live within it, so that all of them end together.
    tasks: Tasks,
}

impl fmt::Debug for HealthServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthServer")
            .field("worker", self.worker.id())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl HealthServer {
    /// Prepares to answer for this worker. It listens only after [`serve`](Self::serve).
    #[must_use]
    pub fn new(worker: &Worker) -> Self {
        Self {
            worker: worker.clone(),
            metrics: None,
            address: None,
            tasks: Tasks::new(),
        }
    }

    /// Answers `/metrics` with this text, in the text format of Prometheus: `render` of the recorder
    /// that the application has installed, as in `examples/08_metrics.rs`. It is called for each
    /// request, on the runtime of [`serve`](Self::serve), so it must not block for long.
    #[must_use]
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// Listens at this address, on the current runtime. Port 0 picks a free one.
    ///
    /// The answers have no login. They name nothing but the worker's phase and what its calls to the
    /// lease table failed with, and whatever `metrics` returns.
    ///
    /// # Errors
    /// Those of binding a socket: the address is taken, or is not this machine's.
    pub async fn serve(mut self, address: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        self.address = Some(listener.local_addr()?);
        let (worker, metrics) = (self.worker.clone(), self.metrics.clone());
        self.tasks.start(listen(listener, worker, metrics));
        Ok(self)
    }

    /// Where it listens; `None` before [`serve`](Self::serve).
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// Accepts connections and answers them, without a task for each: a probe's answer takes no time,
/// and many connections must not take memory.
async fn listen(listener: TcpListener, worker: Worker, metrics: Option<Render>) {
    let mut open = FuturesUnordered::new();
    loop {
        if open.len() >= AT_ONCE {
            open.next().await;
        }
        let accepted = if open.is_empty() {
            listener.accept().await
        } else {
            // Those that are open are answered while the next one is awaited.
            match select(pin!(listener.accept()), open.next()).await {
                Either::Left((accepted, _)) => accepted,
                Either::Right(_) => continue,
            }
        };
        match accepted {
            Ok((connection, _)) => {
                let answering = answer(connection, &worker, metrics.as_ref());
                open.push(within(&SystemClock, LIMIT, answering));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for the health checks could not be accepted");
                pause(&SystemClock, PAUSE).await;
            }
        }
    }
}

/// Answers one request. Whoever hangs up or sends anything else gets nothing.
async fn answer(
    mut connection: TcpStream,
    worker: &Worker,
    metrics: Option<&Render>,
) -> io::Result<()> {
    let mut head = Vec::new();
    // Read to its end, though only the first line counts: a client that still writes would take an
    // early answer for a broken connection.
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= LONGEST || connection.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let (code, kind, body) = respond(&String::from_utf8_lossy(line), worker, metrics);
    let mut text = format!(
        "HTTP/1.1 {code}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if !line.starts_with(b"HEAD ") {
        text.push_str(&body);
    }
    connection.write_all(text.as_bytes()).await?;
    connection.shutdown().await
}

/// For people and probes.
const PLAIN: &str = "text/plain";
/// The version is that of the format, which scrapers look at.
const PROMETHEUS: &str = "text/plain; version=0.0.4";
const OK: &str = "200 OK";
const UNAVAILABLE: &str = "503 Service Unavailable";

/// The status line, the type and the body for the first line of a request.
fn respond(
    line: &str,
    worker: &Worker,
    metrics: Option<&Render>,
) -> (&'static str, &'static str, String) {
    let mut words = line.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let probe = |why: Option<String>| match why {
        None => (OK, PLAIN, "ok\n".to_owned()),
        Some(why) => (UNAVAILABLE, PLAIN, format!("{why}\n")),
    };
    match (method, path, metrics) {
        (Some("GET" | "HEAD"), "/healthz", _) => probe(unhealthy(&worker.status())),
        (Some("GET" | "HEAD"), "/readyz", _) => probe(unready(&worker.status())),
        (Some("GET" | "HEAD"), "/metrics", Some(render)) => (OK, PROMETHEUS, render()),
        (Some("GET" | "HEAD"), _, _) => (
            "404 Not Found",
            PLAIN,
            "expected /healthz, /readyz or /metrics\n".to_owned(),
        ),
        _ => (
            "405 Method Not Allowed",
            PLAIN,
            "expected GET or HEAD\n".to_owned(),
        ),
    }
}

/// Why the process should be started anew; `None` if that would mend nothing.
fn unhealthy(status: &Status) -> Option<String> {
    match &status.phase {
        Phase::Failed(error) => Some(format!("the worker has failed: {error}")),
        Phase::Stopped => Some("the worker has stopped".to_owned()),
        Phase::Dropped => Some("the worker was dropped while it ran".to_owned()),
        Phase::Idle | Phase::Starting | Phase::Running | Phase::Stopping => None,
    }
}

/// Why the worker does not do its work now; `None` if it does.
fn unready(status: &Status) -> Option<String> {
    if let Some(why) = unhealthy(status) {
        return Some(why);
    }
    match &status.phase {
        Phase::Idle => Some("the worker was not started yet".to_owned()),
        Phase::Starting => Some(
            "the worker is starting: the lease table and the streams have not all answered"
                .to_owned(),
        ),
        Phase::Stopping => Some("the worker is stopping".to_owned()),
        _ => status.lease_table.as_ref().map(|failures| {
            format!(
                "the lease table has not answered for {} s: {}",
                failures.for_long.as_secs(),
                failures.error
            )
        }),
    }
}

#[cfg(test)]
#[path = "health_test.rs"]
mod tests;
