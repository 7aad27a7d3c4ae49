//! `kcl`: see the leases, workers and lag of a fleet of Kinesis consumers from a shell.
//!
//! ```text
//! kcl status billing --lease-table dynamo
//! ```
//!
//! `kcl --help` names the commands, and `docs/cli.md` shows each of them with its output.

mod arguments;
mod commands;
mod failure;
mod options;
mod parse;
mod say;
mod stream_at;
mod table_at;

use std::process::ExitCode;

use clap::Parser as _;

use failure::{Failure, code};
use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = say::log::start().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::new("cannot start", error))?;
        runtime.block_on(options.command.run())
    });
    code(ended)
}
