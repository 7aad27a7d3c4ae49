use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::handler::{RecordContext, RecordHandler, by_key};
use kcl_core::model::Record;
use kcl_core::{BoxError, Clock, SystemClock};

use super::BenchLoad;
use super::compare::all_came;
use super::count::Count;
use super::measure::Figures;
use super::process::Server;
use super::worker::{run, stream};

/// What a worker may take beside its byte budget, with a slow handler of records.
const BESIDE: usize = 32 << 20;

/// The pace and the peak of memory of a worker in this process whose handler takes a while for each
/// record, with so many records at work, one of a partition key at a time. Prints both beside what
/// they may be.
///
/// # Errors
/// When a process fails, or not every record came once.
pub async fn lanes(
    load: &BenchLoad,
    at_work: u16,
    takes: Duration,
    arguments: &[String],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut server = Server::start(arguments).map_err(|error| error.to_string())?;
    let count = Count::of(load.records, load);
    let handler = SlowHandler {
        count: Arc::clone(&count),
        takes,
    };
    let processor = by_key(usize::from(at_work), handler);
    let pace = run(stream(&server.endpoint, load)?, load, processor, async {
        count.first().await;
        let begun = SystemClock.now();
        count.all().await;
        load.records as f64 / SystemClock.now().since(begun).as_secs_f64()
    })
    .await?;
    server.stop();
    let (records, came) = (count.records(), count.sum());
    all_came(records, came, load)?;
    let figures = Figures::of_this_process(records, came)?;
    let ideal = f64::from(at_work) / takes.as_secs_f64();
    let mib = |bytes: usize| bytes as f64 / 1024.0 / 1024.0;
    println!(
        "{load}: {at_work} at work for {takes:?} each: {pace:.0} records a second, {:.1} % of the {ideal:.0} that this allows, \
         {:.2} s of CPU; peak {:.1} MiB, at most {:.0} MiB is wanted ({:.0} budget, {:.0} beside)",
        pace / ideal * 100.0,
        figures.cpu_ms / 1e3,
        figures.peak_kib as f64 / 1024.0,
        mib(load.budget + BESIDE),
        mib(load.budget),
        mib(BESIDE)
    );
    Ok(())
}

/// A handler that waits for something else, such as another service.
struct SlowHandler {
    count: Arc<Count>,
    takes: Duration,
}

impl RecordHandler for SlowHandler {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        let clock = SystemClock;
        clock.sleep_until(clock.now() + self.takes).await;
        self.count.add(std::slice::from_ref(record));
        Ok(())
    }
}
