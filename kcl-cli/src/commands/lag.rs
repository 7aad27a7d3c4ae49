//! `lag`: how far behind an application is, measured at the stream and not taken from the workers.
//!
//! Workers export the same figure, but only while they run. This command also works when all of
//! them are dead, which is when the answer matters most.
//!
//! ```text
//! checkpoint of a lease --GetShardIterator--> GetRecords, at most 2 records --> the age of the first
//!                                                                               that is not done
//! ```
//!
//! The record at the checkpoint is read again on purpose: if it has expired, records behind it may
//! have expired too, and that is reported as a gap.

use std::cmp::Reverse;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::{Asked, LeaseLag};
use serde::Serialize;

use super::of_stream::{OfStream, measured, stream_of};
use super::watching::{Patience, found};
use crate::arguments::{OutputArguments, StreamOfArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint, TextTable, count, span};

/// Shows how far behind each lease is, by asking the stream at its checkpoint. Exit code 1 if one
/// is further behind than --max.
///
/// It asks each shard once: one GetShardIterator, and one GetRecords of at most two records, out of
/// the five per second that all readers of a shard share. The last line says what was asked. The
/// lag is that of the stored checkpoint: what is done but not stored yet counts as behind.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl lag billing --lease-table dynamo
  kcl lag billing --max 5m && echo fresh
  kcl lag billing --json | jq '.max_behind_seconds'

Exit codes: 0 no lease is further behind than --max, 1 one is, or its shard could not be asked,
3 it failed.")]
pub(crate) struct LagOptions {
    #[command(flatten)]
    table: TableArguments,
    /// How far behind a lease may be: a length of time such as 30s or 5m. Without it the exit code
    /// says nothing about the lag.
    #[arg(long, value_name = "SPAN", value_parser = parse::span)]
    max: Option<Duration>,
    #[command(flatten)]
    stream: StreamOfArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// The JSON of `kcl lag`.
#[derive(Debug, Serialize)]
pub(super) struct LagDocument<'a> {
    /// Whose checkpoints were compared with the stream.
    application: &'a str,
    /// The stream that was asked, by the name or ARN that led to it.
    stream: String,
    /// The lag of the lease that is furthest behind. None if no shard could be asked; leases whose
    /// shard could not be asked do not count.
    max_behind_seconds: Option<f64>,
    /// How long the stream keeps records: what the lag is to be compared with.
    retention_seconds: f64,
    /// The leases that are not finished, in the order of the table for people.
    leases: &'a [LeaseLag],
    /// What this cost the stream, so that a monitor can be sized.
    asked: Asked,
}

impl<'a> LagDocument<'a> {
    pub(super) fn new(
        application: &'a str,
        of: &OfStream,
        leases: &'a [LeaseLag],
        asked: Asked,
    ) -> Self {
        let worst = leases.iter().filter_map(|lag| lag.behind).max();
        Self {
            application,
            stream: of.name.to_string(),
            max_behind_seconds: worst.map(|worst| worst.as_secs_f64()),
            retention_seconds: of.view.description.retention.as_secs_f64(),
            leases,
            asked,
        }
    }
}

/// The furthest behind first, before it what could not be asked.
pub(super) fn sort(lags: &mut [LeaseLag]) {
    lags.sort_by_key(|lag| (lag.behind.is_some(), Reverse(lag.behind), lag.lease.clone()));
}

impl LagOptions {
    /// Reads the leases once, asks the stream at each checkpoint, and prints the worst first.
    ///
    /// The table is not watched: a lag depends on checkpoints alone, not on who is alive.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = found(&table, Patience::NONE).await?;
        let of = stream_of(&table, &fleet, &self.stream).await?;
        let (mut lags, asked) = measured(&of, &fleet).await;
        sort(&mut lags);
        let worst = lags.iter().filter_map(|lag| lag.behind).max();
        if self.output.json {
            Output::json(&LagDocument::new(&table.application, &of, &lags, asked))?;
        } else {
            self.say(&lags, asked, worst).write()?;
        }
        Ok(if lags.iter().any(|lag| self.is_too_far(lag)) {
            Ended::WithFindings
        } else {
            Ended::Well
        })
    }

    /// Whether a lease is further behind than `--max`. One that could not be asked counts as too
    /// far: a monitor that stays silent when it sees nothing is worse than a false alarm.
    ///
    /// Without `--max` nothing is too far.
    fn is_too_far(&self, lag: &LeaseLag) -> bool {
        self.max
            .is_some_and(|max| lag.behind.is_none_or(|behind| behind > max))
    }

    /// The lag for people. `EXPIRES IN` is how long the record at the position is still kept, and
    /// `NOTE` is a gap or the reason why the shard could not be asked.
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
            "{}, at most {} behind. Asked: {} GetShardIterator, {} GetRecords, which returned {}.",
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
