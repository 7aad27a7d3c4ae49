//! What the tests of a whole worker share: a worker that is put together in a line, and a processor that writes down what it sees.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::disallowed_methods, reason = "a test waits in real time and starts its worker as a task")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::lease::BoxError;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Position, ShardId};
use kcl_core::processor::{
    InitializeInput, LeaseLostInput, ProcessRecordsInput, ShardEndedInput, ShardRef, ShutdownRequestedInput,
};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Builder, RunError, ShutdownReport};
use kcl_core::{Failure, InitialPosition, RecordProcessor, Worker};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One thing that a processor was called for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    Initialize { attempt: u32, checkpoint: String, pending: Option<String>, fence: u64 },
    Process { attempt: u32, records: Vec<(Position, String)> },
    ShardEnded { attempt: u32 },
    ShutdownRequested,
    LeaseLost { reason: String },
}

/// Everything that the processors of a test were called for, in order.
#[derive(Clone, Debug)]
pub(crate) struct Seen(Arc<watch::Sender<Vec<(ShardId, Call)>>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Seen {
    pub(crate) fn add(&self, shard: &ShardRef, call: Call) {
        self.0.send_modify(|calls| calls.push((shard.shard.clone(), call)));
    }

    pub(crate) fn calls(&self) -> Vec<(ShardId, Call)> {
        self.0.borrow().clone()
    }

    /// The calls of one shard.
    pub(crate) fn calls_of(&self, shard: &ShardId) -> Vec<Call> {
        self.calls().into_iter().filter(|(of, _)| of == shard).map(|(_, call)| call).collect()
    }

    /// Waits until the calls are as wanted; fails after half a minute with what there is.
    pub(crate) async fn wait_for(&self, what: &str, wanted: impl Fn(&[(ShardId, Call)]) -> bool) {
        let mut calls = self.0.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(30), calls.wait_for(|calls| wanted(calls))).await;
        assert!(waited.is_ok(), "still waiting for {what}; seen: {:#?}", self.calls());
    }

    pub(crate) async fn wait_for_records(&self, count: usize) {
        self.wait_for(&format!("{count} records"), |calls| all_records(calls).len() >= count).await;
    }

    pub(crate) async fn wait_for_initialized(&self, count: usize) {
        let initialized =
            |calls: &[(ShardId, Call)]| calls.iter().filter(|(_, call)| matches!(call, Call::Initialize { .. })).count() >= count;
        self.wait_for(&format!("{count} calls of initialize"), initialized).await;
    }

    /// How many records were handed out, every attempt counted.
    pub(crate) fn records(&self) -> usize {
        all_records(&self.calls()).len()
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        all_records(&self.calls()).into_iter().map(|(_, _, payload)| payload).collect()
    }

    pub(crate) fn duplicates(&self) -> usize {
        let records = all_records(&self.calls());
        let distinct: std::collections::BTreeSet<_> = records.iter().map(|(shard, at, _)| (shard, at)).collect();
        records.len() - distinct.len()
    }

    pub(crate) fn last_of(&self, shard: &ShardId) -> Option<Position> {
        all_records(&self.calls()).into_iter().filter(|(of, ..)| of == shard).map(|(_, at, _)| at).max()
    }

    pub(crate) fn assert_in_order(&self) {
        let mut last = BTreeMap::new();
        for (shard, at, _) in all_records(&self.calls()) {
            if let Some(before) = last.insert(shard.clone(), at.clone()) {
                assert!(before < at, "{shard}: {at} after {before}");
            }
        }
    }

    /// No record of a child before the last of its parents.
    pub(crate) fn assert_parents_first(&self, stream: &MemoryStream) {
        let records = all_records(&self.calls());
        for shard in stream.shards() {
            let first = records.iter().position(|(of, ..)| *of == shard.id);
            for parent in &shard.parents {
                let last = records.iter().rposition(|(of, ..)| of == parent);
                if let (Some(first), Some(last)) = (first, last) {
                    assert!(last < first, "{} began before {parent} was done", shard.id);
                }
            }
        }
    }
}

fn all_records(calls: &[(ShardId, Call)]) -> Vec<(ShardId, Position, String)> {
    let mut all = Vec::new();
    for (shard, call) in calls {
        if let Call::Process { records, .. } = call {
            all.extend(records.iter().map(|(at, payload)| (shard.clone(), at.clone(), payload.clone())));
        }
    }
    all
}

type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
type OnProcess = dyn Fn(ProcessRecordsInput) -> Boxed<Result<(), Failure>> + Send + Sync;
type OnCall<I> = dyn Fn(I) -> Boxed<Result<(), BoxError>> + Send + Sync;

/// What the processors of a test do beside writing down what they see. By default nothing: every call succeeds.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) process: Option<Arc<OnProcess>>,
    pub(crate) initialize: Option<Arc<OnCall<InitializeInput>>>,
    pub(crate) shard_ended: Option<Arc<OnCall<ShardEndedInput>>>,
    pub(crate) shutdown_requested: Option<Arc<OnCall<ShutdownRequestedInput>>>,
    pub(crate) lease_lost: Option<Arc<OnCall<LeaseLostInput>>>,
}

impl Script {
    /// Processors that do this with each batch.
    pub(crate) fn process<F>(handler: impl Fn(ProcessRecordsInput) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let process: Arc<OnProcess> = Arc::new(move |input| Box::pin(handler(input)));
        Self { process: Some(process), ..Self::default() }
    }
}

/// A processor that writes down what it sees.
pub(crate) struct Scribe {
    pub(crate) seen: Seen,
    pub(crate) script: Script,
}

impl RecordProcessor for Scribe {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        let pending = input.pending.as_ref().map(|pending| format!("{} {:?}", pending.at, pending.state));
        let call =
            Call::Initialize { attempt: input.attempt, checkpoint: input.checkpoint.to_string(), pending, fence: input.fence.0 };
        self.seen.add(&input.shard, call);
        match &self.script.initialize {
            Some(script) => script(input).await,
            None => Ok(()),
        }
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        let records = input.records.iter().map(|record| (record.position.clone(), text(&record.data))).collect();
        self.seen.add(&input.shard, Call::Process { attempt: input.attempt, records });
        match &self.script.process {
            Some(script) => script(input).await,
            None => Ok(()),
        }
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.seen.add(&input.shard, Call::LeaseLost { reason: format!("{:?}", input.reason) });
        if let Some(script) = &self.script.lease_lost {
            let _ = script(input).await;
        }
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.seen.add(&input.shard, Call::ShardEnded { attempt: input.attempt });
        match &self.script.shard_ended {
            Some(script) => script(input).await,
            None => Ok(()),
        }
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        self.seen.add(&input.shard, Call::ShutdownRequested);
        if let Some(script) = &self.script.shutdown_requested {
            let _ = script(input).await;
        }
    }
}

/// Puts a worker together: quick pauses, a failover time of a second.
pub(crate) struct Fleet {
    builder: Builder,
}

impl Fleet {
    pub(crate) fn new(stream: &MemoryStream, table: &MemoryLeaseTable) -> Self {
        let builder = Worker::builder()
            .stream("orders")
            .application("tests")
            .source(stream.clone())
            .lease_table(table.clone())
            .calls_per_second(1000)
            .idle_ceiling(Duration::from_millis(20))
            .retry_pause(Duration::from_millis(5), Duration::from_millis(50))
            .failover(Duration::from_secs(1));
        Self { builder }
    }

    pub(crate) fn initial_position(self, position: InitialPosition) -> Self {
        self.with(|builder| builder.initial_position(position))
    }

    pub(crate) fn with(self, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self { builder: change(self.builder) }
    }

    /// Starts the worker as a task.
    pub(crate) fn start(self, script: Script) -> Run {
        let seen = Seen::default();
        let scribes = seen.clone();
        let worker =
            self.builder.processor(move |_: &ShardRef| Scribe { seen: scribes.clone(), script: script.clone() }).build().unwrap();
        let running = worker.clone();
        let task = tokio::spawn(async move { running.run().await });
        Run { worker, seen, task }
    }
}

/// A worker that runs.
pub(crate) struct Run {
    pub(crate) worker: Worker,
    pub(crate) seen: Seen,
    pub(crate) task: JoinHandle<Result<ShutdownReport, RunError>>,
}

impl Run {
    /// A graceful stop.
    pub(crate) async fn stop(self) -> Result<ShutdownReport, RunError> {
        self.worker.shutdown(Duration::from_secs(10)).await;
        self.task.await.unwrap()
    }

    /// Drops the root where it stands.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Waits for the worker to end by itself.
    pub(crate) async fn ended(self) -> Result<ShutdownReport, RunError> {
        tokio::time::timeout(Duration::from_secs(30), self.task).await.expect("the worker should have ended").unwrap()
    }
}

/// Waits until the wall clock shows another millisecond: records are told apart by their arrival only so far.
pub(crate) async fn next_millisecond() {
    tokio::time::sleep(Duration::from_millis(3)).await;
}

/// A lock that ignores poison, for scripts.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
