use std::ops::Deref;
use std::sync::Arc;

use kcl_core::Failure;
use kcl_core::handler::{BufferHandler, FlushCause, FlushContext};
use kcl_core::model::Record;
use tokio::sync::Semaphore;

use super::call_log::{CallLog, FlushCall};

type BasketWork = dyn Fn(&[String], &[Record]) -> Result<(), Failure> + Send + Sync;

/// What a flush was given: the payloads, why, which attempt, and of which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub(crate) payloads: Vec<String>,
    pub(crate) cause: FlushCause,
    pub(crate) attempt: u32,
    pub(crate) key: Option<String>,
}

/// A handler of buffers that writes down what it is given when it begins and when it has done it.
#[derive(Clone)]
pub(crate) struct Basket {
    log: CallLog<Flushed>,
    work: Arc<BasketWork>,
}

impl Basket {
    /// Does everything at once.
    pub(crate) fn open() -> Self {
        Self::with(|_, _| Ok(()))
    }

    /// Each call waits for a permit of the returned semaphore.
    pub(crate) fn gated() -> (Self, Arc<Semaphore>) {
        let mut basket = Self::open();
        let gate = basket.log.close();
        (basket, gate)
    }

    /// Ends as this says.
    pub(crate) fn with(
        work: impl Fn(&[String], &[Record]) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        Self {
            log: CallLog::open(),
            work: Arc::new(work),
        }
    }

    /// The payloads of each call that was done.
    pub(crate) fn done(&self) -> Vec<Vec<String>> {
        let done = self.log.done.borrow();
        done.iter().map(|flush| flush.payloads.clone()).collect()
    }

    /// Every payload that was done, in order.
    pub(crate) fn payloads(&self) -> Vec<String> {
        self.done().concat()
    }
}

impl FlushCall for Flushed {
    fn payloads(&self) -> &[String] {
        &self.payloads
    }
}

impl Deref for Basket {
    type Target = CallLog<Flushed>;

    fn deref(&self) -> &CallLog<Flushed> {
        &self.log
    }
}

impl BufferHandler for Basket {
    async fn flush(&self, records: &[Record], context: &FlushContext) -> Result<(), Failure> {
        let payloads = records
            .iter()
            .map(|record| String::from_utf8_lossy(&record.data).into_owned());
        let flushed = Flushed {
            payloads: payloads.collect(),
            cause: context.cause,
            attempt: context.attempt,
            key: context.key.as_ref().map(ToString::to_string),
        };
        let work = |flushed: &Flushed| (self.work)(&flushed.payloads, records);
        self.log.call(flushed, work).await
    }
}
