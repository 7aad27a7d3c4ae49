//! Metrics for Prometheus: a worker records its metrics through the `metrics` facade, and an
//! application installs the recorder of its choice.
//!
//! The docs of `kcl_core::meters` list the metrics. The worker serves them as `/metrics`, next to
//! `/healthz` and `/readyz` for probes (feature `health`); a service that has an HTTP server returns
//! the output of `render` there. At the end they are printed once more.
//!
//! ```text
//! cargo run --example 08_metrics
//! curl http://127.0.0.1:9464/metrics    # while it runs
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::health::HealthServer;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{BoxError, Failure, MemoryLeaseTable, RecordProcessor, Worker};
use metrics::counter;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

struct Orders;

impl RecordProcessor for Orders {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            println!(
                "{} {}",
                record.partition_key,
                String::from_utf8_lossy(&record.data)
            );
            // The application's own metric, next to those of the worker.
            counter!("orders_total", "customer" => record.partition_key.to_string()).increment(1);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Installed before the worker is built, which registers its metrics then. With buckets,
    // Prometheus can compute quantiles over a whole fleet.
    let durations = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];
    let figures = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &durations)?
        .install_recorder()?;
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("metrics")
        .worker_id("worker-1") // Becomes the label `worker` of each metric; a random id does not.
        .lease_table(MemoryLeaseTable::new())
        .processor(|_: &ShardRef| Orders)
        .build()?;
    let shown = figures.clone();
    let server = HealthServer::new(&worker).metrics(move || shown.render());
    let _health = server.serve("127.0.0.1:9464").await?;
    worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{}", figures.render());
    Ok(())
}
