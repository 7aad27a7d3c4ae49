//! A worker: thin loops that carry out the pure decisions.
//!
//! ```text
//!   the application's runtime                        the coordination thread
//!   +-----------------------------+   assignments    +--------------------------------------------------+
//!   | Worker::run (the root)      | <--------------- | Coordinator: scans, takes, requests, creates     |
//!   |   one ShardConsumer a lease | ---------------> |   one Writer a lease: renews, checkpoints,       |
//!   |     Prefetcher              |     requests     |     hands over                                   |
//!   +-----------------------------+                  |   Heartbeat: the worker's own row                |
//!                 |                                  |   the change signal: announces, listens          |
//!                 +--------- orders (Held) --------> |   gates of shards that wait for parents          |
//!                                                    +--------------------------------------------------+
//! ```
//!
//! Renewals run on their own thread, so that no handler can stop them, however long it blocks.
//! ([`CoordinationOn`] offers another choice, for a simulated clock.) The root owns everything:
//! dropping the future of [`Worker::run`] ends all of it immediately, like a crash.
//!
//! **A fleet.** Workers with the same application and lease table share the shards. A worker takes
//! free leases, and requests leases from owners that carry more than their share: of the load that
//! is measured on the shards, or of the number of leases ([`Balance`]). An owner that receives a
//! request finishes the batch in flight and hands the lease over with its last checkpoint
//! ([`Event::LeaseHandedOver`]), or refuses after [`Settings::drain_limit`].
//!
//! **Shutdown.** [`Worker::stop`] shuts a worker down gracefully: with [`Stop::Release`], which is
//! what [`Worker::shutdown`] does, the leases are released at once; with [`Stop::Keep`] the worker
//! keeps them for a restart under the same id. A second live worker with the same id ends with
//! [`RunError::DuplicateWorkerId`].
//!
//! **Streams.** A worker reads one stream ([`Builder::stream`]), or several ([`Builder::streams`]),
//! which can be added and removed while it runs; the lease keys of the latter name their stream.
//!
//! **How shards are read.** [`Mode`] decides, for the worker or for a single stream: by polling, or
//! by enhanced fan-out with one registered consumer for the whole application, which the first
//! worker that needs it registers.

mod builder;
mod consumer;
mod coordination;
mod end_guard;
mod error;
mod event;
mod events;
mod in_flight;
mod log;
mod mode;
mod patient_stream;
mod patient_table;
mod report;
mod reporter;
mod retire;
mod root;
mod service_access;
mod setting_error;
mod setting_limits;
mod settings;
mod single_flight;
mod status;
mod status_registry;
mod streams;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named for"
)]
mod worker;

pub use crate::deaggregate::OutOfRange;
pub use crate::decide::gap::DataGap;
pub use crate::decide::liveness::Liveness;
pub use crate::decide::registration::Why as WhyNoConsumer;
pub use crate::fetch::fan_out::NoConsumer;
pub use builder::Builder;
pub use error::RunError;
pub use event::{Event, HandlerCall};
pub use events::Events;
pub use mode::{FanOutConfig, Mode};
pub use report::{RunEnd, ShardReport, ShutdownReport, Stopped};
pub use retire::RetireError;
pub use setting_error::SettingError;
pub use settings::{Balance, Checkpoints, CoordinationOn, OnDataGap, Settings, Until, WorkerLabel};
pub use status::{
    CallFailures, Phase, ShardError, ShardState, ShardStatus, Status, StreamState, UnreadableShard,
};
pub use streams::StreamConfig;
pub use worker::{Stop, Worker};
