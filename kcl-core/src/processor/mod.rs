//! What an application implements, and what it receives.
//!
//! One [`RecordProcessor`] is created for each acquisition of a shard. The order of its calls:
//!
//! ```text
//!   initialize (until it succeeds)
//!     -> process_records ... (a failed batch is delivered again, with a higher attempt)
//!          idle, while no records come, if `idle_every` is set
//!     -> shutdown_requested (perhaps)
//!     -> exactly one of  shard_ended | lease_lost
//! ```
//!
//! Calls for one shard never overlap; different shards run concurrently. A processor whose
//! `initialize` never succeeded is dropped without another call, and so is one that has asked to
//! [start over](StartOver): another one takes its place.

mod background;
mod erased;
mod failing;
mod failure;
mod input;
mod records;
mod start_over;
mod traits;
mod work_event;

pub use crate::decide::start::{Start, StartRefused};
pub use crate::model::{Fence, LossReason, ShardRef};
pub(crate) use crate::tenancy::gathered_records::GatheredRecords;
pub(crate) use background::{
    AcceptedBatch, Background, TakenOver, WorkOwner, WorkRules, WorkStopped,
};
pub(crate) use erased::{ErasedFactory, ErasedProcessor};
pub use failure::{Failure, OnFailure};
pub(crate) use input::StartCell;
pub use input::{
    IdleInput, InitializeInput, LeaseLostInput, ProcessRecordsInput, ShardEndedInput,
    ShutdownRequestedInput,
};
pub use records::Records;
pub use start_over::StartOver;
pub use traits::{RecordProcessor, RecordProcessorFactory};
pub(crate) use work_event::WorkEvent;
