//! The log of a program: to standard error, at `warn` unless `RUST_LOG` says otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What AWS says at length when there is no region or are no credentials, our errors say in one
/// line.
const QUIET: &str = "warn,aws_config=error";

/// Sends the log to standard error. Coloured only on a terminal, and not if `NO_COLOR` is set to
/// anything.
///
/// # Errors
/// `RUST_LOG` cannot be read.
pub fn start() -> Result<(), String> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) => filter.parse(directives),
        Err(_) => filter.parse(QUIET),
    };
    let filter = filter.map_err(|error| {
        format!("RUST_LOG: {error}; expected a level such as `info`, or `kcl_core=debug,warn`")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours())
        .init();
    Ok(())
}

/// Whether standard error takes colours.
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}
