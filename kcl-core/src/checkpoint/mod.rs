//! The last step of the way of data: an application stores how far it has processed.
//!
//! By default this is automatic: positions for which `process_records` returned `Ok` are stored,
//! see [`Checkpoints`](crate::worker::Checkpoints). A [`Checkpointer`] stores a position now, and
//! says when it is stored.

mod checkpointer;
mod delivered;
mod error;

pub use crate::decide::checkpoint::Refused;
pub(crate) use checkpointer::CheckpointerShared;
pub use checkpointer::{Checkpointer, PreparedCheckpoint};
pub(crate) use delivered::Delivered;
pub use error::CheckpointError;
