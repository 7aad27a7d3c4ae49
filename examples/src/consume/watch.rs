use std::sync::Arc;
use std::time::Duration;

use kcl_core::worker::{Event, Events};
use kcl_core::{Clock, SystemClock, Worker};

/// Writes a worker's events to the log, and tells when a start takes too long.
#[derive(Debug)]
pub struct Watch {
    events: Events,
    started: bool,
    /// What kept the worker from starting, as it was said last.
    trouble: Option<Arc<str>>,
}

impl Watch {
    /// Watches from now on. Make it before the worker runs.
    #[must_use]
    pub fn new(worker: &Worker) -> Self {
        Self {
            events: worker.events(),
            started: false,
            trouble: None,
        }
    }

    /// Watches for ever, unless the worker does not start in time: then the trouble is returned.
    pub async fn start_within(&mut self, span: Duration) -> String {
        let deadline = SystemClock.now() + span;
        loop {
            tokio::select! {
                biased;
                () = self.next() => {}
                () = SystemClock.sleep_until(deadline), if !self.started => {
                    let trouble = self.trouble.as_deref().unwrap_or("no response");
                    return format!("the worker did not start within {}: {trouble}", humantime::format_duration(span));
                }
            }
        }
    }

    /// Watches for ever.
    pub async fn follow(&mut self) {
        loop {
            self.next().await;
        }
    }

    /// One event; for ever when there is none any more. Cancel safe.
    async fn next(&mut self) {
        match self.events.next().await {
            Some(event) => self.note(&event),
            None => std::future::pending().await,
        }
    }

    /// What is worth a line the worker logs itself.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Started => self.started = true,
            Event::StepFailed { error, .. } => self.trouble = Some(Arc::clone(error)),
            _ => {}
        }
    }
}
