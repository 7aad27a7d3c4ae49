//! A worker: thin loops that carry out what [`crate::decide`] says.
//!
//! ```text
//!   the application's runtime                        the coordination thread
//!   +-----------------------------+   assignments    +------------------------------------------+
//!   | Worker::run (the root)      | <--------------- | Coordinator: looks, takes, makes leases  |
//!   |   one ShardConsumer a lease | ---------------> |   one Writer a lease: renews, checkpoints|
//!   |     Feed (fetches ahead)    |      orders      |   gates of shards that wait for parents  |
//!   +-----------------------------+                  +------------------------------------------+
//! ```
//!
//! Renewals run on a thread of their own, so that no handler can stop them, however it blocks. The root owns everything: dropping
//! the future of [`Worker::run`] ends all of it at once, like a crash; [`Worker::shutdown`] ends it in good order.

mod builder;
mod consumer;
mod coordination;
mod error;
mod event;
mod in_hand;
mod report;
mod root;
mod settings;
mod status;
mod streams;
#[expect(clippy::module_inception, reason = "the type that the folder is named for")]
mod worker;

pub use crate::deaggregate::OutOfRange;
pub use builder::{Builder, SettingError};
pub use error::RunError;
pub use event::{Event, Events, HandlerCall};
pub use report::{ShardReport, ShutdownReport, Stopped};
pub use settings::{Checkpoints, CoordinationOn, OnDataGap, Settings};
pub use status::{ShardStatus, Status};
pub use streams::StreamConfig;
pub use worker::{Stop, Worker};
