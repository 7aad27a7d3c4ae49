use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::processor::ShardRef;
use kcl_core::{Clock, MemoryLeaseTable, SystemClock, Worker};

use super::count::{Count, Counter};
use super::measure::Figures;
use super::process::{Server, client};
use super::worker::stream;
use super::{BenchLoad, STREAM};

/// After all leases are held: what every start does is over by then.
const SETTLED: Duration = Duration::from_secs(3);
/// How often it is looked whether all leases are held.
const LOOK: Duration = Duration::from_millis(200);

/// What a worker takes that reads shards at their tip, at the default pace: CPU for each second, and
/// the peak of memory.
///
/// # Errors
/// When a process fails.
pub fn idle(
    load: &BenchLoad,
    seconds: u64,
    rate: Option<u32>,
    arguments: &[String],
) -> Result<Figures, Box<dyn Error>> {
    let rate = rate.map(|rate| format!("--rate={rate}"));
    let of_server: Vec<_> = arguments.iter().cloned().chain(rate).collect();
    let mut server = Server::start(&of_server)?;
    let mut of_client = arguments.to_vec();
    of_client.push(format!("--seconds={seconds}"));
    let mut figures = client("quiet", &server.endpoint, &of_client)?;
    server.stop();
    figures.cpu_ms /= seconds as f64;
    let what = match figures.records {
        0 => "quiet".to_owned(),
        records => format!("{} records a second", records / seconds),
    };
    println!(
        "{} shards, {what}: {:.1} ms of CPU a second, peak {:.1} MiB",
        load.shards,
        figures.cpu_ms,
        figures.peak_kib as f64 / 1024.0
    );
    Ok(figures)
}

/// The worker process. Its lease table is in its memory, so that what is measured is what reading
/// takes.
///
/// # Errors
/// When the worker fails.
pub async fn quiet(
    endpoint: &str,
    load: &BenchLoad,
    seconds: u64,
) -> Result<Figures, Box<dyn Error + Send + Sync>> {
    let count = Count::of(u64::MAX, load);
    let counter = Arc::clone(&count);
    let worker = Worker::builder()
        .stream(STREAM)
        .application("bench")
        .source(stream(endpoint, load)?)
        .lease_table(MemoryLeaseTable::new())
        .processor(move |_: &ShardRef| Counter(Arc::clone(&counter)))
        .build()?;
    let measured = async {
        while worker.status().shards.len() < load.shards as usize {
            SystemClock.sleep_until(SystemClock.now() + LOOK).await;
        }
        SystemClock.sleep_until(SystemClock.now() + SETTLED).await;
        let before = Figures::of_this_process(count.records(), 0)?;
        let end = SystemClock.now() + Duration::from_secs(seconds);
        SystemClock.sleep_until(end).await;
        let mut after = Figures::of_this_process(count.records(), 0)?;
        after.cpu_ms -= before.cpu_ms;
        after.records -= before.records;
        Ok(after)
    };
    tokio::select! {
        biased;
        ran = worker.run() => Err(ran.map_or_else(Into::into, |_| "the worker has stopped".into())),
        figures = measured => figures,
    }
}
