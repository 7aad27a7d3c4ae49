//! Why a server did not start.
//!
//! Everything that can go wrong shows when the server starts, and not at its first request: a test
//! that cannot have its stream fails with the reason.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::JournalError;

/// Why a [`LocalStream`](super::LocalStream) did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting has an invalid value.
    #[error("invalid {setting}: got {value:?}, expected {allowed}")]
    Setting {
        /// The setting, by the name of its builder method.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The server cannot listen at the address.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[cfg(feature = "stream-tls")]
    #[error("cannot serve TLS with this certificate and key: {problem}")]
    Identity {
        /// What is wrong with them.
        problem: &'static str,
        /// The error of the TLS library, if it was called.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The server's threads cannot be started.
    #[error("cannot start the threads of the server")]
    Threads(#[source] std::io::Error),
    /// The folder cannot be created.
    #[error("cannot create the folder {folder:?}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The streams in the folder cannot be read.
    #[error("cannot read the streams in {folder:?}: {detail}")]
    Streams {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with them.
        detail: String,
    },
    /// The records in the folder cannot be read.
    #[error("cannot use the records in {folder:?}")]
    Records {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with them.
        source: JournalError,
    },
    /// The server ended while it was starting.
    #[error("the server ended while it was starting")]
    Ended,
}
