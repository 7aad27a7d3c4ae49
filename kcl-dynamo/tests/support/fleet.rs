use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{CoordinationOn, Event, Liveness, RunError, ShutdownReport};
use kcl_core::{Failure, RecordProcessor, Worker};
use kcl_dynamo::{Coexistence, DynamoLeaseTable, OpenOptions};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Dynamo, TimerClock};

/// The KCL's default.
pub const FAILOVER: Duration = Duration::from_secs(10);

/// Workers of one application on one stream and one table, on the paused clock of the test.
pub struct Fleet {
    pub dynamo: Dynamo,
    pub stream: MemoryStream,
    pub clock: TimerClock,
    pub seen: Arc<Mutex<BTreeSet<String>>>,
    tables: Mutex<Vec<DynamoLeaseTable>>,
}

/// Counts what it is given.
struct Counter(Arc<Mutex<BTreeSet<String>>>);

impl RecordProcessor for Counter {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let mut seen = self.0.lock().unwrap();
        seen.extend(
            input
                .records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.data).into_owned()),
        );
        Ok(())
    }
}

/// A worker that runs.
pub struct Running {
    pub worker: Worker,
    pub events: Arc<Mutex<Vec<Event>>>,
    task: JoinHandle<Result<ShutdownReport, RunError>>,
    _listening: JoinHandle<()>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "tasks and sleeps on a paused clock"
)]
impl Fleet {
    pub fn new(shards: u32) -> Self {
        let clock = TimerClock::new();
        let stream = MemoryStream::with_clock("orders", shards, Arc::new(clock));
        Self {
            dynamo: Dynamo::new(),
            stream,
            clock,
            seen: Arc::default(),
            tables: Mutex::default(),
        }
    }

    /// Makes the table, with leases as a KCL 2.x makes them for the shards of the stream, and
    /// `more` in each.
    pub fn old_leases(&self, more: &Value) {
        let body = json!({
            "TableName": "application", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "leaseKey", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "leaseKey", "AttributeType": "S" }],
        });
        self.dynamo.ask("CreateTable", body);
        for shard in self.stream.shards() {
            let mut lease = json!({
                "leaseKey": { "S": shard.id.as_str() }, "leaseCounter": { "N": "7" },
                "ownerSwitchesSinceCheckpoint": { "N": "0" }, "checkpoint": { "S": "TRIM_HORIZON" },
                "checkpointSubSequenceNumber": { "N": "0" },
                "startingHashKey": { "S": shard.hash_range.start().to_string() },
                "endingHashKey": { "S": shard.hash_range.end().to_string() },
            });
            lease
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            self.put(&lease);
        }
    }

    /// Writes a row as it is.
    pub fn put(&self, row: &Value) {
        self.dynamo.ask(
            "PutItem",
            json!({ "TableName": "application", "Item": row }),
        );
    }

    /// All rows of the table, of every kind.
    pub fn rows(&self) -> Vec<Value> {
        let rows = self
            .dynamo
            .ask("Scan", json!({ "TableName": "application" }));
        rows["Items"].as_array().unwrap().clone()
    }

    /// The leases in the table.
    pub fn leases(&self) -> Vec<Value> {
        self.rows()
            .into_iter()
            .filter(|row| row["checkpoint"].is_object())
            .collect()
    }

    /// Starts a worker with a client of its own.
    pub fn start(&self, id: &str) -> Running {
        self.start_with(id, Liveness::default())
    }

    /// The same with another `liveness`.
    pub fn start_with(&self, id: &str, liveness: Liveness) -> Running {
        self.run(id, FAILOVER, liveness)
    }

    /// The same with another failover time.
    pub fn start_with_failover(&self, id: &str, failover: Duration) -> Running {
        self.run(id, failover, Liveness::default())
    }

    fn run(&self, id: &str, failover: Duration, liveness: Liveness) -> Running {
        let options = OpenOptions::new().clock(Arc::new(self.clock));
        let table = options
            .open_with_client(&self.dynamo.client(), "application")
            .unwrap();
        self.tables.lock().unwrap().push(table.clone());
        let seen = Arc::clone(&self.seen);
        let worker = Worker::builder()
            .stream("orders")
            .application("application")
            .worker_id(id)
            .source(self.stream.clone())
            .lease_table(table)
            .clock(self.clock)
            .coordination_on(CoordinationOn::CallersRuntime)
            .failover(failover)
            .liveness(liveness)
            .processor(move |_: &ShardRef| Counter(Arc::clone(&seen)))
            .build()
            .unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (mut heard, all) = (worker.events(), Arc::clone(&events));
        let listening = tokio::spawn(async move {
            while let Some(event) = heard.next().await {
                all.lock().unwrap().push(event);
            }
        });
        let running = worker.clone();
        let task = tokio::spawn(async move { running.run().await });
        Running {
            worker,
            events,
            task,
            _listening: listening,
        }
    }

    /// Lets time pass.
    pub async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Waits until it is so, in steps of 20 ms, or of 100 ms where it may take minutes; how long it
    /// took.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut so: impl FnMut() -> bool,
    ) -> Duration {
        let began = tokio::time::Instant::now();
        let step = Duration::from_millis(if limit < Duration::from_secs(60) {
            20
        } else {
            100
        });
        while !so() {
            assert!(began.elapsed() < limit, "still waiting for {what}");
            tokio::time::sleep(step).await;
        }
        began.elapsed()
    }

    /// Waits until these workers hold all leases; how long it took.
    pub async fn until_held_by(&self, what: &str, workers: &[Running]) -> Duration {
        let ids: Vec<&str> = workers
            .iter()
            .map(|running| running.worker.id().as_str())
            .collect();
        self.until(what, Duration::from_secs(30), || {
            let owners = self.owners();
            owners.iter().all(|owner| ids.contains(&owner.as_str()))
        })
        .await
    }

    /// Who holds which lease, as the table has it.
    pub fn owners(&self) -> Vec<String> {
        // Before the first set-up there is no table.
        let rows = self
            .dynamo
            .try_ask("Scan", serde_json::json!({ "TableName": "application" }))
            .unwrap_or_default();
        let leases = rows["Items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| row["checkpoint"].is_object());
        leases
            .map(|row| {
                row["leaseOwner"]["S"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    }

    /// How the workers stand to others, in the order in which they were started.
    pub fn coexistences(&self) -> Vec<Coexistence> {
        self.tables
            .lock()
            .unwrap()
            .iter()
            .map(DynamoLeaseTable::coexistence)
            .collect()
    }

    /// How many leases this worker holds.
    pub fn held_by(&self, id: &str) -> usize {
        self.owners().iter().filter(|owner| *owner == id).count()
    }
}

impl Running {
    /// Ends it at once, as a kill does: nothing is released.
    pub fn kill(self) {
        self.task.abort();
    }

    pub async fn stop(self) -> ShutdownReport {
        let (_, report) = tokio::join!(self.worker.shutdown(Duration::from_secs(20)), self.task);
        report.unwrap().unwrap()
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events
            .lock()
            .unwrap()
            .iter()
            .filter(|event| wanted(event))
            .count()
    }
}
