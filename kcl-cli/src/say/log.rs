//! The log of the libraries: on standard error, errors only unless `RUST_LOG` says otherwise.
//!
//! At a lower level the warnings of a worker's building blocks would stand between the lines of an
//! answer, although the command itself reports what it could not do.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Starts the log of this process. It is called once, before anything is logged.
///
/// # Errors
/// `RUST_LOG` cannot be parsed. Ignoring it would hide the log from somebody who asked for it.
pub(crate) fn start() -> Result<(), Failure> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned());
    let filter = EnvFilter::builder().parse(&text).map_err(|error| {
        Failure::new(
            format!(
                "invalid RUST_LOG: got `{text}`, expected a level such as `info` or \
                 `kcl_core=debug`"
            ),
            error,
        )
    })?;
    let colours = super::paint::wanted(std::io::stderr().is_terminal());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .init();
    Ok(())
}
