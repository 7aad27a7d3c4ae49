use std::sync::Arc;

use kcl_core::model::ShardId;
use kcl_core::processor::{
    InitializeInput, ProcessRecordsInput, ShardEndedInput, ShardRef, ShutdownRequestedInput,
};
use kcl_core::{BoxError, Failure, RecordProcessor};

use crate::commands::record_line::record_line;

use super::sink::Sink;

/// Writes the records of one shard. Its `Ok` lets the checkpoint pass them, so it comes only when
/// the lines have left this process.
pub(super) struct RecordWriter {
    shard: ShardId,
    sink: Arc<Sink>,
}

impl RecordWriter {
    pub(super) fn new(shard: &ShardRef, sink: Arc<Sink>) -> Self {
        Self {
            shard: shard.shard.clone(),
            sink,
        }
    }
}

impl RecordProcessor for RecordWriter {
    async fn initialize(&mut self, _: InitializeInput) -> Result<(), BoxError> {
        self.sink.begins(&self.shard);
        Ok(())
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let mut lines = String::new();
        for record in &input.records {
            // The whole batch is made before anything is written: a batch that fails in between
            // would leave lines that come again.
            lines.push_str(&record_line(&self.shard, record)?);
            lines.push('\n');
        }
        let last = input.records.last().and_then(|record| record.arrived_at);
        // A reader that is slow holds everything up, but the coordination of the worker, which has a
        // thread of its own.
        tokio::task::block_in_place(|| {
            self.sink
                .write(&self.shard, &lines, input.records.len(), last)
        })?;
        Ok(())
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        self.sink.ends(&self.shard);
        Ok(())
    }

    /// Also at the end of the range, where a bounded worker gives the shard up as at any stop.
    async fn shutdown_requested(&mut self, _: ShutdownRequestedInput) {
        self.sink.ends(&self.shard);
    }
}
