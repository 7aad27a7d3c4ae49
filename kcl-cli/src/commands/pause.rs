//! `pause` and `resume`.
//!
//! A pause is a mark in the rows of the leases, so it holds for workers that start later too, and
//! no process has to live for it:
//!
//! ```text
//!   mark set, lease held  --->  mark set, lease free  --->  mark gone, lease free
//!   the owner drains            nobody takes it             any worker takes it
//! ```

use std::time::Duration;

use clap::Args;
use kcl_core::admin::{SteerError, drained, pause, resume};
use kcl_core::model::{Lease, LeaseKey};
use kcl_core::{Clock as _, SystemClock};
use serde::Serialize;

use super::chosen::{ChosenArguments, HeldLease, keys, names, refused};
use super::watching::{Patience, found};
use crate::arguments::{OutputArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint, TextTable, count};
use crate::table_at::OpenTable;

/// Pauses an application, or some of its shards: nobody reads them until `kcl resume`.
///
/// Each worker drains the shards that it holds, stores how far it is, and releases their leases; no
/// worker takes these before they are resumed, also after a restart. Nothing is lost as long as the
/// stream keeps the records. Shards that come of a paused one by a reshard wait for it. It needs
/// workers of this framework: a lease that a Java worker holds is refused.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl pause billing --lease-table dynamo
  kcl pause billing --shard shardId-000000000003

Exit codes: 0 paused and drained, 1 refused, or a worker still holds one after --wait, 3 it failed.")]
pub(crate) struct PauseOptions {
    #[command(flatten)]
    table: TableArguments,
    #[command(flatten)]
    chosen: ChosenArguments,
    /// Waits for at most this long until the workers have drained the shards.
    #[arg(long, value_name = "SPAN", value_parser = parse::span, default_value = "1m")]
    wait: Duration,
    #[command(flatten)]
    output: OutputArguments,
}

/// Ends the pause of an application, or of some of its shards: workers take them at once.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl resume billing --lease-table dynamo
  kcl resume billing --shard shardId-000000000003

Exit codes: 0 resumed, 1 refused, 3 it failed.")]
pub(crate) struct ResumeOptions {
    #[command(flatten)]
    table: TableArguments,
    #[command(flatten)]
    chosen: ChosenArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct PauseDocument<'a> {
    application: &'a str,
    lease_table: String,
    /// The leases that are paused: all that were chosen, also those that were paused before.
    paused: Vec<String>,
    /// Those of them that a worker still holds. Their workers may go on reading records of the shards
    /// until they have seen the wish, by a change notification or with their next scan.
    held: Vec<HeldLease>,
}

#[derive(Debug, Serialize)]
struct ResumeDocument<'a> {
    application: &'a str,
    lease_table: String,
    /// The leases that were paused and are not any more.
    resumed: Vec<String>,
}

/// Opens the table and brings an older `SQLite` file up to this version: one that does not know
/// pauses cannot store them.
pub(super) async fn to_change(table: &TableArguments) -> Result<OpenTable, Failure> {
    let table = table.to_read().await?;
    let ready = table.table.setup().await;
    ready.map_err(|error| table.failed(error))?;
    Ok(table)
}

impl PauseOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = to_change(&self.table).await?;
        // One look, without waiting whether workers are alive: the mark is for whoever comes.
        let fleet = found(&table, Patience::NONE).await?;
        let chosen = keys(&self.chosen.of(&fleet)?);
        match self.pause(&table, &chosen).await {
            Ok(held) => self.say(&table, &chosen, &held),
            Err(error) => refused(error),
        }
    }

    /// Stores the wish, and waits for the holders. Whoever interrupts the wait has paused the
    /// leases all the same: only `kcl resume` ends that. After an error some of them may be paused.
    async fn pause(&self, table: &OpenTable, keys: &[LeaseKey]) -> Result<Vec<Lease>, SteerError> {
        pause(&*table.table, keys, SystemClock.wall()).await?;
        drained(&*table.table, keys, self.wait, &SystemClock).await
    }

    fn say(&self, table: &OpenTable, keys: &[LeaseKey], held: &[Lease]) -> Result<Ended, Failure> {
        let still_held = held.iter().map(HeldLease::of);
        if self.output.json {
            Output::json(&PauseDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                paused: names(keys),
                held: still_held.collect(),
            })?;
        } else {
            let (mut out, paint) = (Output::default(), Paint::of_output());
            if !held.is_empty() {
                let mut rows = TextTable::new(paint, ["LEASE", "STILL HELD BY"]);
                still_held.for_each(|lease| rows.row(lease.cells()));
                out.text(&rows);
                out.line(
                    "They are paused, but not drained: a worker that hangs or is dead does not \
                     release its leases. `kcl status` says more.",
                );
            }
            out.line(format_args!(
                "Paused {} of {application}; `kcl resume {application}` ends it.",
                count(keys.len(), "lease", "leases"),
                application = table.application,
            ));
            out.write()?;
        }
        // It is a finding and no failure: the mark is stored, and the worker drains as soon as it
        // can.
        Ok(if held.is_empty() {
            Ended::Well
        } else {
            Ended::WithFindings
        })
    }
}

impl ResumeOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = to_change(&self.table).await?;
        let fleet = found(&table, Patience::NONE).await?;
        let mut chosen = self.chosen.of(&fleet)?;
        // What is not paused is left alone, so that `resume` without a shard is safe at any time.
        chosen.retain(Lease::is_paused);
        let keys = keys(&chosen);
        if let Err(error) = resume(&*table.table, &keys).await {
            return refused(error);
        }
        if self.output.json {
            Output::json(&ResumeDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                resumed: names(&keys),
            })?;
        } else if keys.is_empty() {
            Output::now("None of these leases is paused.")?;
        } else {
            Output::now(&format!(
                "Resumed {} of {}.",
                count(keys.len(), "lease", "leases"),
                table.application
            ))?;
        }
        Ok(Ended::Well)
    }
}
