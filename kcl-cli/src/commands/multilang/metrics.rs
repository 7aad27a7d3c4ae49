//! The metrics of the daemon, and whether it works, where Prometheus and Kubernetes ask for them: the
//! [`HealthServer`] of every worker.

use std::net::SocketAddr;

use kcl_core::Worker;
use kcl_core::health::HealthServer;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;

/// The metrics, which are collected from the moment when this is made.
///
/// It has two halves: a worker that was made before the recorder would count into nothing, and the
/// server answers for a worker.
#[derive(Debug)]
pub(super) struct Metrics {
    address: SocketAddr,
    /// The recorder that every part of the process writes to.
    recorder: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder.
    ///
    /// # Errors
    /// Another recorder was installed before.
    pub(super) fn collect(address: SocketAddr) -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new()
            .install_recorder()
            .map_err(|error| Failure::new("cannot collect metrics", error))?;
        Ok(Self { address, recorder })
    }

    /// Answers until the server is dropped. It is logged where, as port 0 picks a free one.
    ///
    /// # Errors
    /// The address is in use, or is not this machine's.
    pub(super) async fn serve(self, worker: &Worker) -> Result<HealthServer, Failure> {
        let recorder = self.recorder;
        let server = HealthServer::new(worker)
            .metrics(move || {
                // What was recorded in the meantime is brought together, which nobody else does
                // here: the exporter would in a task of its own, which this program does not start.
                recorder.run_upkeep();
                recorder.render()
            })
            .serve(self.address)
            .await
            .map_err(|error| {
                Failure::new(format!("cannot serve metrics at {}", self.address), error)
            })?;
        if let Some(address) = server.address() {
            tracing::info!("metrics are at http://{address}/metrics");
        }
        Ok(server)
    }
}
