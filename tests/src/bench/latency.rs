use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kcl_core::model::Moment;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{Clock, Failure, RecordProcessor, SystemClock};

use super::BenchLoad;
use super::process::Server;
use super::timed::{Arrivals, Timed};
use super::worker::{run, stream};

/// The time from an event's arrival, when the SDK's receiver has given it, to the beginning of
/// `process_records`: by a worker in this process, of records that a server in another puts one by
/// one. What comes in `warm_up` does not count. Prints what came out.
///
/// # Errors
/// When a process fails, or nothing came.
pub async fn latency(
    load: &BenchLoad,
    warm_up: Duration,
    measured: Duration,
    arguments: &[String],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut server = Server::start(arguments).map_err(|error| error.to_string())?;
    let (source, arrivals) = Timed::new(stream(&server.endpoint, load)?);
    let begin = SystemClock.now() + warm_up;
    let seen = Arc::new(LatencyWindow {
        from: begin,
        until: begin + measured,
        ..LatencyWindow::default()
    });
    let noted = Arc::clone(&seen);
    let processor = move |_: &ShardRef| Watch {
        arrivals: Arc::clone(&arrivals),
        seen: Arc::clone(&noted),
    };
    run(
        source,
        load,
        processor,
        SystemClock.sleep_until(begin + measured),
    )
    .await?;
    server.stop();
    let mut taken = std::mem::take(&mut *seen.taken.lock().unwrap_or_else(PoisonError::into_inner));
    taken.latencies.sort_unstable();
    let (events, seconds) = (taken.latencies.len(), measured.as_secs_f64());
    let (Some(longest), false) = (taken.latencies.last(), taken.unknown > 0) else {
        return Err(format!(
            "{events} events, and {} whose arrival is not known",
            taken.unknown
        )
        .into());
    };
    let of = |share: f64| {
        taken.latencies[((events - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3
    };
    println!(
        "{events} events in {seconds:.0} s ({:.0} a second, {:.2} records each) on {} shards: \
         p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms; p99 below 1 ms is wanted",
        events as f64 / seconds,
        taken.records as f64 / events as f64,
        load.shards,
        of(0.5),
        of(0.99),
        of(0.999),
        longest.as_secs_f64() * 1e3
    );
    Ok(())
}

/// What the handlers have seen between two moments.
#[derive(Default)]
struct LatencyWindow {
    from: Moment,
    until: Moment,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    latencies: Vec<Duration>,
    records: usize,
    /// Calls whose first record was the first of no event.
    unknown: usize,
}

struct Watch {
    arrivals: Arc<Arrivals>,
    seen: Arc<LatencyWindow>,
}

impl RecordProcessor for Watch {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let now = SystemClock.now();
        let first = input
            .records
            .first()
            .and_then(|record| self.arrivals.take(&input.shard.shard, record.sequence()));
        if now < self.seen.from || now >= self.seen.until {
            return Ok(());
        }
        let mut taken = self
            .seen
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match first {
            Some(arrived) => {
                taken.latencies.push(now.since(arrived));
                taken.records += input.records.len();
            }
            None => taken.unknown += 1,
        }
        Ok(())
    }
}
