use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use kcl_core::Failure;
use kcl_core::handler::{FlushCause, ShardRecord, SharedBufferHandler, SharedFlushContext};
use tokio::sync::Semaphore;

use super::call_log::{CallLog, FlushCall};

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
    log: CallLog<SharedCall>,
    work: Arc<SharedWork>,
}

impl SharedBasket {
    /// Does everything at once.
    pub(crate) fn open() -> Self {
        Self::with(|_| Ok(()))
    }

    /// Each call waits for a permit of the returned semaphore.
    pub(crate) fn gated() -> (Self, Arc<Semaphore>) {
        let mut basket = Self::open();
        let gate = basket.log.close();
        (basket, gate)
    }

    /// Ends as this says.
    pub(crate) fn with(
        work: impl Fn(&[ShardRecord]) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        Self {
            log: CallLog::open(),
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
        self.log.done.borrow().iter().map(payloads).collect()
    }
}

impl FlushCall for SharedCall {
    fn payloads(&self) -> &[String] {
        &self.payloads
    }
}

impl Deref for SharedBasket {
    type Target = CallLog<SharedCall>;

    fn deref(&self) -> &CallLog<SharedCall> {
        &self.log
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
        self.log.call(call, |_| (self.work)(records)).await
    }
}
