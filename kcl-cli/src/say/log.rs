//! The log of the libraries: to standard error, errors only unless `RUST_LOG` says otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

pub(crate) fn start() -> Result<(), Failure> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned());
    let filter = EnvFilter::builder().parse(&text).map_err(|error| {
        Failure::new(
            format!("RUST_LOG is `{text}`: expected a level such as `info`, or `kcl_core=debug`"),
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
