//! The benchmark program: what the framework costs over a bare loop of the SDK.
//!
//! ```text
//!   read            server, then bare loop, worker and floor in turn    CPU and memory of each
//!   idle            server, worker                               CPU a second of shards at their tip
//!   table           all of these, as a table
//!   subscriptions   server, worker                               peak of memory of many subscriptions, some of stopped handlers
//!   lanes           server, worker                               pace and peak of memory with a slow handler of records
//!   latency         server, worker                               from an event's arrival to the call of the handler
//! ```
//!
//! Each is a process of its own. In `read` the two clients run in turn against the same server,
//! with the same SDK settings, the same `Limit`, the same build profile and the system allocator.
//! User and system CPU and the peak of memory are those of the client process alone. The bare loop
//! keeps one call a shard in flight and touches every byte; so does the worker's handler. Of a
//! stream of aggregates the bare loop reads the same bytes and takes nothing apart. The floor is what
//! no reader can be below: the same pages received into one warm buffer, and touched.
//!
//! By fan-out the bare loop has one subscription a shard, over the HTTP/2 of `hyper-util` with the
//! windows that the worker's own connections have, and subscribes again after the continuation.
//! Nothing paces the server: it pushes as far as the windows go.

mod bare;
mod client;
mod compare;
mod count;
mod floor;
mod flow;
mod h2c;
mod lanes;
mod latency;
mod load;
mod measure;
mod process;
mod producer;
mod pushed;
mod quiet;
mod server;
mod subscriptions;
mod table;
mod timed;
mod worker;

pub use bare::bare;
pub use compare::{Comparison, compare};
pub use floor::floor;
pub use lanes::lanes;
pub use latency::latency;
pub use load::{BenchLoad, LoadKeys, Reading};
pub use measure::Figures;
pub use quiet::{idle, quiet};
pub use server::serve;
pub use subscriptions::subscriptions;
pub use table::{BenchRow, table};
pub use worker::worker;

/// The stream's name.
const STREAM: &str = "bench";
/// The consumer that the bare loop subscribes by.
const BARE_CONSUMER: &str = "bare";
/// The worker's consumer.
const WORKER_CONSUMER: &str = "worker";
