use std::collections::BTreeSet;
use std::sync::Arc;

use kcl_core::Failure;
use kcl_core::handler::{FlushCause, ShardRecord, SharedBufferHandler, SharedFlushContext};
use tokio::sync::{Semaphore, watch};

use super::PATIENCE;

type SharedWork = dyn Fn(&[ShardRecord]) -> Result<(), Failure> + Send + Sync;

/// One call of a handler of a shared buffer.
#[derive(Clone, Debug)]
pub(crate) struct SharedCall {
    pub(crate) payloads: Vec<String>,
    /// How many shards the records are of.
    pub(crate) shards: usize,
    pub(crate) cause: FlushCause,
    pub(crate) attempt: u32,
}

/// A handler of a shared buffer that writes down its calls when they begin and when they are done.
#[derive(Clone)]
pub(crate) struct SharedBasket {
    pub(crate) begun: Arc<watch::Sender<Vec<SharedCall>>>,
    pub(crate) done: Arc<watch::Sender<Vec<SharedCall>>>,
    gate: Option<Arc<Semaphore>>,
    work: Arc<SharedWork>,
}

impl SharedBasket {
    /// Does everything at once.
    pub(crate) fn open() -> Self {
        Self::with(|_| Ok(()))
    }

    /// Each call waits for a permit of the returned semaphore.
    pub(crate) fn gated() -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let mut basket = Self::open();
        basket.gate = Some(Arc::clone(&gate));
        (basket, gate)
    }

    /// Ends as this says.
    pub(crate) fn with(
        work: impl Fn(&[ShardRecord]) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        let list = || Arc::new(watch::Sender::new(Vec::new()));
        Self {
            begun: list(),
            done: list(),
            gate: None,
            work: Arc::new(work),
        }
    }

    /// The payloads of each call that was done, sorted: the order of shards is open.
    pub(crate) fn done(&self) -> Vec<Vec<String>> {
        let payloads = |call: &SharedCall| {
            let mut payloads = call.payloads.clone();
            payloads.sort();
            payloads
        };
        self.done.borrow().iter().map(payloads).collect()
    }

    pub(crate) async fn until_begun(&self, calls: usize) {
        Self::wait(&self.begun, |all| all.len() >= calls).await;
    }

    pub(crate) async fn until_done(&self, payloads: usize) {
        Self::wait(&self.done, |all| {
            all.iter().map(|call| call.payloads.len()).sum::<usize>() >= payloads
        })
        .await;
    }

    async fn wait(list: &watch::Sender<Vec<SharedCall>>, wanted: impl Fn(&[SharedCall]) -> bool) {
        let mut list = list.subscribe();
        let waited = tokio::time::timeout(PATIENCE, list.wait_for(|all| wanted(all)))
            .await
            .map(|found| found.is_ok());
        assert!(waited.is_ok(), "still waiting: {:?}", *list.borrow());
    }
}

impl SharedBufferHandler for SharedBasket {
    async fn flush(
        &self,
        records: &[ShardRecord],
        context: &SharedFlushContext,
    ) -> Result<(), Failure> {
        let payload = |one: &ShardRecord| String::from_utf8_lossy(&one.record.data).into_owned();
        let shards: BTreeSet<_> = records.iter().map(|one| one.shard.lease.clone()).collect();
        let call = SharedCall {
            payloads: records.iter().map(payload).collect(),
            shards: shards.len(),
            cause: context.cause,
            attempt: context.attempt,
        };
        self.begun.send_modify(|begun| begun.push(call.clone()));
        if let Some(gate) = &self.gate {
            gate.acquire().await?.forget();
        }
        (self.work)(records)?;
        self.done.send_modify(|done| done.push(call));
        Ok(())
    }
}
