//! Opening and preparing a table: options, client, creation and checks.
//!
//! ```text
//! OpenOptions --open--> DynamoLeaseTable    nothing is sent, settings are checked
//!                          | setup
//!                          +- ready_table   describes, creates, waits, checks the key
//!                          +- look_around   Java workers?
//!                          +- check_rights  each kind of call once
//! ```
//!
//! Opening is separate from setting up, so that a mistake in the configuration is found without a
//! network, and so that `setup` can be repeated when DynamoDB was not reachable.

mod check;
mod create;
mod error;
mod options;

pub(crate) use check::check_rights;
pub(crate) use create::ready_table;
pub use error::OpenError;
pub(crate) use options::Settings;
pub use options::{JavaWorkers, NewTable, OpenOptions};
