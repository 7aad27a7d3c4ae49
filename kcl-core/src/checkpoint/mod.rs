//! The last step of the data path: an application stores how far it has processed a shard.
//!
//! By default this is automatic: when `process_records` returns `Ok`, the end of the batch is
//! stored; see [`Checkpoints`](crate::worker::Checkpoints). A [`Checkpointer`] stores a position
//! immediately, and returns once it is stored.

mod checkpointer;
mod delivered;
mod error;

pub use crate::decide::checkpoint::Refused;
pub(crate) use checkpointer::CheckpointerShared;
pub use checkpointer::{Checkpointer, PreparedCheckpoint};
pub(crate) use delivered::Delivered;
pub use error::CheckpointError;
