//! The log of a program: on standard error, at level `warn` unless `RUST_LOG` says otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The SDK logs at length if there is no region or no credentials, but the program's own error says
/// it in one line.
const QUIET: &str = "warn,aws_config=error";

/// Sends the log to standard error, with colours only on a terminal and if `NO_COLOR` is not set.
///
/// # Errors
/// If `RUST_LOG` is invalid.
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

/// Whether to use colours on standard error.
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}
