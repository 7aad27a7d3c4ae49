//! A fleet of processes on Amazon's DynamoDB Local, and the stream that they read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use kcl_local::stream::LocalStream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::program::{environment, kcl};
use super::scene::until;

static TABLES: AtomicUsize = AtomicUsize::new(0);

/// The stream `orders`, a lease table that nobody has made yet, and a folder for what is written.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) folder: TempDir,
    pub(crate) stream: LocalStream,
    dynamo: String,
    /// The name of the table.
    table: String,
}

/// A worker of the application `app`: the example program `consume`. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    child: Child,
    trace: PathBuf,
}

/// A record, by its shard and its sequence number.
pub(crate) type RecordId = (String, String);

impl Fleet {
    pub(crate) async fn new(shards: u32) -> Self {
        let stream = LocalStream::start().await.unwrap();
        stream.create("orders", shards).await.unwrap();
        let dynamo = std::env::var("KCL_E2E_DYNAMO")
            .expect("KCL_E2E_DYNAMO is the URL of a DynamoDB Local: see tests/e2e/run");
        Self {
            folder: tempfile::tempdir().unwrap(),
            stream,
            dynamo,
            table: Self::new_table(),
        }
    }

    /// The name of a table that nobody has made yet.
    pub(crate) fn new_table() -> String {
        let number = TABLES.fetch_add(1, Ordering::Relaxed);
        format!("kcl-{}-{number}", std::process::id())
    }

    /// The same stream with another lease table.
    pub(crate) fn with_table(mut self, table: String) -> Self {
        self.table = table;
        self
    }

    /// A table of this name as the command line takes it.
    pub(crate) fn place_of(&self, table: &str) -> String {
        format!("dynamo:{table} --dynamo-endpoint {}", self.dynamo)
    }

    /// The application with its table, as the command line takes them.
    pub(crate) fn at(&self) -> String {
        format!("app --table {}", self.place_of(&self.table))
    }

    /// The stream as the command line takes it.
    pub(crate) fn endpoint(&self) -> String {
        format!("--endpoint {}", self.stream.endpoint())
    }

    /// The DynamoDB as the command line takes it.
    pub(crate) fn dynamo_endpoint(&self) -> String {
        format!("--dynamo-endpoint {}", self.dynamo)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn put(&self, records: usize) {
        for key in 0..records {
            let data = format!("order {key}");
            let put = self.stream.put("orders", &key.to_string(), data).await;
            put.unwrap();
        }
    }

    pub(crate) fn start(&self, worker: &str) -> WorkerProcess {
        let trace = self.file(&format!("{worker}.jsonl"));
        let program = Path::new(env!("CARGO_BIN_EXE_kcl")).with_file_name("examples");
        let program = program.join("consume");
        assert!(
            program.exists(),
            "{program:?} is missing: cargo build --example consume"
        );
        let (table, stream) = (self.place_of(&self.table), self.endpoint());
        let arguments = format!(
            "--application app --worker {worker} --failover 4s --stream orders {stream} --lease-table {table}"
        );
        let mut command = Command::new(program);
        command
            .args(arguments.split(' '))
            .arg("--trace")
            .arg(&trace);
        environment(&mut command);
        command.env("RUST_LOG", "error");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        WorkerProcess { child, trace }
    }

    /// Waits until exactly these workers live, hold so many leases each, and no lease is on its way.
    pub(crate) async fn is_shared(&self, shares: &[(&str, u64)]) {
        let all_held: u64 = shares.iter().map(|(_, leases)| leases).sum();
        until("sharing the leases", async || {
            let seen = kcl(&format!("status {} --json", self.at())).await;
            // Before the first worker has made the table, it is an error.
            let Ok(document) = serde_json::from_str::<Value>(&seen.out) else {
                return false;
            };
            let workers = document["workers"].as_array().unwrap();
            let is_there = |(id, leases): &(&str, u64)| {
                workers.iter().any(|worker| {
                    worker["worker"] == *id
                        && worker["life"] == "alive"
                        && worker["leases"] == *leases
                })
            };
            workers.len() == shares.len()
                && shares.iter().all(is_there)
                && document["leases_by_state"] == json!({ "held": all_held })
        })
        .await;
    }

    /// The leases, as `kcl leases` says them.
    pub(crate) async fn leases(&self) -> Vec<Value> {
        let document = kcl(&format!("leases {} --json", self.at())).await.json(0);
        document["leases"].as_array().unwrap().clone()
    }

    /// The shard of a lease that this worker holds.
    pub(crate) async fn lease_of(&self, worker: &str) -> String {
        let leases = self.leases().await;
        let lease = leases.iter().find(|lease| lease["holder"] == worker);
        lease.unwrap()["shard"].as_str().unwrap().to_owned()
    }

    /// Waits until what the checkpoints leave is nothing.
    pub(crate) async fn is_stored(&self) {
        until("storing everything", async || {
            let lag = format!("lag {} {} --json", self.at(), self.endpoint());
            kcl(&lag).await.json(0)["max_behind_seconds"] == 0.0
        })
        .await;
    }
}

impl WorkerProcess {
    /// The records that it was given so far, in order.
    pub(crate) fn records(&self) -> Vec<RecordId> {
        let text = std::fs::read_to_string(&self.trace).unwrap_or_default();
        // The last line may be on its way.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let records = lines.filter(|line: &Value| line["event"] == "record");
        let field = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        records
            .map(|line| (field(&line, "shard"), field(&line, "sequence")))
            .collect()
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends it a signal, by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Stops it in good order.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM").await;
        assert!(self.child.wait().await.unwrap().success());
    }
}

/// All records that these workers were given, and the different ones among them.
pub(crate) fn given(workers: &[&WorkerProcess]) -> (usize, BTreeSet<RecordId>) {
    let all: Vec<RecordId> = workers.iter().flat_map(|worker| worker.records()).collect();
    (all.len(), all.into_iter().collect())
}
