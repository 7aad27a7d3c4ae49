use std::error::Error;

use super::process::{Server, client};
use super::{BenchLoad, Figures, Reading};

/// The counted runs of the clients over one load.
#[derive(Debug)]
#[non_exhaustive]
pub struct Comparison {
    bare: Vec<Figures>,
    worker: Vec<Figures>,
    /// Nothing by fan-out.
    floor: Vec<Figures>,
}

/// Runs the clients in turn and prints what came out: every run, the medians, the ratio of the
/// medians with its spread.
///
/// # Errors
/// When a process fails, or the clients have not read the same.
pub fn compare(
    load: &BenchLoad,
    runs: usize,
    arguments: &[String],
) -> Result<Comparison, Box<dyn Error>> {
    let mut server = Server::start(arguments)?;
    let sum = sum(load);
    println!("{load}");
    println!(
        "{:>4} {:>14} {:>14} {:>7} {:>12} {:>12} {:>14}",
        "run", "bare CPU ms", "worker CPU ms", "ratio", "bare MiB", "worker MiB", "floor CPU ms"
    );
    let mut compared = Comparison {
        bare: Vec::new(),
        worker: Vec::new(),
        floor: Vec::new(),
    };
    for run in 0..=runs {
        let pair = [
            client("bare", &server.endpoint, arguments)?,
            client("worker", &server.endpoint, arguments)?,
        ];
        if !all_was_read(load, sum, &pair) {
            return Err(format!("the two have not read what there is: {pair:?}").into());
        }
        let floor = match load.mode {
            Reading::Polling => Some(client("floor", &server.endpoint, arguments)?),
            Reading::FanOut => None,
        };
        let label = if run == 0 {
            "warm".to_owned()
        } else {
            run.to_string()
        };
        let floor_ms = floor.map_or_else(|| "-".to_owned(), |floor| format!("{:.0}", floor.cpu_ms));
        println!(
            "{label:>4} {:>14.0} {:>14.0} {:>7.3} {:>12.1} {:>12.1} {floor_ms:>14}",
            pair[0].cpu_ms,
            pair[1].cpu_ms,
            pair[1].cpu_ms / pair[0].cpu_ms,
            mib(&pair[0]),
            mib(&pair[1])
        );
        // The first pair warms the server and the page cache.
        if run > 0 {
            compared.bare.push(pair[0]);
            compared.worker.push(pair[1]);
            compared.floor.extend(floor);
        }
    }
    server.stop();
    Ok(compared)
}

impl Comparison {
    /// The ratio of the medians, and the least and the largest of the pairs.
    fn ratio(&self) -> (f64, f64, f64) {
        let pairs = self.bare.iter().zip(&self.worker);
        let (low, high) = pairs
            .map(|(bare, worker)| worker.cpu_ms / bare.cpu_ms)
            .fold((f64::MAX, 0.0_f64), |(low, high), ratio| {
                (low.min(ratio), high.max(ratio))
            });
        (cpu(&self.worker) / cpu(&self.bare), low, high)
    }

    /// One line for people: the medians, and the ratio.
    #[must_use]
    pub fn summary(&self, load: &BenchLoad) -> String {
        let megabytes = load.records as f64 * load.size as f64 / 1e6;
        let (ratio, low, high) = self.ratio();
        let (bare, worker) = (cpu(&self.bare), cpu(&self.worker));
        let floor = if self.floor.is_empty() {
            String::new()
        } else {
            format!(", floor {:.0} ms CPU", cpu(&self.floor))
        };
        format!(
            "median: bare {bare:.0} ms CPU ({:.2} ms/MB), worker {worker:.0} ms CPU ({:.2} ms/MB)\
             {floor}; ratio of medians {ratio:.3} (pairs {low:.3} to {high:.3}); \
             peak {:.1} MiB, {:.1} MiB",
            bare / megabytes,
            worker / megabytes,
            peak(&self.bare),
            peak(&self.worker)
        )
    }

    /// The cells of a row of a table: bare loop, worker, their ratio, floor.
    pub(super) fn cells(&self) -> String {
        let (ratio, low, high) = self.ratio();
        let of = |figures: &[Figures]| format!("{:.0} ms, {:.0} MiB", cpu(figures), peak(figures));
        let floor = if self.floor.is_empty() {
            String::new()
        } else {
            format!("{:.0} ms", cpu(&self.floor))
        };
        format!(
            "{} | {} | {ratio:.2} ({low:.2} to {high:.2}) | {floor}",
            of(&self.bare),
            of(&self.worker)
        )
    }
}

/// The sum over every byte of the user records.
pub(super) fn sum(load: &BenchLoad) -> u64 {
    let (mut contents, mut sum) = (load.contents(), 0_u64);
    while let Some((_, content)) = contents.next() {
        sum = sum.wrapping_add(load.touched(content));
    }
    sum
}

/// Whether so many records, of this sum, are all of a load, each once.
pub(super) fn all_came(records: u64, came: u64, load: &BenchLoad) -> Result<(), String> {
    if (records, came) == (load.records, sum(load)) {
        return Ok(());
    }
    Err(format!(
        "{records} records came of {}, or not the right ones",
        load.records
    ))
}

/// Whether the bare loop has read each Kinesis record and the worker each user record. What the
/// bare loop reads is more than the user records where they are in aggregates, so its bytes can
/// only be compared where they are not.
fn all_was_read(load: &BenchLoad, sum: u64, [bare, worker]: &[Figures; 2]) -> bool {
    bare.records == load.kinesis_records_a_shard() * u64::from(load.shards)
        && (load.aggregate > 1 || bare.sum == sum)
        && (worker.records, worker.sum) == (load.records, sum)
}

fn mib(figures: &Figures) -> f64 {
    figures.peak_kib as f64 / 1024.0
}

fn cpu(figures: &[Figures]) -> f64 {
    median(figures.iter().map(|figures| figures.cpu_ms).collect())
}

fn peak(figures: &[Figures]) -> f64 {
    median(figures.iter().map(mib).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
