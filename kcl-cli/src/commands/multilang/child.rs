//! `multilang-child`: the hidden command by which the daemon starts its children.

use std::convert::Infallible;
use std::ffi::OsString;

use clap::Args;

use crate::failure::Failure;

/// Runs a command that ends with the daemon. The daemon starts its children by it; it is of no use
/// on a command line.
#[derive(Args, Debug)]
pub(crate) struct ChildOptions {
    /// The process id of the daemon.
    parent: u32,
    /// The command with its arguments, as the properties file has it. They may be any bytes.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl ChildOptions {
    /// Becomes the command. It returns only if that fails: on success there is no process of this
    /// program any more that could return.
    ///
    /// # Errors
    /// The command cannot be found or run, or the daemon has already ended.
    pub(crate) fn become_it(&self) -> Result<Infallible, Failure> {
        let error = kcl_multilang::run_as_child(self.parent, &self.command);
        let command = self.command.join(OsString::from(" ").as_os_str());
        Err(Failure::new(
            format!("cannot run the child `{}`", command.display()),
            error,
        ))
    }
}
