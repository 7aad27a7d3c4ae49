//! Tables to look at: SQLite files made by real workers, and a DynamoDB behind a server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use kcl_core::lease::{Consistency, LeaseTable};
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_core::processor::{ProcessRecordsInput, RecordProcessorFactory, ShardRef};
use kcl_core::stream::Stream;
use kcl_core::worker::ShutdownReport;
use kcl_core::{Clock as _, Failure, RecordProcessor, SystemClock, Worker};
use kcl_dynamo::OpenOptions;
use kcl_local::SqliteLeaseTable;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the tests of kcl-dynamo"
)]
#[path = "../../../kcl-dynamo/tests/support/dynamo.rs"]
mod dynamo;

pub(crate) use dynamo::Dynamo;

/// An SQLite table in a folder of its own.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) table: SqliteLeaseTable,
}

/// A worker that runs; dropped, it dies.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) worker: Worker,
    run: JoinSet<ShutdownReport>,
}

/// How long a test waits for anything.
const LIMIT: Duration = Duration::from_secs(60);

struct Nothing;

impl RecordProcessor for Nothing {
    async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
        Ok(())
    }
}

impl Scene {
    /// The table of the application `app`.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.sqlite");
        let table = SqliteLeaseTable::open(path, "app").await.unwrap();
        table.setup().await.unwrap();
        Self { folder, table }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("leases.sqlite")
    }

    /// As `--lease-table` takes it.
    pub(crate) fn place(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    /// Starts a worker, and waits until it holds so many leases.
    pub(crate) async fn start(
        &self,
        id: &str,
        stream: &(impl Stream + Clone),
        leases: usize,
    ) -> Running {
        let running = Running::start(id, stream, Arc::new(self.table.clone()));
        running.holds(leases).await;
        running
    }

    /// Changes the file past the lease table.
    pub(crate) fn sql(&self, statement: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.busy_timeout(LIMIT).unwrap();
        connection.execute_batch(statement).unwrap();
    }

    pub(crate) async fn leases(&self) -> Vec<Lease> {
        all(&self.table).await
    }

    pub(crate) async fn create(&self, leases: &[Lease]) {
        for lease in leases {
            self.table.create(lease).await.unwrap();
        }
    }
}

/// All leases of a table, by key.
pub(crate) async fn all(table: &dyn LeaseTable) -> Vec<Lease> {
    let rows = kcl_core::admin::read_table(table, Consistency::Strong)
        .await
        .unwrap();
    let leases: BTreeMap<LeaseKey, Lease> = rows
        .leases
        .into_iter()
        .map(|row| (row.key.clone(), row))
        .collect();
    leases.into_values().collect()
}

/// A lease that nobody holds.
pub(crate) fn lease(shard: &str, checkpoint: Checkpoint) -> Lease {
    Lease::new(LeaseKey::single(shard), checkpoint)
}

/// Waits until that is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = SystemClock.now() + LIMIT;
    while !is_so().await {
        assert!(SystemClock.now() < end, "{what} took too long");
        let soon = SystemClock.now() + Duration::from_millis(20);
        SystemClock.sleep_until(soon).await;
    }
}

impl Running {
    pub(crate) fn start(
        id: &str,
        stream: &(impl Stream + Clone),
        table: Arc<dyn LeaseTable>,
    ) -> Self {
        Self::start_with(id, stream, table, |_: &ShardRef| Nothing)
    }

    /// The same with these processors.
    pub(crate) fn start_with(
        id: &str,
        stream: &(impl Stream + Clone),
        table: Arc<dyn LeaseTable>,
        processors: impl RecordProcessorFactory,
    ) -> Self {
        let worker = Worker::builder()
            .stream("orders")
            .source(stream.clone())
            .application("app")
            .lease_table(table)
            .worker_id(id)
            .failover(Duration::from_secs(4))
            .processor(processors)
            .build()
            .unwrap();
        let mut run = JoinSet::new();
        let running = worker.clone();
        run.spawn(async move { running.run().await.unwrap() });
        Self { worker, run }
    }

    /// Waits until it holds so many leases.
    pub(crate) async fn holds(&self, leases: usize) {
        until("holding leases", async || {
            self.worker.status().shards.len() == leases
        })
        .await;
    }

    /// Ends it as a crash does: nothing is released.
    pub(crate) async fn die(mut self) {
        self.run.shutdown().await;
    }
}

/// A DynamoDB that listens, with the table `app`.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) dynamo: Dynamo,
    endpoint: String,
    asked: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dynamo = Dynamo::new();
        let answering = dynamo.clone();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let answer = move |headers: HeaderMap, body: Bytes| {
            let dynamo = answering.clone();
            counted.fetch_add(1, Ordering::SeqCst);
            async move { answer(&dynamo, &headers, &body) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        let routes = Router::new().route("/", post(answer));
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            dynamo,
            endpoint,
            asked,
            _server: server,
        }
    }

    /// How many calls it has answered over the network.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// As the command line takes it.
    pub(crate) fn place(&self) -> String {
        format!("dynamo --dynamo-endpoint {}", self.endpoint)
    }

    /// The lease table, ready.
    pub(crate) async fn table(&self) -> kcl_dynamo::DynamoLeaseTable {
        let table = OpenOptions::new()
            .open_with_client(&self.dynamo.client(), "app")
            .unwrap();
        table.setup().await.unwrap();
        table
    }

    /// Puts the rows that a Java KCL has stored into an empty table.
    pub(crate) async fn put_golden(&self, text: &str) {
        drop(self.table().await);
        let golden: Value = serde_json::from_str(text).unwrap();
        for item in golden["items"].as_array().unwrap() {
            let body = serde_json::json!({ "TableName": "app", "Item": item });
            self.dynamo.ask("PutItem", body);
        }
    }
}

fn answer(dynamo: &Dynamo, headers: &HeaderMap, body: &[u8]) -> (StatusCode, Json<Value>) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap();
    match dynamo.try_ask(operation, serde_json::from_slice(body).unwrap()) {
        Ok(answer) => (StatusCode::OK, Json(answer)),
        Err(error) => (StatusCode::BAD_REQUEST, Json(error)),
    }
}
