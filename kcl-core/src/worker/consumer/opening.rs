//! Where a shard begins to be read, and whether it is still there.

use std::sync::Arc;

use crate::decide::consumer::Event as Step;
use crate::fetch::{Feed, Polling, PollingSettings, Resume};
use crate::lease::held::OrderError;
use crate::model::{Checkpoint, Facts, InitialPosition};
use crate::worker::coordination::Whereabouts;
use crate::worker::error::RunError;

use super::ShardConsumer;

impl ShardConsumer {
    /// A row that says where to begin by a time, and was made by somebody who does not keep that time (the KCL): it is resolved now,
    /// by the service's clock, and kept in the row, so that a restart before the first checkpoint begins at the same place.
    async fn resolve_start(&mut self) -> Result<(), Step> {
        let at = match (&self.row.checkpoint, self.stream.initial_position) {
            _ if self.row.facts.start_at.is_some() => return Ok(()),
            (Checkpoint::AtTimestamp, InitialPosition::AtTimestamp(at)) => at,
            (Checkpoint::AtTimestamp | Checkpoint::Latest, _) => {
                let turns = self.held.turns(Arc::clone(&self.clock));
                let time = tokio::select! {
                    biased;
                    () = self.signalled() => return Err(self.signal_or_wait()),
                    time = turns.while_waiting(self.coordination.start_time(Arc::clone(&self.stream))) => time,
                };
                time.map_err(|error| self.busy("to learn the service's time", &error))?
            }
            _ => return Ok(()),
        };
        let facts = Facts { start_at: Some(at), ..self.row.facts.clone() };
        match self.held.store_facts(facts.clone()).await {
            Ok(()) => {
                self.row.facts = facts;
                Ok(())
            }
            Err(OrderError::Throttled(error)) => Err(self.busy("to keep where a shard begins", &error.to_string())),
            Err(_) => Err(self.lose()),
        }
    }

    pub(super) async fn open_feed(&mut self) -> Result<Feed, Step> {
        self.resolve_start().await?;
        let resume = Resume::new(&self.row.checkpoint, &self.row.facts)
            .map_err(|error| self.stop_worker(RunError::Internal(error.to_string())))?;
        let source = match self.stream.source().await {
            Ok(source) => source,
            Err(error) => return Err(self.stop_worker(RunError::Stream(error))),
        };
        let parts = &self.inner.parts;
        let settings = PollingSettings {
            pace: parts.settings.pace(),
            max_records: parts.settings.max_records,
            call_limit: parts.settings.call_limit,
            hash_range: self.row.hash_range,
            out_of_range: parts.settings.out_of_range,
        };
        let polling = Polling::new(
            source,
            self.shard.shard.clone(),
            Arc::clone(&self.clock),
            settings,
            parts.budget.seat(),
            self.held.turns(Arc::clone(&self.clock)),
            self.meters.clone(),
            resume,
        );
        Ok(Feed::start(Box::new(polling)))
    }

    /// The service does not know the shard: has it left the stream, or was that a passing answer?
    pub(super) async fn look_for_gone(&mut self) -> Option<Step> {
        let turns = self.held.turns(Arc::clone(&self.clock));
        let stored = self.held.finished().map_or_else(|| self.held.stored(), Checkpoint::At);
        let found = tokio::select! {
            biased;
            () = self.signalled() => return Some(self.signal_or_wait()),
            found = turns.while_waiting(self.coordination.whereabouts(Arc::clone(&self.stream), self.row.key.clone(), stored)) => found,
        };
        match found {
            Whereabouts::Listed | Whereabouts::Unknown => None,
            Whereabouts::Left { gap, children } => {
                self.feed = None;
                self.children = children;
                Some(self.report_gap(gap).unwrap_or(Step::EndReached))
            }
            Whereabouts::Failed(cause) => Some(self.stop_worker(cause)),
        }
    }
}
