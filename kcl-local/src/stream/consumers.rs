//! The status changes of consumers over time: CREATING, then ACTIVE; DELETING, then gone.
//!
//! The store's own operations take half a second for a change. Here it takes as long as a change of
//! a stream, and is made when a request asks for a consumer, so no task has to wait for it.

use std::collections::{BTreeMap, HashSet};

use ferrokinesis::store::Store;
use ferrokinesis::types::{Consumer, ConsumerStatus};
use tokio::sync::Mutex;

use super::wire::Refusal;

/// The consumers whose status will change.
#[derive(Debug)]
pub(super) struct Consumers {
    /// How long a change of status takes, in milliseconds.
    settle_ms: u64,
    /// Held while the store is written, so that two requests do not change one consumer at the same
    /// time.
    state: Mutex<ConsumersState>,
}

#[derive(Debug, Default)]
struct ConsumersState {
    /// When the status of a consumer changes, by ARN.
    due_ms: BTreeMap<String, u64>,
    /// Every ARN that was ever given away by this server.
    used: HashSet<String>,
}

impl Consumers {
    /// Creates it for consumers that stay CREATING and DELETING for this long.
    pub(super) fn new(settle_ms: u64) -> Self {
        Self {
            settle_ms,
            state: Mutex::default(),
        }
    }

    /// Writes a consumer that is now CREATING or DELETING. Its status changes when the time is
    /// over.
    ///
    /// # Errors
    ///
    /// If the store cannot write.
    pub(super) async fn write(
        &self,
        store: &Store,
        consumer: Consumer,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let mut state = self.state.lock().await;
        let arn = consumer.consumer_arn.clone();
        store.put_consumer(&arn, consumer).await?;
        state
            .due_ms
            .insert(arn, now_ms.saturating_add(self.settle_ms));
        Ok(())
    }

    /// Deletes a consumer now.
    ///
    /// # Errors
    ///
    /// If the store cannot write.
    pub(super) async fn delete(&self, store: &Store, arn: &str) -> Result<(), Refusal> {
        let mut state = self.state.lock().await;
        store.delete_consumer(arn).await?;
        state.due_ms.remove(arn);
        Ok(())
    }

    /// The first second, from `second` on, for which `arn` has not been used: a consumer's ARN ends
    /// with the second of its creation, and must never name another consumer.
    pub(super) async fn unused(&self, second: u64, arn: impl Fn(u64) -> String) -> (u64, String) {
        let mut state = self.state.lock().await;
        let mut second = second;
        while !state.used.insert(arn(second)) {
            second += 1;
        }
        (second, arn(second))
    }

    /// Changes the status of the consumers whose time is over.
    ///
    /// # Errors
    ///
    /// If the store cannot write.
    pub(super) async fn settle(&self, store: &Store, now_ms: u64) -> Result<(), Refusal> {
        let mut state = self.state.lock().await;
        let due: Vec<String> = state
            .due_ms
            .iter()
            .filter(|(_, due_ms)| **due_ms <= now_ms)
            .map(|(arn, _)| arn.clone())
            .collect();
        for arn in due {
            if let Some(mut consumer) = store.get_consumer(&arn).await {
                match consumer.consumer_status {
                    ConsumerStatus::Creating => {
                        consumer.consumer_status = ConsumerStatus::Active;
                        store.put_consumer(&arn, consumer).await?;
                    }
                    ConsumerStatus::Deleting => store.delete_consumer(&arn).await?,
                    ConsumerStatus::Active => {}
                }
            }
            state.due_ms.remove(&arn);
        }
        Ok(())
    }
}
