use std::sync::Arc;

use kcl_core::Failure;
use tokio::sync::{Semaphore, watch};

use super::PATIENCE;

/// A call of a handler of buffers.
pub(crate) trait FlushCall: Clone + std::fmt::Debug + Send + Sync + 'static {
    fn payloads(&self) -> &[String];
}

/// The calls of a handler: those that have begun, and those that are done.
#[derive(Clone)]
pub(crate) struct CallLog<C> {
    pub(crate) begun: Arc<watch::Sender<Vec<C>>>,
    pub(crate) done: Arc<watch::Sender<Vec<C>>>,
    /// A call waits for a permit of it, if there is one.
    gate: Option<Arc<Semaphore>>,
}

impl<C: FlushCall> CallLog<C> {
    pub(crate) fn open() -> Self {
        let list = || Arc::new(watch::Sender::new(Vec::new()));
        Self {
            begun: list(),
            done: list(),
            gate: None,
        }
    }

    /// Each call waits for a permit of the returned semaphore from now on.
    pub(crate) fn close(&mut self) -> Arc<Semaphore> {
        Arc::clone(self.gate.insert(Arc::new(Semaphore::new(0))))
    }

    /// Writes a call down, before and after its work.
    pub(crate) async fn call(
        &self,
        call: C,
        work: impl FnOnce(&C) -> Result<(), Failure> + Send,
    ) -> Result<(), Failure> {
        self.begun.send_modify(|begun| begun.push(call.clone()));
        if let Some(gate) = &self.gate {
            gate.acquire().await?.forget();
        }
        work(&call)?;
        self.done.send_modify(|done| done.push(call));
        Ok(())
    }

    pub(crate) async fn until_begun(&self, calls: usize) {
        Self::wait(&self.begun, |all| all.len() >= calls).await;
    }

    pub(crate) async fn until_done(&self, payloads: usize) {
        Self::wait(&self.done, |all| {
            all.iter().map(|call| call.payloads().len()).sum::<usize>() >= payloads
        })
        .await;
    }

    async fn wait(list: &watch::Sender<Vec<C>>, wanted: impl Fn(&[C]) -> bool) {
        let mut list = list.subscribe();
        let waited = tokio::time::timeout(PATIENCE, list.wait_for(|all| wanted(all)))
            .await
            .map(|found| found.is_ok());
        assert!(waited.is_ok(), "still waiting: {:?}", *list.borrow());
    }
}
