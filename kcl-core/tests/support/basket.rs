use std::sync::Arc;

use kcl_core::Failure;
use kcl_core::handler::{BufferHandler, FlushCause, FlushContext};
use kcl_core::model::Record;
use tokio::sync::{Semaphore, watch};

use super::PATIENCE;

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
    pub(crate) begun: Arc<watch::Sender<Vec<Flushed>>>,
    pub(crate) done: Arc<watch::Sender<Vec<Flushed>>>,
    gate: Option<Arc<Semaphore>>,
    work: Arc<BasketWork>,
}

impl Basket {
    /// Does everything at once.
    pub(crate) fn open() -> Self {
        Self::with(|_, _| Ok(()))
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
        work: impl Fn(&[String], &[Record]) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        let list = || Arc::new(watch::Sender::new(Vec::new()));
        Self {
            begun: list(),
            done: list(),
            gate: None,
            work: Arc::new(work),
        }
    }

    /// The payloads of each call that was done.
    pub(crate) fn done(&self) -> Vec<Vec<String>> {
        let done = self.done.borrow();
        done.iter().map(|flush| flush.payloads.clone()).collect()
    }

    /// Every payload that was done, in order.
    pub(crate) fn payloads(&self) -> Vec<String> {
        self.done().concat()
    }

    pub(crate) async fn until_begun(&self, flushes: usize) {
        Self::wait(&self.begun, |all| all.len() >= flushes).await;
    }

    pub(crate) async fn until_done(&self, payloads: usize) {
        Self::wait(&self.done, |all| {
            all.iter().map(|flush| flush.payloads.len()).sum::<usize>() >= payloads
        })
        .await;
    }

    async fn wait(list: &watch::Sender<Vec<Flushed>>, wanted: impl Fn(&[Flushed]) -> bool) {
        let mut list = list.subscribe();
        let waited = tokio::time::timeout(PATIENCE, list.wait_for(|all| wanted(all)))
            .await
            .map(|found| found.is_ok());
        assert!(waited.is_ok(), "still waiting: {:?}", *list.borrow());
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
        self.begun.send_modify(|begun| begun.push(flushed.clone()));
        if let Some(gate) = &self.gate {
            gate.acquire().await?.forget();
        }
        (self.work)(&flushed.payloads, records)?;
        self.done.send_modify(|done| done.push(flushed));
        Ok(())
    }
}
