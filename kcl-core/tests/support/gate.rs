use std::sync::Arc;

use tokio::sync::watch;

use super::{Script, script};

/// A gate that handlers wait at until it is opened.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn pass(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut seen = self.0.subscribe();
        async move {
            let _ = seen.wait_for(|open| *open).await;
        }
    }

    /// Handlers that wait at the gate when they are told to stop.
    pub(crate) fn at_the_stop(&self) -> Script {
        let gate = self.clone();
        let shutdown_requested = script(move |_| {
            let open = gate.pass();
            async move {
                open.await;
                Ok(())
            }
        });
        Script {
            shutdown_requested,
            ..Script::default()
        }
    }

    /// Handlers that wait at the gate with each batch.
    pub(crate) fn processing(&self) -> Script {
        let gate = self.clone();
        Script::process(move |_| {
            let open = gate.pass();
            async move {
                open.await;
                Ok(())
            }
        })
    }
}
