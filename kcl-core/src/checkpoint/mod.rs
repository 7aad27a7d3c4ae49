//! The last station of the way of data: an application stores how far it is.

mod checkpointer;

pub use checkpointer::Checkpointer;
