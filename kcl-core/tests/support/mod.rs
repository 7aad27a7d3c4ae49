//! What the tests of a whole worker share: a worker that is put together in a line, and a processor
//! that writes down what it sees.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test waits in real time and starts its worker as a task"
)]

mod alone;
mod basket;
mod call_log;
mod clock;
mod counters;
mod cut;
mod desk;
mod fan_out;
mod gate;
mod letter_box;
mod logged;
mod no_worker_rows;
mod odd;
mod seen;
mod shared_basket;
mod stream;
mod table;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::lease::LeaseTable;
use kcl_core::model::{Checkpoint, Lease, LeaseKey, SequenceNumber, ShardId};
use kcl_core::processor::{
    InitializeInput, LeaseLostInput, ProcessRecordsInput, ShardEndedInput, ShardRef,
    ShutdownRequestedInput,
};
use kcl_core::stream::Stream;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Builder, Event, RunError, ShutdownReport, StreamConfig};
use kcl_core::{Failure, InitialPosition, RecordProcessor, RecordProcessorFactory, Worker};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use alone::alone;
pub(crate) use basket::{Basket, Flushed};
pub(crate) use clock::TokioClock;
pub(crate) use counters::Counters;
pub(crate) use cut::CutStream;
pub(crate) use desk::Desk;
pub(crate) use fan_out::{Distant, Pushing};
pub(crate) use gate::Gate;
pub(crate) use letter_box::{LetterBox, ToldLetter};
pub(crate) use logged::{Logged, loud};
pub(crate) use no_worker_rows::NoWorkerRows;
pub(crate) use odd::Odd;
pub(crate) use seen::{Call, Seen};
pub(crate) use shared_basket::{SharedBasket, SharedCall};
pub(crate) use stream::HookedStream;
pub(crate) use table::{Fault, UnrulyTable, Written};

pub(crate) type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type OnProcess = dyn Fn(ProcessRecordsInput) -> Boxed<Result<(), Failure>> + Send + Sync;
pub(crate) type OnCall<I> = dyn Fn(I) -> Boxed<Result<(), BoxError>> + Send + Sync;

/// What the processors of a test do beside writing down what they see. By default nothing: every
/// call succeeds.
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
    pub(crate) fn process<F>(
        handler: impl Fn(ProcessRecordsInput) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let process: Arc<OnProcess> = Arc::new(move |input| Box::pin(handler(input)));
        Self {
            process: Some(process),
            ..Self::default()
        }
    }
}

/// A processor that writes down what it sees.
pub(crate) struct Scribe {
    pub(crate) seen: Seen,
    pub(crate) script: Script,
}

impl RecordProcessor for Scribe {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        let pending = input
            .pending
            .as_ref()
            .map(|pending| format!("{} {:?}", pending.at, pending.state));
        let call = Call::Initialize {
            attempt: input.attempt,
            checkpoint: input.checkpoint.to_string(),
            pending,
            fence: input.fence.0,
        };
        self.seen.add(&input.shard, call);
        match &self.script.initialize {
            Some(script) => script(input).await,
            None => Ok(()),
        }
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        let records = input
            .records
            .iter()
            .map(|record| (record.position.clone(), text(&record.data)))
            .collect();
        self.seen.add(
            &input.shard,
            Call::Process {
                attempt: input.attempt,
                records,
            },
        );
        match &self.script.process {
            Some(script) => script(input).await,
            None => Ok(()),
        }
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.seen.add(
            &input.shard,
            Call::LeaseLost {
                reason: format!("{:?}", input.reason),
            },
        );
        if let Some(script) = &self.script.lease_lost {
            let _ = script(input).await;
        }
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.seen.add(
            &input.shard,
            Call::ShardEnded {
                attempt: input.attempt,
            },
        );
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

/// Puts a worker together: quick pauses, and a failover time of 3 s, so that a busy machine costs
/// no lease.
pub(crate) struct Fleet {
    builder: Builder,
}

impl Fleet {
    pub(crate) fn new(stream: &(impl Stream + Clone), table: &(impl LeaseTable + Clone)) -> Self {
        Self {
            builder: quick(
                Worker::builder()
                    .stream("orders")
                    .source(stream.clone())
                    .lease_table(table.clone()),
            ),
        }
    }

    /// The same with a failover time of a second, for tests of what follows from it.
    pub(crate) fn with_short_failover(
        stream: &(impl Stream + Clone),
        table: &(impl LeaseTable + Clone),
    ) -> Self {
        Self::new(stream, table).with(|builder| builder.failover(Duration::from_secs(1)))
    }

    /// A worker of several streams.
    pub(crate) fn of_streams(
        table: &(impl LeaseTable + Clone),
        streams: Vec<StreamConfig>,
    ) -> Self {
        Self {
            builder: quick(
                Worker::builder()
                    .lease_table(table.clone())
                    .streams(streams),
            ),
        }
    }

    pub(crate) fn initial_position(self, position: InitialPosition) -> Self {
        self.with(|builder| builder.initial_position(position))
    }

    pub(crate) fn with(self, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self {
            builder: change(self.builder),
        }
    }

    /// Starts the worker as a task, with these processors. Nothing of them is seen.
    pub(crate) fn process(self, processors: impl RecordProcessorFactory) -> Run {
        self.launch(processors, Seen::default(), |worker| async move {
            worker.run().await
        })
    }

    /// Starts the worker as a task.
    pub(crate) fn start(self, script: Script) -> Run {
        self.start_with(script, Seen::default())
    }

    /// The same, with what was seen so far.
    pub(crate) fn start_with(self, script: Script, seen: Seen) -> Run {
        self.work(script, seen, |worker| async move { worker.run().await })
    }

    /// The same by `run_until`, with a signal that is told by what is seen.
    pub(crate) fn run_until<S>(
        self,
        script: Script,
        signal: impl FnOnce(Seen) -> S,
        deadline: Duration,
    ) -> Run
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let seen = Seen::default();
        let signal = signal(seen.clone());
        self.work(script, seen, move |worker| async move {
            worker.run_until(signal, deadline).await
        })
    }

    fn work<W>(self, script: Script, seen: Seen, work: impl FnOnce(Worker) -> W) -> Run
    where
        W: Future<Output = Result<ShutdownReport, RunError>> + Send + 'static,
    {
        let scribes = seen.clone();
        self.launch(
            move |_: &ShardRef| Scribe {
                seen: scribes.clone(),
                script: script.clone(),
            },
            seen,
            work,
        )
    }

    fn launch<W>(
        self,
        processors: impl RecordProcessorFactory,
        seen: Seen,
        work: impl FnOnce(Worker) -> W,
    ) -> Run
    where
        W: Future<Output = Result<ShutdownReport, RunError>> + Send + 'static,
    {
        let worker = self.builder.processor(processors).build().unwrap();
        let heard = Heard::of(&worker);
        let task = tokio::spawn(work(worker.clone()));
        Run {
            worker,
            seen,
            heard,
            task,
        }
    }
}

fn quick(builder: Builder) -> Builder {
    builder
        .application("tests")
        .calls_per_second(1000)
        .idle_ceiling(Duration::from_millis(20))
        .retry_pause(Duration::from_millis(5), Duration::from_millis(50))
        .checkpoint_every(Duration::from_millis(50))
        .failover(Duration::from_secs(3))
}

/// Every event of a worker, in order.
#[derive(Clone, Debug)]
pub(crate) struct Heard(Arc<watch::Sender<Vec<Event>>>);

impl Heard {
    pub(crate) fn of(worker: &Worker) -> Self {
        let heard = Self(Arc::new(watch::Sender::new(Vec::new())));
        let (mut events, all) = (worker.events(), Arc::clone(&heard.0));
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                all.send_modify(|heard| heard.push(event));
            }
        });
        heard
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| wanted(event)).count()
    }

    /// Waits for an event that is as wanted; fails after two minutes with what there is.
    pub(crate) async fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool) {
        let mut heard = self.0.subscribe();
        let waited = tokio::time::timeout(
            PATIENCE,
            heard.wait_for(|events| events.iter().any(&wanted)),
        )
        .await;
        assert!(
            waited.is_ok(),
            "still waiting for {what}; heard: {:#?}",
            self.all()
        );
    }
}

/// How long a test waits for a state before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until a future is done; fails after two minutes.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("still waiting for {what}"))
}

/// Asks again and again until the answer is as wanted; fails after two minutes.
pub(crate) async fn until(what: &str, mut wanted: impl FnMut() -> bool) {
    let asking = async {
        while !wanted() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    soon(what, asking).await;
}

/// The row of a shard.
pub(crate) async fn lease_of(table: &impl LeaseTable, shard: &ShardId) -> Lease {
    table
        .get(&LeaseKey::single(shard.clone()))
        .await
        .unwrap()
        .unwrap()
}

/// Waits until the row of a shard is as wanted; fails after two minutes with the row as it is.
pub(crate) async fn wait_for_lease(
    table: &impl LeaseTable,
    shard: &ShardId,
    wanted: impl Fn(&Lease) -> bool,
) -> Lease {
    let asking = async {
        loop {
            if let Some(lease) = table
                .get(&LeaseKey::single(shard.clone()))
                .await
                .unwrap()
                .filter(&wanted)
            {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(lease) => lease,
        Err(_) => panic!(
            "still waiting for the lease of {shard}: {:#?}",
            lease_of(table, shard).await
        ),
    }
}

/// The checkpoint at this record.
pub(crate) fn at(sequence: &SequenceNumber) -> Checkpoint {
    Checkpoint::At(sequence.clone().into())
}

/// A worker that runs.
pub(crate) struct Run {
    pub(crate) worker: Worker,
    pub(crate) seen: Seen,
    pub(crate) heard: Heard,
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
        soon("the end of the worker", self.task).await.unwrap()
    }
}

/// Waits until the wall clock shows another millisecond: records are told apart by their arrival
/// only so far.
pub(crate) async fn next_millisecond() {
    tokio::time::sleep(Duration::from_millis(3)).await;
}

/// A lock that ignores poison, for scripts.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A stream of one shard that holds these records: `0`, `1`, and so on, each with its number as
/// key.
pub(crate) fn one_shard(records: usize) -> (MemoryStream, ShardId, Vec<SequenceNumber>) {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let sequences = stream
        .put_many_to(
            &shard,
            (0..records).map(|n| (format!("{n}"), format!("{n}"))),
        )
        .unwrap();
    (stream, shard, sequences)
}

/// The payloads of these numbers.
pub(crate) fn payloads(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

/// Says for each call, counted from 1, whether it is one of these.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nth(Arc<std::sync::atomic::AtomicU32>);

impl Nth {
    /// The number of this call.
    pub(crate) fn next(&self) -> u32 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1
    }

    /// How many calls there were.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// A call of a processor other than `process_records`, as a script.
pub(crate) fn script<I: 'static, F>(
    call: impl Fn(I) -> F + Send + Sync + 'static,
) -> Option<Arc<OnCall<I>>>
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    Some(Arc::new(move |input| Box::pin(call(input))))
}
