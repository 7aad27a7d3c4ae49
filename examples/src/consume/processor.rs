use std::sync::Arc;

use kcl_core::BoxError;
use kcl_core::processor::{
    Failure, InitializeInput, LeaseLostInput, ProcessRecordsInput, RecordProcessor,
    ShardEndedInput, ShardRef, ShutdownRequestedInput,
};

use super::seen::{Seen, ShardSeen};
use super::trace::{Trace, TraceError, Traced};

/// Counts records and writes the trace.
#[derive(Debug)]
pub struct Processor {
    seen: Arc<Seen>,
    shard: ShardSeen,
    trace: Option<Arc<Trace>>,
    /// The trace of this worker and shard, from `initialize` on.
    traced: Option<Traced>,
}

impl Processor {
    /// Creates the processor of one acquisition of a shard.
    #[must_use]
    pub fn new(seen: &Arc<Seen>, trace: Option<&Arc<Trace>>, shard: &ShardRef) -> Self {
        Self {
            seen: Arc::clone(seen),
            shard: seen.shard(&shard.shard),
            trace: trace.cloned(),
            traced: None,
        }
    }

    fn event(&self, event: &str) -> Result<(), TraceError> {
        self.traced
            .as_ref()
            .map_or(Ok(()), |trace| trace.event(event))
    }

    /// For calls that cannot return an error: if the line cannot be written, the log says so.
    fn note(&self, event: &str) {
        if let Err(error) = self.event(event) {
            tracing::error!(%error, event, "a line of the trace is lost");
        }
    }
}

impl RecordProcessor for Processor {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        self.traced = self
            .trace
            .as_ref()
            .map(|trace| Traced::new(trace, &input.worker, &input.shard.shard));
        Ok(self.event("initialize")?)
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.seen.began();
        if let Some(trace) = &self.traced {
            trace.records(&input.records)?;
        }
        self.seen.count(&self.shard, &input.records);
        Ok(())
    }

    async fn lease_lost(&mut self, _: LeaseLostInput) {
        self.note("lease_lost");
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        Ok(self.event("shard_ended")?)
    }

    async fn shutdown_requested(&mut self, _: ShutdownRequestedInput) {
        self.note("shutdown_requested");
    }
}
