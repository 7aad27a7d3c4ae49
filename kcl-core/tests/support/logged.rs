use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::locked;

/// Everything that was logged in this process.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Of every thread, from now on. Once a process.
    pub(crate) fn in_this_process() -> Self {
        let logged = Self::default();
        // The coordination has a thread of its own, so a subscriber of this thread would not do.
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(logged.clone());
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        logged
    }

    /// Of this thread, as long as the guard lives: with `CoordinationOn::CallersRuntime` that is
    /// all of a worker.
    pub(crate) fn on_this_thread(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .without_time();
        tracing::subscriber::set_default(subscriber.with_writer(self.clone()).finish())
    }

    /// What was logged since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *locked(&self.0))).unwrap()
    }
}

/// The lines above debug.
pub(crate) fn loud(lines: &str) -> Vec<&str> {
    lines
        .lines()
        .filter(|line| !line.starts_with("DEBUG") && !line.starts_with("TRACE"))
        .collect()
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
