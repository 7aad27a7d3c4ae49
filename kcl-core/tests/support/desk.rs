use std::future::Future;
use std::sync::Arc;

use kcl_core::BoxError;
use kcl_core::handler::{RecordContext, RecordHandler};
use kcl_core::model::Record;
use tokio::sync::{Semaphore, watch};

use super::{Boxed, PATIENCE};

/// What is done with a payload at its attempt.
type DeskWork = dyn Fn(String, u32) -> Boxed<Result<(), BoxError>> + Send + Sync;

/// A handler that writes down what begins and what ends, and is otherwise a closure of the payload
/// and the attempt.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) begun: Arc<watch::Sender<Vec<String>>>,
    pub(crate) ended: Arc<watch::Sender<Vec<String>>>,
    work: Arc<DeskWork>,
}

impl Desk {
    pub(crate) fn new<F>(work: impl Fn(String, u32) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let list = || Arc::new(watch::Sender::new(Vec::new()));
        Self {
            begun: list(),
            ended: list(),
            work: Arc::new(move |text, attempt| Box::pin(work(text, attempt))),
        }
    }

    /// Records whose payload is `held` wait for the returned semaphore; the others are done at
    /// once.
    pub(crate) fn holding(held: &'static str) -> (Self, Arc<Semaphore>) {
        Self::waiting(move |text| text == held)
    }

    /// Each record waits for a permit of the returned semaphore.
    pub(crate) fn gated() -> (Self, Arc<Semaphore>) {
        Self::waiting(|_| true)
    }

    fn waiting(waits: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let open = Arc::clone(&gate);
        let desk = Self::new(move |text, _| {
            let open = waits(&text).then(|| Arc::clone(&open));
            async move {
                if let Some(open) = open {
                    open.acquire().await?.forget();
                }
                Ok(())
            }
        });
        (desk, gate)
    }

    pub(crate) fn begun(&self) -> Vec<String> {
        self.begun.borrow().clone()
    }

    pub(crate) fn ended(&self) -> Vec<String> {
        self.ended.borrow().clone()
    }

    pub(crate) async fn wait(
        list: &watch::Sender<Vec<String>>,
        what: &str,
        wanted: impl Fn(&[String]) -> bool,
    ) {
        let mut list = list.subscribe();
        let waited = tokio::time::timeout(PATIENCE, list.wait_for(|all| wanted(all)))
            .await
            .map(|found| found.is_ok());
        assert!(
            waited.is_ok(),
            "still waiting for {what}: {:?}",
            *list.borrow()
        );
    }

    pub(crate) async fn until_begun(&self, text: &str) {
        Self::wait(&self.begun, text, |all| {
            all.iter().any(|begun| begun == text)
        })
        .await;
    }

    pub(crate) async fn until_ended(&self, count: usize) {
        Self::wait(&self.ended, &format!("{count} ends"), |all| {
            all.len() >= count
        })
        .await;
    }
}

impl RecordHandler for Desk {
    async fn handle(&self, record: &Record, context: &RecordContext) -> Result<(), BoxError> {
        let text = String::from_utf8(record.data.to_vec())?;
        self.begun.send_modify(|begun| begun.push(text.clone()));
        (self.work)(text.clone(), context.attempt).await?;
        self.ended.send_modify(|ended| ended.push(text));
        Ok(())
    }
}
