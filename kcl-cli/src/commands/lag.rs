use std::cmp::Reverse;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::{Asked, LeaseLag};
use serde::Serialize;

use super::of_stream::{measured, stream_of};
use super::watching::{Patience, found};
use crate::arguments::{OutputArguments, StreamOfArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint, TextTable, count, span};

/// Shows how far behind each lease is, by asking the stream at its checkpoint. Exit code 1 if one
/// is further behind than --max.
///
/// It asks each shard once: a GetShardIterator, and a GetRecords of two records at most, out of the
/// five a second that all readers of a shard share. What it asked is said at the end. The lag is
/// that of the stored checkpoint; work that is done and not stored yet counts as behind.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl lag billing --lease-table dynamo
  kcl lag billing --max 5m && echo fresh
  kcl lag billing --json | jq '.max_behind_seconds'

Exit codes: 0 none is further behind than --max, 1 one is, or could not be asked, 3 it failed.")]
pub(crate) struct LagOptions {
    #[command(flatten)]
    table: TableArguments,
    /// How far behind a lease may be: a span such as 30s or 5m.
    #[arg(long, value_name = "SPAN", value_parser = parse::span)]
    max: Option<Duration>,
    #[command(flatten)]
    stream: StreamOfArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct LagDocument<'a> {
    application: &'a str,
    stream: String,
    max_behind_seconds: Option<f64>,
    retention_seconds: f64,
    leases: &'a [LeaseLag],
    asked: Asked,
}

impl LagOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found(&table, Patience::NONE).await?;
        let of = stream_of(&table, &fleet, &self.stream).await?;
        let (mut lags, asked) = measured(&of, &fleet).await;
        // The furthest behind first, before it what could not be asked.
        lags.sort_by_key(|lag| (lag.behind.is_some(), Reverse(lag.behind), lag.lease.clone()));
        let worst = lags.iter().filter_map(|lag| lag.behind).max();
        if self.output.json {
            Output::json(&LagDocument {
                application: &table.application,
                stream: of.name.to_string(),
                max_behind_seconds: worst.map(|worst| worst.as_secs_f64()),
                retention_seconds: of.view.description.retention.as_secs_f64(),
                leases: &lags,
                asked,
            })?;
        } else {
            self.say(&lags, asked, worst).write()?;
        }
        Ok(if lags.iter().any(|lag| self.is_too_far(lag)) {
            Ended::WithFindings
        } else {
            Ended::Well
        })
    }

    fn is_too_far(&self, lag: &LeaseLag) -> bool {
        self.max
            .is_some_and(|max| lag.behind.is_none_or(|behind| behind > max))
    }

    fn say(&self, lags: &[LeaseLag], asked: Asked, worst: Option<Duration>) -> Output {
        let (mut out, paint) = (Output::default(), Paint::of_output());
        let head = ["LEASE", "BEHIND", "POSITION ARRIVED", "EXPIRES IN", "NOTE"];
        let mut table = TextTable::new(paint, head);
        for lag in lags {
            let behind = lag.behind.map_or_else(|| "?".to_owned(), span);
            let gap = lag.gap.as_ref().map(ToString::to_string);
            table.row([
                lag.lease.to_string(),
                if self.is_too_far(lag) {
                    paint.bad(&behind)
                } else {
                    behind
                },
                lag.position_at.map(|at| at.to_string()).unwrap_or_default(),
                lag.retention_left.map(span).unwrap_or_default(),
                gap.or_else(|| lag.error.clone()).unwrap_or_default(),
            ]);
        }
        out.text(&table);
        out.line(format_args!(
            "{}, at most {} behind. Asked: {} GetShardIterator, {} GetRecords, which gave {}.",
            count(lags.len(), "unfinished lease", "unfinished leases"),
            worst.map_or_else(|| "?".to_owned(), span),
            asked.get_shard_iterator,
            asked.get_records,
            count(
                usize::try_from(asked.records).unwrap_or(usize::MAX),
                "record",
                "records"
            )
        ));
        out
    }
}
