//! The server.
//! Starts and stops all parts of the embedded stream.
//!
//! ```text
//!  LocalStream --owns--> runtime with 2 threads --> server: connections --> router: front, then emulator
//!       |                                                                     |
//!       +--owns--> Service: store, records, limits, subscriptions <-----------+
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use ferrokinesis::store::{DurableStateOptions, Store, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::consumers::Consumers;
use super::front::{BODY_BYTES, front};
use super::limits::{Allowance, Limits, READ_BYTES_A_SECOND, SUBSCRIBE_EVERY};
use super::records::{Journal, Logs};
use super::restore::restore;
use super::server::Server;
use super::service::Service;
use super::streams::Streams;
use super::subscriptions::Subscriptions;
use super::transport::Transport;
use super::{JournalError, LocalStreamBuilder, StartError};
use crate::runtime::{ServerRuntime, sleep};

/// How long [`LocalStream::stop`] waits for requests in progress.
const DRAIN: Duration = Duration::from_secs(5);

/// A Kinesis-compatible server in this process, by default on the loopback interface.
///
/// It runs on its own threads and ends with this value: [`stop`](Self::stop) answers the requests
/// in progress first, and dropping the value ends it immediately. The [module docs](super) list how
/// it differs from the service.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_local::stream::StartError> {
/// use kcl_local::stream::LocalStream;
///
/// let stream = LocalStream::start().await?;
/// println!("aws kinesis list-streams --endpoint-url {}", stream.endpoint());
/// stream.stop().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it ends the server"]
pub struct LocalStream {
    /// The URL, with the port that was taken.
    endpoint: String,
    /// The address with the port that was taken.
    address: SocketAddr,
    /// In the ARNs of streams and consumers.
    region: String,
    /// What the operations share. It is kept to close the folder.
    service: Arc<Service>,
    /// The router that also answers HTTP requests, for calls from within the program.
    pub(super) router: Router,
    /// Becomes true once: connections and subscriptions end then.
    stopping: watch::Sender<bool>,
    /// The task that accepts connections. Taken by `stop`, which waits for it.
    server: Option<JoinHandle<()>>,
    /// Dropped last: by then everything that runs on it has been told to stop.
    pub(super) runtime: ServerRuntime,
}

impl LocalStream {
    /// The settings of a server, to change before it is started.
    pub fn builder() -> LocalStreamBuilder {
        LocalStreamBuilder::default()
    }

    /// Starts a server with the default settings: in memory, without limits, on a free port of
    /// `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// If no port is free, or the threads cannot be started.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// The endpoint URL for SDKs, such as `http://127.0.0.1:40123`; with TLS it begins with
    /// `https`.
    ///
    /// # Examples
    /// ```
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinesis = LocalStream::start().await?;
    /// assert_eq!(kinesis.endpoint(), format!("http://{}", kinesis.address()));
    /// # kinesis.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The address at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The region in the ARNs. Clients should use the same.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Stops accepting connections, ends subscriptions, answers the requests in progress (for at
    /// most 5 s), and closes the folder.
    ///
    /// Cancel safe: dropping the future ends the server immediately, as dropping the value does.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        let server = self.server.take();
        let drained = self.runtime.spawn(async move {
            let Some(server) = server else { return };
            tokio::select! {
                biased;
                _ = server => {}
                () = sleep(DRAIN) => tracing::warn!("the embedded stream ended with requests \
                    unanswered"),
            }
        });
        if let Some(drained) = drained {
            // This fails only if the runtime has ended, and then the server has ended too.
            drop(drained.await);
        }
        self.service.logs.close();
    }

    ///
    /// The listener is bound before the folder is opened: an address in use is the more frequent
    /// mistake and leaves nothing behind.
    ///
    /// # Errors
    /// Whatever keeps it from starting; nothing runs any more then.
    pub(super) async fn start_with(settings: LocalStreamBuilder) -> Result<Self, StartError> {
        let runtime = ServerRuntime::new().map_err(StartError::Threads)?;
        let (stopping, stopped) = watch::channel(false);
        let region = settings.region.clone();
        let transport = Transport::of(&settings)?;
        let scheme = transport.scheme();
        let http2 = settings.http2.then_some(settings.max_concurrent_streams);
        let started = runtime
            .spawn(open(settings, stopped.clone()))
            .ok_or(StartError::Ended)?;
        let (listener, address, service) = started.await.map_err(|_| StartError::Ended)??;
        let router = router(Arc::clone(&service));
        let server = Server::new(router.clone(), transport, http2, stopped);
        let server = runtime.spawn(server.serve(listener));
        Ok(Self {
            endpoint: format!("{scheme}://{address}"),
            address,
            region,
            service,
            router,
            stopping,
            server,
            runtime,
        })
    }
}

impl Drop for LocalStream {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        self.service.logs.close();
    }
}

impl std::fmt::Debug for LocalStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalStream")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Opens the folder and listens at the address. The store starts tasks if it finds unfinished
/// changes, so it is created here, on the server's runtime.
async fn open(
    settings: LocalStreamBuilder,
    stopping: watch::Receiver<bool>,
) -> Result<(TcpListener, SocketAddr, Arc<Service>), StartError> {
    let address = settings.address;
    let listen = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    // The journal comes first, because it locks the folder against other processes.
    let journal = settings.folder.as_deref().map(open_journal).transpose()?;
    let store = Store::new(store_options(&settings));
    if let (Some(folder), Err(error)) = (&settings.folder, store.check_ready()) {
        return Err(StartError::Streams {
            folder: folder.clone(),
            detail: error.to_string(),
        });
    }
    let logs = match (journal, &settings.folder) {
        (Some(journal), Some(folder)) => {
            restore(&store, journal)
                .await
                .map_err(|source| StartError::Records {
                    folder: folder.clone(),
                    source,
                })?
        }
        _ => Logs::new(None),
    };
    let limits = |on: bool, new: fn() -> Allowance| Limits::new(on.then_some(new));
    let service = Service {
        store,
        logs,
        reads: limits(settings.read_limits, Allowance::reads),
        writes: limits(settings.write_limits, Allowance::writes),
        iterator_lifetime: settings.iterator_lifetime,
        session: settings.session,
        streams: Streams::default(),
        consumers: Consumers::new(settle_ms(&settings)),
        subscriptions: Subscriptions::new(
            settings.resubscribe,
            if settings.read_limits {
                SUBSCRIBE_EVERY
            } else {
                Duration::ZERO
            },
        ),
        pushed_a_second: settings.read_limits.then_some(READ_BYTES_A_SECOND),
        stopping,
    };
    Ok((listener, address, Arc::new(service)))
}

/// Creates the folder if it is missing, and opens the file of the records in it.
///
/// # Errors
/// The folder cannot be created, or its records are in use, foreign or of a later version.
fn open_journal(folder: &Path) -> Result<Journal, StartError> {
    std::fs::create_dir_all(folder).map_err(|source| StartError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    Journal::open(&folder.join("records.sqlite")).map_err(|source: JournalError| {
        StartError::Records {
            folder: folder.to_owned(),
            source,
        }
    })
}

/// The settle time in milliseconds, as the store counts.
fn settle_ms(settings: &LocalStreamBuilder) -> u64 {
    u64::try_from(settings.settle.as_millis()).unwrap_or(u64::MAX)
}

/// The settings of the emulator's store that follow from those of the server.
fn store_options(settings: &LocalStreamBuilder) -> StoreOptions {
    let settle_ms = settle_ms(settings);
    StoreOptions {
        create_stream_ms: settle_ms,
        delete_stream_ms: settle_ms,
        update_stream_ms: settle_ms,
        shard_limit: settings.shard_limit,
        // Every change writes all streams again (without their records, which are elsewhere); after
        // a second, the file of changes is started again.
        durable: settings.folder.as_ref().map(|folder| DurableStateOptions {
            state_dir: folder.clone(),
            snapshot_interval_secs: 1,
            max_retained_bytes: None,
        }),
        aws_account_id: settings.account.clone(),
        aws_region: settings.region.clone(),
        ..StoreOptions::default()
    }
}

/// The router: this crate's answers first, then the emulator's.
fn router(service: Arc<Service>) -> Router {
    let router: Router = ferrokinesis::create_router(service.store.clone());
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(service, front))
}
