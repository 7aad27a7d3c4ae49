use std::convert::Infallible;
use std::ffi::OsString;

use clap::Args;

use crate::failure::Failure;

/// Runs a command that ends with the daemon. The daemon starts its children by it.
#[derive(Args, Debug)]
pub(crate) struct ChildOptions {
    /// The process id of the daemon.
    parent: u32,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl ChildOptions {
    /// Becomes the command. Returns only if that fails.
    pub(crate) fn become_it(&self) -> Result<Infallible, Failure> {
        let error = kcl_multilang::run_as_child(self.parent, &self.command);
        let command = self.command.join(OsString::from(" ").as_os_str());
        Err(Failure::new(
            format!("cannot run the child `{}`", command.display()),
            error,
        ))
    }
}
