//! The benchmark program: what the framework costs over a bare loop of the SDK.
//!
//! Three processes: the stream server, the bare loop, the worker. The two clients run in turn against the same server, with the same
//! SDK settings, the same `Limit`, the same build profile and the system allocator. User and system CPU and the peak of memory are
//! those of the client process alone. The bare loop keeps one call a shard in flight and touches every byte; so does the worker's
//! handler.

mod bare;
mod client;
mod compare;
mod measure;
mod server;
mod worker;

pub use bare::bare;
pub use compare::compare;
pub use measure::Figures;
pub use server::serve;
pub use worker::worker;

/// What is read, by every process alike.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Load {
    /// Records in the stream.
    pub records: u64,
    /// Bytes a record.
    pub size: usize,
    /// Shards of the stream.
    pub shards: u32,
    /// `Limit` of each GetRecords.
    pub limit: u32,
    /// The worker's byte budget.
    pub budget: usize,
}

impl Load {
    /// A load.
    #[must_use]
    pub const fn new(records: u64, size: usize, shards: u32, limit: u32, budget: usize) -> Self {
        Self { records, size, shards, limit, budget }
    }
}

/// The stream's name.
const STREAM: &str = "bench";
