//! `seek`: where an application is read on.
//! The steps are in [`seeking`](super::seeking).

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::{SeekEffect, SeekStep, plan_seek};
use kcl_core::model::{Lease, LeaseKey};
use kcl_core::{Clock as _, InitialPosition, SystemClock};
use serde::Serialize;

use super::chosen::{ChosenArguments, refused};
use super::of_stream::{measured, stream_of};
use super::pause::to_change;
use super::seeking::{NotSet, Seeking};
use super::watching::{Patience, found};
use crate::arguments::{OutputArguments, StreamOfArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint, Progress, TextTable, count, span};
use crate::table_at::OpenTable;

/// Sets where an application, or some of its shards, are read on: earlier, to read records again, or
/// later, to skip some.
///
/// It works on a fleet that runs: it pauses the shards, waits until their workers have drained them,
/// sets the checkpoints, and resumes them. If it is killed in between, they stay paused, which
/// `kcl status` shows and `kcl resume` ends. A shard that has ended is not read again: an application
/// of another name reads everything.
///
/// What would be read again or skipped is found out by asking the stream where each lease is, as
/// `kcl lag` does.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl seek billing trim-horizon --dry-run
  kcl seek billing at:2026-01-31T08:00:00Z
  kcl seek billing latest --skip --shard shardId-000000000003

Exit codes: 0 done, or what a dry run says; 1 refused: records would be skipped and --skip was not \
given, or a worker did not drain its shard in time; 3 it failed.")]
pub(crate) struct SeekOptions {
    /// Whose leases.
    #[command(flatten)]
    table: TableArguments,
    /// Where to read on: trim-horizon, latest or at:TIME.
    #[arg(value_name = "trim-horizon|latest|at:TIME", value_parser = parse::position)]
    to: InitialPosition,
    /// Which of them.
    #[command(flatten)]
    chosen: ChosenArguments,
    /// Says what would be read again and what skipped, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Allows that records are skipped: nobody ever processes them.
    #[arg(long)]
    skip: bool,
    /// Waits for at most this long until the workers have drained the shards.
    #[arg(long, value_name = "SPAN", value_parser = parse::span, default_value = "1m")]
    wait: Duration,
    /// The stream, which says how far each lease is behind.
    #[command(flatten)]
    stream: StreamOfArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct SeekDocument<'a> {
    /// Whose leases they are.
    application: &'a str,
    /// In the form of `--lease-table`.
    lease_table: String,
    dry_run: bool,
    /// Whether the checkpoints were set.
    done: bool,
    /// What is done to each lease, also by a dry run.
    leases: &'a [SeekStep],
}

impl SeekOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = if self.dry_run {
            self.table.to_read().await?
        } else {
            to_change(&self.table).await?
        };
        // One look is enough: whether workers are alive does not matter, and whether a lease is
        // held is found out by the wait.
        let mut fleet = found(&table, Patience::NONE).await?;
        let chosen = self.chosen.of(&fleet)?;
        let of = stream_of(&table, &fleet, &self.stream).await?;
        let is_chosen = |key: &LeaseKey| chosen.iter().any(|lease| lease.key == *key);
        fleet.leases.retain(|view| is_chosen(&view.lease.key));
        // Before anything is paused: the stream may take long to answer, and a fleet must not wait
        // for it.
        let (lags, _) = measured(&of, &fleet).await;
        let now = SystemClock.wall();
        let steps = plan_seek(&chosen, &lags, self.to, now);
        let skips = steps.iter().filter(|step| step.effect.may_skip()).count();
        // What cannot be found out counts as skipping: a stream that does not answer is no reason
        // to lose records.
        if self.dry_run || (skips > 0 && !self.skip) {
            self.say(&table, &steps, false)?;
            if self.dry_run {
                return Ok(Ended::Well);
            }
            eprintln!(
                "refused: records of {} would be skipped, or may be; --skip allows it",
                count(skips, "lease", "leases")
            );
            return Ok(Ended::WithFindings);
        }
        match self.set(&table, &chosen).await {
            Ok(()) => {
                self.say(&table, &steps, true)?;
                Ok(Ended::Well)
            }
            Err(NotSet::Refused(error)) => refused(error),
            Err(NotSet::Held(held)) => {
                for lease in &held {
                    let holder = lease.actual_owner().map(ToString::to_string);
                    eprintln!(
                        "lease {} is still held by {} after {}",
                        lease.key,
                        holder.unwrap_or_default(),
                        span(self.wait)
                    );
                }
                eprintln!("refused: no checkpoint was set; --wait gives the workers more time");
                Ok(Ended::WithFindings)
            }
            Err(NotSet::Stopped) => {
                eprintln!("stopped by a signal before every checkpoint was set");
                Ok(Ended::WithFindings)
            }
        }
    }

    /// Sets them, until a signal comes.
    async fn set(&self, table: &OpenTable, chosen: &[Lease]) -> Result<(), NotSet> {
        let signal = kcl_core::stop_signal().ok();
        let stopped = async {
            match signal {
                Some(signal) => drop(signal.await),
                None => std::future::pending().await,
            }
        };
        let seeking = Seeking {
            table: Arc::clone(&table.table),
            leases: chosen.to_vec(),
            to: self.to,
            wait: self.wait,
        };
        let progress = Progress::new("setting checkpoints", chosen.len());
        let tell = |done| progress.at(done, chosen.len());
        seeking.run(stopped, tell).await
    }

    /// What would be, or was, set, for people or as JSON.
    fn say(&self, table: &OpenTable, steps: &[SeekStep], done: bool) -> Result<(), Failure> {
        if self.output.json {
            return Output::json(&SeekDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                dry_run: self.dry_run,
                done,
                leases: steps,
            });
        }
        let (mut out, paint) = (Output::default(), Paint::of_output());
        let mut rows = TextTable::new(paint, ["LEASE", "FROM", "EFFECT"]);
        for step in steps {
            rows.row([
                step.lease.to_string(),
                step.from.to_string(),
                told(paint, step.effect),
            ]);
        }
        out.text(&rows);
        let all = count(steps.len(), "checkpoint", "checkpoints");
        out.line(if done {
            format!(
                "Set {all} of {} to {}.",
                table.application,
                position(self.to)
            )
        } else {
            format!(
                "Nothing was written: {all} of {} would be set to {}.",
                table.application,
                position(self.to)
            )
        });
        out.write()
    }
}

/// The position in the words of the command line.
fn position(to: InitialPosition) -> String {
    match to {
        InitialPosition::Latest => "latest".to_owned(),
        InitialPosition::AtTimestamp(at) => format!("at:{at}"),
        _ => "trim-horizon".to_owned(),
    }
}

/// The effect on one lease, in the colour of its danger.
fn told(paint: Paint, effect: SeekEffect) -> String {
    let over = |by: Option<Duration>| by.map_or_else(|| "?".to_owned(), span);
    match effect {
        SeekEffect::None => "none".to_owned(),
        SeekEffect::ReadAgain { span } => paint.doubtful(&format!("reads {} again", over(span))),
        SeekEffect::Skipped { span } => paint.bad(&format!("skips {}", over(span))),
        _ => paint.bad("unknown: the stream could not be asked"),
    }
}
