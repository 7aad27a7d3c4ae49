use std::sync::Arc;
use std::time::Duration;

use kcl_core::worker::{Event, Events};
use kcl_core::{Clock, SystemClock, Worker};

/// Watches a worker's events, and reports when a start takes too long.
#[derive(Debug)]
pub struct Watch {
    events: Events,
    started: bool,
    /// What has kept the worker from starting, according to the last event about it.
    trouble: Option<Arc<str>>,
}

impl Watch {
    /// Watches from now on. Create it before the worker runs.
    #[must_use]
    pub fn new(worker: &Worker) -> Self {
        Self {
            events: worker.events(),
            started: false,
            trouble: None,
        }
    }

    /// Watches forever, unless the worker does not start in time: then returns the reason.
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

    /// Watches forever.
    pub async fn follow(&mut self) {
        loop {
            self.next().await;
        }
    }

    /// Waits for one event; forever if there are no more. Cancel safe.
    async fn next(&mut self) {
        match self.events.next().await {
            Some(event) => self.note(&event),
            None => std::future::pending().await,
        }
    }

    /// Notes an event. It is not logged here: the worker itself logs its events.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Started => self.started = true,
            Event::StepFailed { error, .. } => self.trouble = Some(Arc::clone(error)),
            _ => {}
        }
    }
}
