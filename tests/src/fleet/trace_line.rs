use kcl_core::model::{SequenceNumber, ShardId, Timestamp};
use serde_json::Value;

/// A line of a trace: what a worker's processor was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// When.
    pub at: Timestamp,
    /// Of which shard.
    pub shard: ShardId,
    /// What.
    pub call: TracedCall,
}

/// What a processor was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TracedCall {
    /// The shard is this worker's from now on.
    Initialize,
    /// A record of a batch.
    Record(SequenceNumber),
    /// The worker gives the shard up gracefully.
    ShutdownRequested,
    /// The shard is this worker's no longer.
    LeaseLost,
    /// The shard is done.
    ShardEnded,
}

impl TraceLine {
    /// The line in this text, unless it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(text).ok()?;
        let call = match line["event"].as_str()? {
            "initialize" => TracedCall::Initialize,
            "record" => TracedCall::Record(line["sequence"].as_str()?.parse().ok()?),
            "shutdown_requested" => TracedCall::ShutdownRequested,
            "lease_lost" => TracedCall::LeaseLost,
            "shard_ended" => TracedCall::ShardEnded,
            _ => return None,
        };
        Some(Self {
            at: Timestamp::from_millis(line["t"].as_i64()?),
            shard: line["shard"].as_str()?.into(),
            call,
        })
    }
}
