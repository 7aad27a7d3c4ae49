//! The last station of the way of data: an application stores how far it is.
//!
//! By default nothing has to be done: what `process_records` returned `Ok` for is stored by itself, see
//! [`Checkpoints`](crate::worker::Checkpoints). A [`Checkpointer`] stores a position now, and tells when it is stored.

mod checkpointer;
mod delivered;
mod error;

pub use crate::decide::checkpoint::Refused;
pub(crate) use checkpointer::CheckpointerShared;
pub use checkpointer::{Checkpointer, PreparedCheckpoint};
pub(crate) use delivered::Delivered;
pub use error::CheckpointError;
