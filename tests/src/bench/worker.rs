use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::ByteBudget;
use kcl_core::processor::ShardRef;
use kcl_core::stream::Stream;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::kinesis::http::Http1Client;
use kcl_core::worker::{Builder, FanOutConfig, Mode};
use kcl_core::{RecordProcessorFactory, Worker};
use kcl_local::SqliteLeaseTable;

use super::client::client;
use super::count::{Count, Counter};
use super::measure::Figures;
use super::{BenchLoad, Reading, STREAM, WORKER_CONSUMER};

/// The same with the framework: a worker with an empty lease table in a file of its own.
///
/// # Errors
/// When the worker fails.
pub async fn worker(
    endpoint: &str,
    load: &BenchLoad,
) -> Result<Figures, Box<dyn Error + Send + Sync>> {
    let count = Count::of(load.records, load);
    let counter = Arc::clone(&count);
    let processor = move |_: &ShardRef| Counter(Arc::clone(&counter));
    run(stream(endpoint, load)?, load, processor, count.all()).await?;
    Ok(Figures::of_this_process(count.records(), count.sum())?)
}

/// The stream as a worker reads it.
pub(super) fn stream(
    endpoint: &str,
    load: &BenchLoad,
) -> Result<KinesisStream, Box<dyn Error + Send + Sync>> {
    let source = KinesisStream::new(&client(endpoint), STREAM.parse()?);
    let source = source.read_over(Http1Client::new());
    Ok(if load.json {
        source.without_cbor()
    } else {
        source
    })
}

/// Runs a worker until something is over.
pub(super) async fn run<T>(
    source: impl Stream,
    load: &BenchLoad,
    processor: impl RecordProcessorFactory,
    until: impl Future<Output = T>,
) -> Result<T, Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let table = SqliteLeaseTable::open(folder.path().join("leases.sqlite"), "bench").await?;
    let worker = reader(load)
        .stream(STREAM)
        .application("bench")
        .source(source)
        .lease_table(table)
        .byte_budget(ByteBudget::new(load.budget)?)
        .processor(processor)
        .build()?;
    let running = worker.run();
    let stopping = async {
        let output = until.await;
        worker.shutdown(Duration::from_secs(10)).await;
        output
    };
    let (mut running, mut stopping) = (std::pin::pin!(running), std::pin::pin!(stopping));
    tokio::select! {
        biased;
        // It has failed: nothing that is waited for will come.
        ran = &mut running => ran.map(|_| ())?,
        output = &mut stopping => {
            running.await?;
            return Ok(output);
        }
    }
    Ok(stopping.await)
}

fn reader(load: &BenchLoad) -> Builder {
    match load.mode {
        // The bare loop has no pace either.
        Reading::Polling => Worker::builder()
            .max_records(load.limit)
            .calls_per_second(1000),
        Reading::FanOut => {
            Worker::builder().mode(Mode::FanOut(FanOutConfig::shared().name(WORKER_CONSUMER)))
        }
    }
}
