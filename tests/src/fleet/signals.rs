//! The signals that end a fleet. Unlike `kcl_core::stop_signal`, a second Ctrl-C is caught too: the
//! processes of the fleet have to be ended with it.

use std::io;

use kcl_core::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

/// Catches SIGINT and SIGTERM from the moment it is made.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    /// The next one. Cancel safe.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            // The streams of signals end with the runtime only.
            else => std::future::pending().await,
        }
    }
}
