//! What a worker is given in place of the real ones: the lease table, the stream and the
//! processors, each behind the links of its process.

mod buffers;
mod false_end;
mod fan_out;
mod handler;
mod mutated;
mod processor;
mod shared_buffer;
mod stream;
mod table;

pub(crate) use fan_out::SimFanOut;
pub(crate) use processor::Processors;
pub(crate) use stream::SimStream;
pub(crate) use table::SimTable;
