//! Records that are gathered and given to a handler together.

mod buffered;
mod flush;
mod state;
mod traits;
mod work;

pub(super) use buffered::{AGE, BYTES, RECORDS};
pub use buffered::{Buffered, BufferedProcessor, buffer};
pub use traits::{BufferHandler, FlushCause, FlushContext};
