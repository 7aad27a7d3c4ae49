use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::model::{LeaseKey, Moment};
use kcl_core::worker::{Event, Events, ShardState};
use kcl_core::{Clock, SystemClock, Worker};

use super::Seen;

/// Finds out whether no record arrives because there is none, or because nothing is read.
#[derive(Debug)]
pub struct Quiet {
    worker: Worker,
    events: Events,
    /// The shards that were released as unreadable, and why.
    unreadable: BTreeMap<LeaseKey, Arc<str>>,
}

/// How often to check whether each shard has been read.
const LOOK: Duration = Duration::from_millis(50);

impl Quiet {
    /// Watches from now on. Create it before the worker runs.
    #[must_use]
    pub fn new(worker: &Worker) -> Self {
        Self {
            worker: worker.clone(),
            events: worker.events(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Waits until no record has arrived for `span` and each held shard was read after that;
    /// without a span, forever.
    ///
    /// # Errors
    /// If a shard is not read: which one, and why.
    pub async fn lasts(mut self, seen: &Seen, span: Option<Duration>) -> Result<(), String> {
        // Before that, there is nothing to read.
        loop {
            match self.events.next().await {
                Some(Event::Started) => break,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
        loop {
            seen.idle(span).await;
            let (records, over) = (seen.records(), SystemClock.now());
            while seen.records() == records {
                self.note().await;
                if self.is_read_since(over)? {
                    return Ok(());
                }
                SystemClock.sleep_until(SystemClock.now() + LOOK).await;
            }
        }
    }

    /// Takes the events that are ready.
    async fn note(&mut self) {
        loop {
            tokio::select! {
                biased;
                event = self.events.next() => match event {
                    Some(Event::ShardUnreadable { shard, error }) => drop(self.unreadable.insert(shard.lease, error)),
                    Some(_) => {}
                    None => return,
                },
                () = std::future::ready(()) => return,
            }
        }
    }

    /// Whether each held shard was read after this moment.
    fn is_read_since(&self, moment: Moment) -> Result<bool, String> {
        let shards = self.worker.status().shards;
        let failing = shards
            .iter()
            .find_map(|(lease, shard)| Some((lease, &shard.failing.as_ref()?.error)));
        let given_up = self
            .unreadable
            .iter()
            .find(|(lease, _)| !shards.contains_key(*lease));
        if let Some((lease, error)) = failing.or(given_up) {
            return Err(format!(
                "no record has arrived because {} cannot be read: {error}",
                lease.shard
            ));
        }
        let reads = shards
            .values()
            .filter(|shard| matches!(shard.state, ShardState::Starting | ShardState::Processing));
        Ok(reads
            .into_iter()
            .all(|shard| shard.answered.is_some_and(|at| at >= moment)))
    }
}
