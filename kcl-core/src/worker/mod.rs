//! A worker: thin loops that carry out what `decide` says.
//!
//! ```text
//!   the application's runtime                        the coordination thread
//!   +-----------------------------+   assignments    +--------------------------------------------------+
//!   | Worker::run (the root)      | <--------------- | Coordinator: looks, hears, takes, asks, makes    |
//!   |   one ShardConsumer a lease | ---------------> |   one Writer a lease: renews, checkpoints,       |
//!   |     Feed (fetches ahead)    |     requests     |     passes on                                    |
//!   +-----------------------------+                  |   Presence: the worker's own row                 |
//!                 |                                  |   the change signal: announces, listens          |
//!                 +--------- orders (Held) --------> |   gates of shards that wait for parents          |
//!                                                    +--------------------------------------------------+
//! ```
//!
//! Renewals run on a thread of their own, so that no handler can stop them, however it blocks ([`CoordinationOn`] says otherwise for a
//! simulated clock). The root owns everything: dropping the future of [`Worker::run`] ends all of it at once, like a crash.
//!
//! **A fleet.** Workers of one application and lease table share the shards. A worker takes what is free, and asks owners that hold at
//! least two leases more than it does. An owner that is asked finishes the batch in hand and passes the lease on with its last
//! checkpoint ([`Event::LeasePassedOn`]), or refuses after [`Settings::drain_limit`].
//!
//! **A stop.** [`Worker::stop`] ends in good order: with [`Stop::Release`], which is [`Worker::shutdown`], the leases are freed at
//! once; with [`Stop::Keep`] they stay, for a restart under the same id. A second live worker under one id ends with
//! [`RunError::DuplicateWorkerId`].
//!
//! **Streams.** A worker reads one stream ([`Builder::stream`]), or several ([`Builder::streams`]) that are added and removed while it
//! runs; the leases of the latter name their streams in their keys.
//!
//! **How shards are read** says [`Mode`], for the worker or for a stream: by polling, or by enhanced fan-out with one registered consumer
//! for the whole application, which the first worker that needs it registers.

mod builder;
mod consumer;
mod coordination;
mod error;
mod event;
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
mod settings;
mod single_flight;
mod status;
mod streams;
#[expect(clippy::module_inception, reason = "the type that the folder is named for")]
mod worker;

pub use crate::deaggregate::OutOfRange;
pub use crate::decide::gap::DataGap;
pub use crate::decide::registration::Why as WhyNoConsumer;
pub use builder::{Builder, SettingError};
pub use error::RunError;
pub use event::{Event, Events, HandlerCall};
pub use mode::{FanOutConfig, Lifecycle, Mode};
pub use report::{RunEnd, ShardReport, ShutdownReport, Stopped};
pub use retire::RetireError;
pub use settings::{Checkpoints, CoordinationOn, OnDataGap, Settings, Until, WorkerLabel};
pub use status::{Phase, ReadFailure, ShardError, ShardState, ShardStatus, Status, StreamState, UnreadableShard};
pub use streams::StreamConfig;
pub use worker::{Stop, Worker};
