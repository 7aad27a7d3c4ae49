use std::error::Error;

use super::measure::touch;
use super::process::{Server, client};
use super::{BenchLoad, Figures, Reading};

/// What the ratio of a worker's CPU to the bare loop's should not be above, for records that are
/// not in aggregates.
const MOST: f64 = 1.15;

/// Runs the two clients in turn and prints what came out: every run, the medians, the ratio of the
/// medians with its spread.
///
/// # Errors
/// When a process fails, or the two have not read the same.
pub fn compare(load: &BenchLoad, runs: usize, arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let mut server = Server::start(arguments)?;
    let sum = sum(load);
    let megabytes = load.records as f64 * load.size as f64 / 1e6;
    let packed = if load.aggregate > 1 {
        format!(
            " in aggregates of {}, keys {:?},",
            load.aggregate, load.keys
        )
    } else {
        String::new()
    };
    let how = match load.mode {
        Reading::Polling => format!("Limit {}", load.limit),
        Reading::FanOut => "pushed".to_owned(),
    };
    println!(
        "{} records of {} bytes{packed} on {} shards, {how}, budget {} MiB",
        load.records,
        load.size,
        load.shards,
        load.budget >> 20
    );
    println!(
        "{:>4} {:>14} {:>14} {:>7} {:>12} {:>12}",
        "run", "bare CPU ms", "worker CPU ms", "ratio", "bare MiB", "worker MiB"
    );
    let (mut bare, mut worker) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let pair = [
            client("bare", &server.endpoint, arguments)?,
            client("worker", &server.endpoint, arguments)?,
        ];
        if !all_was_read(load, sum, &pair) {
            return Err(format!("the two have not read what there is: {pair:?}").into());
        }
        let label = if run == 0 {
            "warm".to_owned()
        } else {
            run.to_string()
        };
        let ratio = pair[1].cpu_ms / pair[0].cpu_ms;
        let mib = |figures: &Figures| figures.peak_kib as f64 / 1024.0;
        println!(
            "{label:>4} {:>14.0} {:>14.0} {ratio:>7.3} {:>12.1} {:>12.1}",
            pair[0].cpu_ms,
            pair[1].cpu_ms,
            mib(&pair[0]),
            mib(&pair[1])
        );
        // The first pair warms the server and the page cache.
        if run > 0 {
            bare.push(pair[0]);
            worker.push(pair[1]);
        }
    }
    let ratios: Vec<f64> = bare
        .iter()
        .zip(&worker)
        .map(|(bare, worker)| worker.cpu_ms / bare.cpu_ms)
        .collect();
    let (low, high) = ratios
        .iter()
        .fold((f64::MAX, 0.0_f64), |(low, high), ratio| {
            (low.min(*ratio), high.max(*ratio))
        });
    let bound = if load.aggregate > 1 {
        String::new()
    } else {
        format!("; at most {MOST} is wanted")
    };
    let cpu = |figures: &[Figures]| median(figures.iter().map(|figures| figures.cpu_ms).collect());
    let peak = |figures: &[Figures]| {
        median(
            figures
                .iter()
                .map(|figures| figures.peak_kib as f64 / 1024.0)
                .collect(),
        )
    };
    println!(
        "median: bare {:.0} ms CPU ({:.2} ms/MB), worker {:.0} ms CPU ({:.2} ms/MB); ratio of medians {:.3} (pairs {low:.3} to {high:.3}{bound}); \
         peak {:.1} MiB, {:.1} MiB",
        cpu(&bare),
        cpu(&bare) / megabytes,
        cpu(&worker),
        cpu(&worker) / megabytes,
        cpu(&worker) / cpu(&bare),
        peak(&bare),
        peak(&worker)
    );
    server.stop();
    Ok(())
}

/// The sum over every byte of the user records.
pub(super) fn sum(load: &BenchLoad) -> u64 {
    let (mut contents, mut sum) = (load.contents(), 0_u64);
    while let Some((_, content)) = contents.next() {
        sum = sum.wrapping_add(touch(content));
    }
    sum
}

/// Whether the bare loop has read each Kinesis record and the worker each user record. What the
/// bare loop reads is more than the user records where they are in aggregates, so its bytes can
/// only be compared where they are not.
fn all_was_read(load: &BenchLoad, sum: u64, [bare, worker]: &[Figures; 2]) -> bool {
    bare.records == load.kinesis_records_a_shard() * u64::from(load.shards)
        && (load.aggregate > 1 || bare.sum == sum)
        && (worker.records, worker.sum) == (load.records, sum)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
