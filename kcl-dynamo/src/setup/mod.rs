//! Opening and preparing a table: options, client, creation and checks.

mod check;
mod create;
mod error;
mod options;

pub(crate) use check::check_rights;
pub(crate) use create::ready_table;
pub use error::OpenError;
pub(crate) use options::Settings;
pub use options::{Neighbours, NewTable, OpenOptions};
