//! Runs a fleet of worker processes, breaks them on purpose, and proves what came of it: see
//! `--help`.
//!
//! ```text
//! cargo run --release -p tests --bin fleet [-- --script '5s kill 1; 20s add; 30s split']
//! cargo run --release -p tests --bin fleet -- --measure
//! ```
//!
//! How a worker of it is built, run and stopped is in `tests::fleet::run_worker`, and is what the
//! example `consume` does.

use std::process::ExitCode;

use clap::Parser;
use examples::exit::{self, USAGE};
use tests::fleet::{Command, Options, measure, run_worker, show};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(error) = examples::logging::start() {
        eprintln!("error: {error}");
        return USAGE.into();
    }
    let ended = match (&options.command, &options.measure) {
        (Some(Command::Worker(worker)), _) => Ok(run_worker(worker).await),
        (None, Some(parts)) => measure(&options, parts).await,
        (None, None) => show(&options).await,
    };
    exit::code(ended)
}
