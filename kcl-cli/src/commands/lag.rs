//! `lag`: how far behind an application is, as the holders of its leases say, and measured at the
//! stream where nobody does.
//!
//! Workers say it with each heartbeat, so of a fleet at work the stream is not asked. The command
//! also works when all of them are dead, which is when the answer matters most.
//!
//! ```text
//! a lease that a live worker holds --> what its row says
//! any other   --GetShardIterator--> GetRecords, at most 2 records --> the age of the first that is
//!                                                                     not done
//! ```
//!
//! Where the stream is asked, the record at the checkpoint is read again on purpose: if it has
//! expired, records behind it may have expired too, and that is reported as a gap.

use std::cmp::Reverse;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::{Asked, LeaseLag};
use serde::Serialize;

use super::lags::{Lags, said_by_holders};
use super::of_stream::{OfStream, measured, stream_of};
use super::watching::{Patience, bounded, found};
use crate::arguments::{OutputArguments, StreamOfArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint, TextTable, count, span};

/// Shows how far behind each lease is: as its holder says with its heartbeats, or else by asking the
/// stream at its checkpoint. Exit code 1 if one is further behind than --max.
///
/// A worker names the leases that are 10 s behind or stand still, at most eight of them, and says of
/// the others how far behind they are at most. The command waits for the next heartbeats, a third of
/// the failover time. Leases that nobody holds, or whose holder does not say it, are asked about at
/// the stream: one GetShardIterator, and one GetRecords of at most two records, out of the five per
/// second that all readers of a shard share. The last line says what was asked. That lag is of the
/// stored checkpoint: what is done but not stored yet counts as behind.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl lag billing --lease-table dynamo
  kcl lag billing --max 5m && echo fresh
  kcl lag billing --json | jq '.max_behind_seconds'
  kcl lag billing --ask-stream      by the stored checkpoints, also of leases that are held

Exit codes: 0 no lease is further behind than --max, 1 one is, or its shard could not be asked,
3 it failed.")]
pub(crate) struct LagOptions {
    #[command(flatten)]
    table: TableArguments,
    /// How far behind a lease may be: a length of time such as 30s or 5m. Without it the exit code
    /// says nothing about the lag.
    #[arg(long, value_name = "SPAN", value_parser = parse::span)]
    max: Option<Duration>,
    /// Asks the stream about each lease, also where its holder says how far behind it is. That shows
    /// what has expired unread, too.
    #[arg(long)]
    ask_stream: bool,
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
    /// The stream that was asked, by the name or ARN that led to it. None if none was.
    stream: Option<String>,
    /// The lag of the lease that is furthest behind. None if it is not known of any; leases whose
    /// shard could not be asked do not count.
    max_behind_seconds: Option<f64>,
    /// How long the stream keeps records: what the lag is to be compared with. None if the stream was
    /// not asked.
    retention_seconds: Option<f64>,
    /// The leases that are not finished, in the order of the table for people.
    leases: &'a [LeaseLag],
    /// What this cost the stream, so that a monitor can be sized.
    asked: Asked,
}

impl<'a> LagDocument<'a> {
    pub(super) fn new(
        application: &'a str,
        of: Option<&OfStream>,
        leases: &'a [LeaseLag],
        asked: Asked,
    ) -> Self {
        let worst = leases.iter().filter_map(|lag| lag.behind).max();
        Self {
            application,
            stream: of.map(|of| of.name.to_string()),
            max_behind_seconds: worst.map(|worst| worst.as_secs_f64()),
            retention_seconds: of.map(|of| of.view.description.retention.as_secs_f64()),
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
    /// Waits for the next heartbeats, asks the stream about the leases of which no live holder says how
    /// far behind they are, and prints the worst first.
    ///
    /// With `--ask-stream` the table is not watched: that lag depends on checkpoints alone, not on who
    /// is alive.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let found_lags = if self.ask_stream {
            let fleet = found(&table, Patience::NONE).await?;
            let of = stream_of(&table, &fleet, &self.stream).await?;
            let (lags, asked) = measured(&of, &fleet).await;
            Lags {
                of: Some(of),
                lags,
                asked,
            }
        } else {
            let fleet = found(&table, Patience::NextHeartbeats).await?;
            said_by_holders(&table, &fleet, &self.stream).await?
        };
        let Lags {
            of,
            mut lags,
            asked,
        } = found_lags;
        sort(&mut lags);
        let worst = lags.iter().filter_map(|lag| lag.behind).max();
        if self.output.json {
            Output::json(&LagDocument::new(
                &table.application,
                of.as_ref(),
                &lags,
                asked,
            ))?;
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

    /// The lag for people. `SAID BY` is who says it: the holder of the lease, or the stream; `EXPIRES IN` is how long the record at the position is still kept, and
    /// `NOTE` is a gap or the reason why the shard could not be asked.
    fn say(&self, lags: &[LeaseLag], asked: Asked, worst: Option<Duration>) -> Output {
        let (mut out, paint) = (Output::default(), Paint::of_output());
        let head = [
            "LEASE",
            "BEHIND",
            "SAID BY",
            "POSITION ARRIVED",
            "EXPIRES IN",
            "NOTE",
        ];
        let mut table = TextTable::new(paint, head);
        for lag in lags {
            let behind = lag
                .behind
                .map_or_else(|| "?".to_owned(), |behind| bounded(behind, lag.at_most));
            let said_by = if lag.seen_ago.is_some() {
                "holder"
            } else {
                "stream"
            };
            let gap = lag.gap.as_ref().map(ToString::to_string);
            table.row([
                lag.lease.to_string(),
                if self.is_too_far(lag) {
                    paint.bad(&behind)
                } else {
                    behind
                },
                said_by.to_owned(),
                lag.position_at.map(|at| at.to_string()).unwrap_or_default(),
                lag.retention_left.map(span).unwrap_or_default(),
                gap.or_else(|| lag.error.clone()).unwrap_or_default(),
            ]);
        }
        out.text(&table);
        let all = count(lags.len(), "unfinished lease", "unfinished leases");
        let worst = worst.map_or_else(|| "?".to_owned(), span);
        let records = usize::try_from(asked.records).unwrap_or(usize::MAX);
        if asked == Asked::default() {
            out.line(format_args!(
                "{all}, at most {worst} behind. The stream was not asked."
            ));
        } else {
            out.line(format_args!(
                "{all}, at most {worst} behind. Asked: {} GetShardIterator, {} GetRecords, which \
                 returned {}.",
                asked.get_shard_iterator,
                asked.get_records,
                count(records, "record", "records")
            ));
        }
        out
    }
}
