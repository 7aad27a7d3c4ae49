use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{
    Change, ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage,
    WorkerRow, Write,
};
use kcl_core::model::{Checkpoint, Lease, LeaseKey, WorkerId};

use super::locked;

/// What happens to one write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is carried out and answered.
    #[default]
    None,
    /// It is refused: the table is busy.
    Throttle,
    /// It is carried out, and the answer is lost.
    LoseAnswer,
    /// It is lost, and so is the answer.
    LoseWrite,
    /// It is carried out after the caller was told that nobody knows.
    Late(Duration),
    /// It is carried out at once, and answered after this time.
    Slow(Duration),
    /// The table is broken.
    Break,
    /// It is refused for want of a right.
    Deny,
}

/// A write that came.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) key: LeaseKey,
    pub(crate) change: Change,
    pub(crate) at: Instant,
    /// It was carried out and answered.
    pub(crate) stored: bool,
}

type WorkerRule = dyn Fn(&WorkerRow) -> Fault + Send + Sync;
type Rule = dyn Fn(&LeaseKey, Option<&Change>) -> Fault + Send + Sync;

/// A lease table in memory that writes down what it is asked for, and does to writes what a network
/// does.
#[derive(Clone)]
pub(crate) struct UnrulyTable {
    pub(crate) rows: MemoryLeaseTable,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rule: Option<Arc<Rule>>,
    worker_rule: Option<Arc<WorkerRule>>,
    written: Vec<Written>,
    /// A read of one row is answered this long after the row was read.
    slow_reads: Duration,
    /// How often the change signal is to be read, if not as usual.
    change_signal_interval: Option<Duration>,
    /// Reads and set-up fail.
    unreachable: bool,
    /// Readings of the change signal fail.
    deaf: bool,
    /// How often all rows were read.
    scans: u64,
    /// How often each row was read by itself.
    reads: BTreeMap<LeaseKey, u64>,
    /// How often the row of each worker was read by itself.
    worker_reads: BTreeMap<WorkerId, u64>,
    /// The checkpoint of each row as the last update left it.
    checkpoints: BTreeMap<LeaseKey, Checkpoint>,
    /// Updates that took a checkpoint back.
    regressions: Vec<String>,
}

impl UnrulyTable {
    pub(crate) fn new() -> Self {
        Self {
            rows: MemoryLeaseTable::new(),
            state: Arc::default(),
        }
    }

    /// From now on this decides what happens to an update (with its change) or a creation (with
    /// none).
    pub(crate) fn set_rule(
        &self,
        rule: impl Fn(&LeaseKey, Option<&Change>) -> Fault + Send + Sync + 'static,
    ) {
        locked(&self.state).rule = Some(Arc::new(rule));
    }

    /// From now on this decides what happens to the replacement of a worker's row.
    pub(crate) fn set_worker_rule(
        &self,
        rule: impl Fn(&WorkerRow) -> Fault + Send + Sync + 'static,
    ) {
        locked(&self.state).worker_rule = Some(Arc::new(rule));
    }

    pub(crate) fn clear_rule(&self) {
        locked(&self.state).rule = None;
    }

    /// From now on a read of one row shows what there was this long ago.
    pub(crate) fn set_slow_reads(&self, delay: Duration) {
        locked(&self.state).slow_reads = delay;
    }

    /// How often workers that start from now on read the change signal.
    pub(crate) fn set_signal_interval(&self, every: Duration) {
        locked(&self.state).change_signal_interval = Some(every);
    }

    pub(crate) fn set_unreachable(&self, unreachable: bool) {
        locked(&self.state).unreachable = unreachable;
    }

    /// From now on the change signal cannot be read, or can again.
    pub(crate) fn set_deaf(&self, deaf: bool) {
        locked(&self.state).deaf = deaf;
    }

    /// The updates that came, in order.
    pub(crate) fn written(&self) -> Vec<Written> {
        locked(&self.state).written.clone()
    }

    /// How often this row was read by itself.
    pub(crate) fn reads_of(&self, key: &LeaseKey) -> u64 {
        locked(&self.state).reads.get(key).copied().unwrap_or(0)
    }

    /// How often the row of this worker was read by itself.
    pub(crate) fn reads_of_worker(&self, worker: &str) -> u64 {
        let worker = WorkerId::new(worker);
        let state = locked(&self.state);
        state.worker_reads.get(&worker).copied().unwrap_or_default()
    }

    /// How often all rows were read.
    pub(crate) fn scans(&self) -> u64 {
        locked(&self.state).scans
    }

    /// Updates that took a stored checkpoint back.
    pub(crate) fn regressions(&self) -> Vec<String> {
        locked(&self.state).regressions.clone()
    }

    /// As long as a read of one row is to take.
    async fn take_time(&self) {
        let delay = locked(&self.state).slow_reads;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn fault(&self, key: &LeaseKey, change: Option<&Change>) -> Fault {
        let rule = locked(&self.state).rule.clone();
        rule.map_or(Fault::None, |rule| rule(key, change))
    }

    fn check(&self) -> Result<(), Error> {
        if locked(&self.state).unreachable {
            Err(busy())
        } else {
            Ok(())
        }
    }

    /// Carries a write out under a fault.
    async fn under<T: Send + 'static>(
        &self,
        fault: Fault,
        write: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match fault {
            Fault::None => write.await,
            Fault::Throttle => Err(busy()),
            Fault::LoseAnswer => {
                let _ = write.await;
                Err(unknown())
            }
            Fault::LoseWrite => Err(unknown()),
            Fault::Late(delay) => {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = write.await;
                });
                Err(unknown())
            }
            Fault::Slow(delay) => {
                let answer = write.await;
                tokio::time::sleep(delay).await;
                answer
            }
            Fault::Deny => Err(Error::Denied {
                message: "no right to write".to_owned(),
            }),
            Fault::Break => Err(Error::Fatal {
                message: "the table is broken".to_owned(),
                source: None,
            }),
        }
    }
}

fn busy() -> Error {
    Error::Throttled {
        source: "too many writes".into(),
    }
}

fn unknown() -> Error {
    Error::Unknown {
        source: "no answer".into(),
    }
}

impl std::fmt::Debug for UnrulyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rows.fmt(f)
    }
}

#[async_trait]
impl LeaseTable for UnrulyTable {
    async fn setup(&self) -> Result<(), Error> {
        self.check()
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        let row = self.rows.get(key).await;
        *locked(&self.state).reads.entry(key.clone()).or_default() += 1;
        self.take_time().await;
        row
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        self.check()?;
        locked(&self.state).scans += 1;
        self.rows.scan(page, consistency).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        let fault = self.fault(&lease.key, None);
        let (rows, lease) = (self.rows.clone(), lease.clone());
        self.under(fault, async move { rows.create(&lease).await })
            .await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let fault = self.fault(key, Some(&write.change));
        let written = Written {
            key: key.clone(),
            change: write.change.clone(),
            at: Instant::now(),
            stored: false,
        };
        let index = {
            let mut state = locked(&self.state);
            state.written.push(written);
            state.written.len() - 1
        };
        let (rows, key, asked) = (self.rows.clone(), key.clone(), write.clone());
        let state = Arc::clone(&self.state);
        let write = async move {
            // The rows in memory answer without waiting: under the lock their order is the order of
            // what is judged.
            let mut state = locked(&state);
            let answer = rows
                .update(&key, &asked)
                .now_or_never()
                .expect("a table in memory answers at once");
            if let Ok(row) = &answer {
                let before = state
                    .checkpoints
                    .insert(key.clone(), row.checkpoint.clone());
                if let Some(before) = before.filter(|before| *before > row.checkpoint) {
                    state.regressions.push(format!(
                        "{key}: from {before} to {} by {:?}",
                        row.checkpoint, asked.change
                    ));
                }
            }
            answer
        };
        let answer = self.under(fault, write).await;
        locked(&self.state).written[index].stored = answer.is_ok();
        answer
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.rows.delete(key, expect).await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        let rule = locked(&self.state).worker_rule.clone();
        let fault = match (rule, seen, row) {
            (Some(rule), Some(_), Some(row)) => rule(row),
            _ => Fault::None,
        };
        let (rows, worker, seen, row) = (
            self.rows.clone(),
            worker.clone(),
            seen.cloned(),
            row.cloned(),
        );
        self.under(fault, async move {
            rows.write_worker(&worker, seen.as_ref(), row.as_ref())
                .await
        })
        .await
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        let row = self.rows.get_worker(worker).await;
        *locked(&self.state)
            .worker_reads
            .entry(worker.clone())
            .or_default() += 1;
        self.take_time().await;
        row
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        if locked(&self.state).deaf {
            return Err(busy());
        }
        self.rows.change_signal().await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.rows.announce(changed).await
    }

    fn change_signal_interval(&self) -> Duration {
        let interval = locked(&self.state).change_signal_interval;
        interval.unwrap_or_else(|| self.rows.change_signal_interval())
    }
}
