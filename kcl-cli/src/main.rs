//! `kcl`: which worker holds which lease, which workers are alive and how far behind an application
//! is, from a shell.
//!
//! ```text
//! kcl status billing --lease-table dynamo
//! ```
//!
//! `kcl --help` names the commands, and `docs/cli.md` shows each of them with its output.
//!
//! The program has no knowledge of its own about fleets. [`options`] is the command line,
//! [`commands`] has one file per command, and each of them asks `kcl_core::admin` and prints the
//! answer with [`say`]. What `kcl` finds out, a program can find out through that module.
//!
//! ```text
//! options -> commands -> table_at, stream_at   open what is asked
//!                     -> kcl_core::admin       reads and judges
//!                     -> say                   tables, JSON, colours, progress
//!         <- failure                           the exit code
//! ```
//!
//! Standard output carries only the answer, so that it can be piped. Progress, refusals, errors and
//! the log of the libraries go to standard error.

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
use options::{Command, Options};

/// Two worker threads are enough: the program waits for a table and a stream, and computes little.
///
/// The log starts before the runtime does, so that an invalid `RUST_LOG` is an error of its own and
/// not lost among what the libraries would have logged. The exit code is returned, and not passed
/// to `exit`, so that destructors run: a progress bar clears itself.
fn main() -> ExitCode {
    let options = Options::parse();
    let (format, level) = options.command.log();
    let ended = say::log::start(format, level).and_then(|()| {
        if let Command::MultilangChild(options) = &options.command {
            // Before there is any other thread: the system ends it with the thread that asked.
            return options.become_it().map(|never| match never {});
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::new("cannot start the threads of kcl", error))?;
        runtime.block_on(options.command.run())
    });
    code(ended)
}
