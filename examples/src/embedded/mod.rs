//! The embedded stream of a program, and changes of its shards.

mod reshard;
mod stream;

pub use reshard::{OpenShard, Reshard, to_merge, to_split};
pub use stream::{Embedded, client, is_open};
