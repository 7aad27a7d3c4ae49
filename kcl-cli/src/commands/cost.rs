//! `cost`: what a fleet asks of its lease table and its stream, computed and not measured.
//!
//! A bill arrives a month later and a measurement takes an hour. The rules of how often a worker
//! writes and reads are known, so the rows of the table are enough to compute both.
//!
//! What it leaves out: starts and stops, hand-overs, and the checkpoints that a processor stores
//! itself. Automatic checkpoints cost nothing of their own where leases are renewed, because they
//! travel with the renewals. Where heartbeats hold the leases, each is a write, and no more than one in
//! 5 s with the default settings; it says so.
//!
//! | line | when it is large |
//! |---|---|
//! | renewals | many leases beside a KCL; a longer failover time makes them rarer |
//! | scans | many leases *and* many workers: each worker reads all rows |
//! | heartbeats, reads of the change signal | many workers |

use clap::Args;
use kcl_core::admin::{FleetCost, FleetView, LeaseState, LeaseView, cost};
use serde::Serialize;

use super::watching::{Patience, found};
use crate::arguments::{OutputArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint, TextTable, count, span};
use crate::table_at::{OpenTable, TableAt};

/// Computes what the fleet asks of its lease table and its stream: calls, units and dollars.
///
/// It is computed from the rows, by the rules in the docs of kcl-dynamo, for an hour in which
/// nothing happens but work: no worker joins or leaves, no lease moves. The default prices are
/// DynamoDB's for on-demand capacity in us-east-1 as of November 2026; give those of your region.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl cost billing --lease-table dynamo
  kcl cost billing --write-price 0.705 --read-price 0.141
  kcl cost billing --json | jq .dollars_per_month")]
pub(crate) struct CostOptions {
    #[command(flatten)]
    table: TableArguments,
    /// Dollars per million write units.
    #[arg(long, value_name = "DOLLARS", default_value_t = WRITE_PRICE, value_parser = price)]
    write_price: f64,
    /// Dollars per million read units.
    #[arg(long, value_name = "DOLLARS", default_value_t = READ_PRICE, value_parser = price)]
    read_price: f64,
    #[command(flatten)]
    output: OutputArguments,
}

/// The JSON of `kcl cost`.
#[derive(Debug, Serialize)]
pub(super) struct CostDocument<'a> {
    /// Whose fleet was computed: one table in SQLite may have the rows of several.
    application: &'a str,
    /// In the form of `--lease-table`; its kind decides whether anything is charged.
    lease_table: String,
    /// The lines of the table, from kcl-core.
    #[serde(flatten)]
    fleet: FleetCost,
    /// The sum over all lines. One write of a row of at most 1 KB takes one unit.
    write_units_per_hour: f64,
    /// The sum over all lines. An eventually consistent read of 4 KB takes half a unit.
    read_units_per_hour: f64,
    /// At the given prices. None for a table in SQLite, which charges nothing.
    dollars_per_month: Option<f64>,
    /// Calls of the whole fleet if all shards are idle, and if all are busy. Kinesis does not
    /// charge for them, but the five per second and shard are shared with every other reader.
    get_records_per_hour: [f64; 2],
}

/// Dollars per million units, on demand, in us-east-1, in November 2026.
const WRITE_PRICE: f64 = 0.625;
const READ_PRICE: f64 = 0.125;
/// Hours in a month, as AWS counts them in its own estimates: 365 × 24 / 12.
const MONTH: f64 = 730.0;
/// How often a worker polls a shard in an hour with default settings: once a second if it is idle,
/// five times a second if it is busy, which is the most that Kinesis allows.
const POLLS: [f64; 2] = [3600.0, 18_000.0];
/// How often a lease that is always busy stores a checkpoint in an hour: once in the default
/// `checkpoint_every` of 5 s.
const CHECKPOINTS: f64 = 720.0;

/// A price in dollars. A negative price or one that is not a number would turn the bill into
/// nonsense without an error.
fn price(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|price: &f64| price.is_finite() && *price >= 0.0)
        .ok_or_else(|| "expected a price in dollars, such as 0.625".to_owned())
}

impl<'a> CostDocument<'a> {
    /// With the prices of dollars for a million units.
    fn new(table: &'a OpenTable, fleet: &FleetView, write_price: f64, read_price: f64) -> Self {
        let cost = cost(fleet);
        let (writes, reads) = (cost.write_units(), cost.read_units());
        let is_charged = matches!(table.place, TableAt::Dynamo(_));
        let month = (writes * write_price + reads * read_price) / 1e6 * MONTH;
        Self {
            application: &table.application,
            lease_table: table.place.to_string(),
            fleet: cost,
            write_units_per_hour: writes,
            read_units_per_hour: reads,
            dollars_per_month: is_charged.then_some(month),
            get_records_per_hour: POLLS.map(|polls| polls * read_shards(fleet) as f64),
        }
    }

    /// With the prices that hold if nothing is said of them.
    pub(super) fn at_list_prices(table: &'a OpenTable, fleet: &FleetView) -> Self {
        Self::new(table, fleet, WRITE_PRICE, READ_PRICE)
    }
}

/// The shards that somebody reads.
fn read_shards(fleet: &FleetView) -> usize {
    let is_read = |view: &&LeaseView| view.state == LeaseState::Held && view.waits_for.is_none();
    fleet.leases.iter().filter(is_read).count()
}

impl CostOptions {
    /// Reads the table once and computes. Shards that wait for their parents are not polled and do
    /// not count.
    ///
    /// What is printed as calls by polling is a range, because it depends on how busy the shards
    /// are.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found(&table, Patience::NONE).await?;
        let (write_price, read_price) = (self.write_price, self.read_price);
        let document = CostDocument::new(&table, &fleet, write_price, read_price);
        if self.output.json {
            Output::json(&document)?;
            return Ok(Ended::Well);
        }
        let cost = &document.fleet;
        let (writes, reads) = (document.write_units_per_hour, document.read_units_per_hour);
        let polls = document.get_records_per_hour;
        let (mut out, paint) = (Output::default(), Paint::of_output());
        out.line(format_args!(
            "{}, {} of {} held, failover time {}. Per hour:",
            count(cost.workers, "worker", "workers"),
            cost.held,
            count(cost.leases, "lease", "leases"),
            span(cost.failover)
        ));
        let mut lines =
            TextTable::new(paint, ["LEASE TABLE", "CALLS", "WRITE UNITS", "READ UNITS"]);
        let mut calls = 0.0;
        for line in &cost.lines {
            calls += line.calls_per_hour;
            lines.row([
                line.what.to_owned(),
                number(line.calls_per_hour),
                number(line.write_units_per_hour),
                number(line.read_units_per_hour),
            ]);
        }
        lines.row([
            "all".to_owned(),
            number(calls),
            number(writes),
            number(reads),
        ]);
        out.text(&lines);
        let more = cost.held_by_heartbeats as f64 * CHECKPOINTS;
        if more > 0.0 {
            out.line(format_args!(
                "Checkpoints come on top: at most {} write units if all shards are always busy, \
                 with the default checkpoint_every.",
                number(more)
            ));
        }
        if let Some(month) = document.dollars_per_month {
            out.line(format_args!(
                "${month:.2} per month ({MONTH} hours), at ${} per million write units and ${} per \
                 million read units.",
                self.write_price, self.read_price
            ));
        } else {
            out.line("SQLite charges nothing: these are the units that DynamoDB would count.");
        }
        out.line(format_args!(
            "Stream, by polling: {} (idle) to {} (busy) calls of GetRecords for {}, which Kinesis \
             does not charge for. By fan-out: none.",
            number(polls[0]),
            number(polls[1]),
            count(read_shards(&fleet), "shard", "shards")
        ));
        out.write()?;
        Ok(Ended::Well)
    }
}

/// A whole number with commas. Zero becomes an empty cell, so that the figures stand out that cost
/// something.
fn number(value: f64) -> String {
    if value == 0.0 {
        return String::new();
    }
    let digits = format!("{:.0}", value.round());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The comma is that of English, whatever the locale: the output is read by scripts too.
    #[test]
    fn a_number_has_a_comma_before_each_three_digits() {
        let said = [0.0, 7.0, 999.0, 1080.0, 1_234_567.2].map(number);
        assert_eq!(said, ["", "7", "999", "1,080", "1,234,567"]);
        assert!(price("free").is_err() && price("-1").is_err() && price("0.7") == Ok(0.7));
    }
}
