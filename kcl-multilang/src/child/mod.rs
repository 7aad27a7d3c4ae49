//! A child process: how it is started, how one talks with it, and how it ends.

mod error;
mod launcher;
mod output;
mod process;
mod wrapper;

pub use error::ChildError;
pub(crate) use launcher::Launcher;
pub(crate) use process::{ChildProcess, Desk, Question};
pub use wrapper::run_as_child;
