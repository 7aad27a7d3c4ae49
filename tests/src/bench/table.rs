use std::error::Error;
use std::fs;

use super::{BenchLoad, compare, idle};

/// A row of the table.
#[derive(Debug)]
#[non_exhaustive]
pub enum BenchRow {
    /// The clients in turn.
    Compared,
    /// A worker at the tip of its shards, for so many seconds, with so many records a second.
    Idle(u64, Option<u32>),
}

/// Measures each row and prints the table of docs/performance.md, with the machine's load before and
/// after.
///
/// # Errors
/// When a process fails, or the clients have not read the same.
pub fn table(
    rows: Vec<(&str, BenchRow, BenchLoad, Vec<String>)>,
    runs: usize,
) -> Result<(), Box<dyn Error>> {
    let before = load_average()?;
    let mut lines = Vec::new();
    for (name, row, load, arguments) in rows {
        let cells = match row {
            BenchRow::Compared => {
                let compared = compare(&load, runs, &arguments)?;
                println!("{}\n", compared.summary(&load));
                compared.cells()
            }
            BenchRow::Idle(seconds, rate) => {
                let figures = idle(&load, seconds, rate, &arguments)?;
                let mib = figures.peak_kib / 1024;
                format!("| {:.1} ms a second, {mib} MiB | |", figures.cpu_ms)
            }
        };
        lines.push(format!("| {name} | {cells} |"));
    }
    println!("| what is read | bare loop | worker | ratio | floor |\n|---|---|---|---|---|");
    for line in lines {
        println!("{line}");
    }
    println!(
        "\n{runs} runs of each. Load average of the machine before: {before}; after: {}",
        load_average()?
    );
    Ok(())
}

/// Of the last 1, 5 and 15 minutes.
fn load_average() -> std::io::Result<String> {
    let all = fs::read_to_string("/proc/loadavg")?;
    Ok(all.split(' ').take(3).collect::<Vec<_>>().join(", "))
}
