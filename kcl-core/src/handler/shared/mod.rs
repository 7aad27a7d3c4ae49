//! Records of several shards that are gathered and given to a handler together.

mod call;
mod flush;
mod member;
mod shared_buffered;
mod state;
mod traits;
mod work;

pub use shared_buffered::{SharedBuffered, SharedBufferedProcessor, shared_buffer};
pub use traits::{ShardRecord, SharedBufferHandler, SharedFlushContext};
