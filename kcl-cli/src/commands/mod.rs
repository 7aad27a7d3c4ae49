//! What `kcl` does, a file a command.

pub(crate) mod leases;
pub(crate) mod status;
mod watching;
pub(crate) mod workers;

use crate::failure::{Ended, Failure};
use crate::options::Command;

/// Does what the command line says.
pub(crate) async fn run(command: Command) -> Result<Ended, Failure> {
    match command {
        Command::Status(options) => options.run().await,
        Command::Leases(options) => options.run().await,
        Command::Workers(options) => options.run().await,
    }
}
