//! The benchmark program: what the framework costs over a bare loop of the SDK.
//!
//! Three processes: the stream server, the bare loop, the worker. The two clients run in turn against the same server, with the same
//! SDK settings, the same `Limit`, the same build profile and the system allocator. User and system CPU and the peak of memory are
//! those of the client process alone. The bare loop keeps one call a shard in flight and touches every byte; so does the worker's
//! handler. Of a stream of aggregates the bare loop reads the same bytes and takes nothing apart.

mod bare;
mod client;
mod compare;
mod load;
mod measure;
mod producer;
mod server;
mod worker;

pub use bare::bare;
pub use compare::compare;
pub use load::{Keys, Load};
pub use measure::Figures;
pub use server::serve;
pub use worker::worker;

/// The stream's name.
const STREAM: &str = "bench";
