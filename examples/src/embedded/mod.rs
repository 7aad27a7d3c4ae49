//! The embedded stream of a program, and changes of its shards.

mod reshard;
mod stream;

pub use reshard::Reshard;
pub use stream::{Embedded, client, is_open};
