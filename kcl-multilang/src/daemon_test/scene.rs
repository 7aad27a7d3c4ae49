//! A daemon on a stream and a lease table in this process.

use std::path::PathBuf;
use std::time::Duration;

use crate::ChildProcessors;
use crate::properties::DaemonConfig;
use kcl_core::lease::LeaseTable;
use kcl_core::model::{Lease, LeaseKey, ShardId};
use kcl_core::worker::{RunError, ShutdownReport};
use kcl_core::{MemoryLeaseTable, MemoryStream, Worker};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How long a test waits for anything.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) table: MemoryLeaseTable,
    pub(crate) children: ChildProcessors,
    worker: Worker,
    run: JoinHandle<Result<ShutdownReport, RunError>>,
}

impl Scene {
    /// A daemon whose children behave as this library, with these lines in its properties file.
    pub(crate) fn start(library: &str, stream: &MemoryStream, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let child = concat!(env!("CARGO_MANIFEST_DIR"), "/src/daemon_test/child.py");
        let text = format!(
            "executableName = python3 {child} {library} {}\nstreamName = orders\napplicationName = app\n\
             AwsCredentialsProvider = DefaultCredentialsProvider\ninitialPositionInStream = TRIM_HORIZON\n\
             idleTimeBetweenReadsInMillis = 20\ntaskBackoffTimeMillis = 10\n{lines}\n",
            log.display()
        );
        let config = DaemonConfig::read(text.as_bytes()).unwrap();
        let children = ChildProcessors::new(&config, Vec::new()).unwrap();
        let table = MemoryLeaseTable::new();
        let worker = config
            .apply(Worker::builder())
            .source(stream.clone())
            .lease_table(table.clone())
            .calls_per_second(1000)
            .processor(children.clone())
            .build()
            .unwrap();
        let running = worker.clone();
        let run = tokio::spawn(async move { running.run().await });
        Self {
            folder,
            table,
            children,
            worker,
            run,
        }
    }

    /// A name for something that is to go wrong once.
    pub(crate) fn once(&self, what: &str) -> String {
        format!("{what}:{}", self.folder.path().join(what).display())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What has happened in the children, in order.
    pub(crate) fn happened(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        // The last line may not be there as a whole.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What has happened of this kind.
    pub(crate) fn all(&self, what: &str) -> Vec<Value> {
        let mut happened = self.happened();
        happened.retain(|line| line["what"] == what);
        happened
    }

    /// The payloads that the children were given of a shard.
    pub(crate) fn records(&self, shard: &ShardId) -> Vec<String> {
        self.all("records")
            .iter()
            .filter(|line| line["shard"] == shard.as_str())
            .flat_map(|line| line["records"].as_array().unwrap().clone())
            .map(|record| record.as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn lease(&self, shard: &ShardId) -> Option<Lease> {
        let key = LeaseKey::single(shard.clone());
        self.table.get(&key).await.unwrap()
    }

    /// Waits until the lease of the shard is so.
    pub(crate) async fn wait_for(&self, shard: &ShardId, wanted: impl Fn(&Lease) -> bool) {
        until("a lease", async || {
            self.lease(shard).await.is_some_and(|lease| wanted(&lease))
        })
        .await;
    }

    pub(crate) async fn stop(&mut self) -> ShutdownReport {
        let report = self.worker.shutdown(LIMIT).await;
        (&mut self.run).await.unwrap().unwrap();
        self.children.close();
        report
    }
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until(what: &str, mut wanted: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, asking)
        .await
        .unwrap_or_else(|_| panic!("still waiting for {what}"));
}
