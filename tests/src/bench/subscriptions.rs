use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::kinesis::http::Http2Settings;
use kcl_core::{Clock, Failure, RecordProcessor, SystemClock};
use tokio::sync::watch;

use super::BenchLoad;
use super::compare::all_came;
use super::count::{Count, Counter};
use super::measure::Figures;
use super::process::Server;
use super::worker::{run, stream};

/// What a worker of many subscriptions may take beside its byte budget and the windows of its
/// connections.
const BESIDE: usize = 150 << 20;
/// How long handlers stay stopped when everything else is done: what the windows hold has come by
/// then.
const STOPPED_ON: Duration = Duration::from_secs(5);

/// The peak of memory of a worker in this process that is subscribed to every shard, and whose
/// handlers of some shards stop at their first records until all other shards are done. Prints it
/// beside what it may be.
///
/// # Errors
/// When a process fails, or not every record came once.
pub async fn subscriptions(
    load: &BenchLoad,
    stopped: u32,
    arguments: &[String],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut server = Server::start(arguments).map_err(|error| error.to_string())?;
    let stopped = u64::from(stopped.min(load.shards));
    let a_shard = load.records / u64::from(load.shards);
    let (flowing, held) = (
        Count::of(load.records - stopped * a_shard, load),
        Count::of(stopped * a_shard, load),
    );
    let (open, gate) = watch::channel(false);
    let begun = AtomicU64::new(0);
    let counts = (Arc::clone(&flowing), Arc::clone(&held));
    let processor = move |_: &ShardRef| {
        let is_stopped = begun.fetch_add(1, Ordering::Relaxed) < stopped;
        let count = if is_stopped { &counts.1 } else { &counts.0 };
        Gated {
            gate: is_stopped.then(|| gate.clone()),
            counter: Counter(Arc::clone(count)),
        }
    };
    let mut while_stopped = None;
    run(stream(&server.endpoint, load)?, load, processor, async {
        flowing.all().await;
        SystemClock
            .sleep_until(SystemClock.now() + STOPPED_ON)
            .await;
        while_stopped = Some((Figures::of_this_process(0, 0), held.records()));
        open.send_replace(true);
        held.all().await;
    })
    .await?;
    server.stop();
    let (records, sums) = (
        flowing.records() + held.records(),
        flowing.sum().wrapping_add(held.sum()),
    );
    let Some((figures, 0)) = while_stopped else {
        return Err("a handler that was stopped was done".into());
    };
    let (figures, whole) = (figures?, Figures::of_this_process(records, sums)?);
    all_came(records, sums, load)?;
    let windows = load.shards as usize * Http2Settings::default().window as usize;
    let mib = |bytes: usize| bytes as f64 / 1024.0 / 1024.0;
    println!(
        "{} subscriptions, {stopped} with a stopped handler, {records} records of {} bytes: peak {:.1} MiB until they went on, {:.1} MiB in \
         all; at most {:.0} MiB is wanted ({:.0} budget, {:.0} windows, {:.0} beside)",
        load.shards,
        load.size,
        figures.peak_kib as f64 / 1024.0,
        whole.peak_kib as f64 / 1024.0,
        mib(load.budget + windows + BESIDE),
        mib(load.budget),
        mib(windows),
        mib(BESIDE)
    );
    Ok(())
}

/// A handler that may be stopped.
struct Gated {
    gate: Option<watch::Receiver<bool>>,
    counter: Counter,
}

impl RecordProcessor for Gated {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        if let Some(gate) = &mut self.gate {
            // Its sender is gone when the benchmark is over.
            let _ = gate.wait_for(|open| *open).await;
        }
        self.counter.process_records(input).await
    }
}
