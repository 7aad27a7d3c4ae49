//! `check`: what is wrong in a lease table, for a person at night and for a monitor.
//!
//! The findings and their advice come from `kcl_core::admin::check`. What is added here is
//! patience: the table and the stream are not read at one instant, so a finding that could be the
//! shadow of a change under way counts only if a second reading shows it too.
//!
//! ```text
//! problem  missing_lease shardId-000000000002: This shard has no lease but should have one.
//!          A live worker creates it within a minute. If no worker is running, start one.
//! 1 problem in 3 leases of billing, watched for 8.0 s.
//! ```
//!
//! A `problem` stays until an operator acts: exit code 1. A `note` passes by itself or does no harm.

use std::time::Duration;

use clap::Args;
use kcl_core::Clock as _;
use kcl_core::SystemClock;
use kcl_core::admin::{Asked, Finding, FindingKind, FleetView, Level, StreamView, check};
use serde::Serialize;

use super::of_stream::{OfStream, measured, stream_of};
use super::watching::{Patience, watched};
use crate::arguments::{OutputArguments, StreamOfArguments, TableArguments, WatchArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint, count, span};
use crate::table_at::OpenTable;

/// Looks for what is wrong in a lease table, and says what to do. Exit code 1 if it finds anything
/// that needs attention.
///
/// From the table alone: malformed and impossible rows, hash keys that no lease covers, leases that
/// are stuck and why (as their workers say: a handler that fails or hangs, a shard that cannot be
/// read), dead workers. With --ask-stream it also compares the table with the stream:
/// shards without a lease, leases whose shards have left the stream, records that expire before
/// they are read.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl check billing --lease-table dynamo
  kcl check billing --ask-stream
  kcl check billing --ask-stream --stream orders --json | jq '.findings[].kind'

Exit codes: 0 no problem (notes do not count), 1 problems, 3 it could not be checked.")]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    table: TableArguments,
    /// Compares the leases with the shards of the stream, and asks it how far behind each lease is.
    /// Implied by --stream.
    #[arg(long)]
    ask_stream: bool,
    #[command(flatten)]
    stream: StreamOfArguments,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// The JSON of `kcl check`.
#[derive(Debug, Serialize)]
pub(super) struct CheckDocument<'a> {
    application: &'a str,
    /// In the form of `--lease-table`, so that a monitor of many tables can say which one is ill.
    lease_table: String,
    /// How long the table was watched. Findings about the dead need as long as a failover time.
    watched_seconds: f64,
    /// How many of the findings are problems; the others are notes.
    problems: usize,
    /// What was found, in the order of `kcl_core::admin::check`. `kind` is stable and meant for
    /// monitors; `says` and `advice` are for people and may be reworded.
    findings: &'a [Finding],
    /// What the stream was asked. None without `--ask-stream`.
    asked: Option<Asked>,
}

impl<'a> CheckDocument<'a> {
    pub(super) fn new(
        table: &'a OpenTable,
        fleet: &FleetView,
        findings: &'a [Finding],
        asked: Option<Asked>,
    ) -> Self {
        Self {
            application: &table.application,
            lease_table: table.place.to_string(),
            watched_seconds: fleet.watched.as_secs_f64(),
            problems: problems(findings),
            findings,
            asked,
        }
    }
}

/// How many findings need somebody.
pub(super) fn problems(findings: &[Finding]) -> usize {
    let is_problem = |it: &&Finding| it.level == Level::Problem;
    findings.iter().filter(is_problem).count()
}

/// The pause before the second reading. Creating the leases of a reshard or claiming a lease that
/// was handed over takes a worker well under a second, so what is still there after two seconds is
/// not a change under way.
pub(super) const AGAIN: Duration = Duration::from_secs(2);

impl CheckOptions {
    /// Watches until every worker is judged, compares, and reads once more if a finding may be of a
    /// moment.
    ///
    /// # Errors
    /// The table cannot be read, or with `--ask-stream` the stream. An empty table is not an error
    /// here but a finding.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let patience = Patience::UntilJudged.or(&self.watch);
        let stuck_after = self.watch.standstill.stuck_after;
        let fleet = watched(&table, patience, stuck_after).await?;
        let of = if self.ask_stream || self.stream.stream.is_some() {
            Some(stream_of(&table, &fleet, &self.stream).await?)
        } else {
            None
        };
        let (mut found, asked) = self.look(&fleet, of.as_ref()).await?;
        if found.iter().any(|it| is_of_a_moment(it.kind)) {
            SystemClock.sleep_until(SystemClock.now() + AGAIN).await;
            found = self.confirmed(&table, of.as_ref(), found).await?;
        }
        let problems = problems(&found);
        if self.output.json {
            Output::json(&CheckDocument::new(&table, &fleet, &found, asked))?;
        } else {
            say(&table, &fleet, &found, problems).write()?;
        }
        Ok(if problems > 0 {
            Ended::WithFindings
        } else {
            Ended::Well
        })
    }

    /// What this view shows. With a stream, each shard is asked how far behind its lease is.
    async fn look(
        &self,
        fleet: &FleetView,
        of: Option<&OfStream>,
    ) -> Result<(Vec<Finding>, Option<Asked>), Failure> {
        let Some(of) = of else {
            return Ok((check(fleet, None, &[]), None));
        };
        let (lags, asked) = measured(of, fleet).await;
        Ok((check(fleet, Some(&of.view), &lags), Some(asked)))
    }

    /// Keeps a finding of a moment only if a second reading shows it too; all others are kept as
    /// they are.
    ///
    /// The table and the shards are listed one after the other, so a lease that is created in
    /// between, or a row of a hand-over, may look wrong once. The lag is not measured again: it
    /// cannot be half written.
    async fn confirmed(
        &self,
        table: &OpenTable,
        of: Option<&OfStream>,
        found: Vec<Finding>,
    ) -> Result<Vec<Finding>, Failure> {
        let stuck_after = self.watch.standstill.stuck_after;
        let fleet = watched(table, Patience::NONE, stuck_after).await?;
        let view = match of {
            Some(of) => Some(
                StreamView::read(&*of.stream)
                    .await
                    .map_err(|error| crate::stream_at::failed(&of.name, error))?,
            ),
            None => None,
        };
        let again = check(&fleet, view.as_ref(), &[]);
        let is_confirmed = |it: &Finding| !is_of_a_moment(it.kind) || again.contains(it);
        Ok(found.into_iter().filter(is_confirmed).collect())
    }
}

/// Whether a finding can be the shadow of a change under way. The other kinds need a state that no
/// worker writes even for a moment, or have been watched for as long as they take.
pub(super) const fn is_of_a_moment(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::Hole | FindingKind::MissingLease | FindingKind::ImpossibleRow
    )
}

/// The findings for people, two lines each: what was found, and what to do. The last line is the
/// verdict, so that it stands above the prompt.
///
/// A note is a line of its own too, but neither counts nor changes the exit code.
fn say(table: &OpenTable, fleet: &FleetView, found: &[Finding], problems: usize) -> Output {
    let (mut out, paint) = (Output::default(), Paint::of_output());
    for finding in found {
        let level = match finding.level {
            Level::Problem => paint.bad("problem"),
            _ => paint.doubtful("note   "),
        };
        let about = if finding.about.is_empty() {
            String::new()
        } else {
            format!(" {}", paint.bold(&finding.about))
        };
        out.line(format_args!(
            "{level}  {}{about}: {}",
            finding.kind, finding.says
        ));
        out.line(format_args!("         {}", finding.advice));
    }
    out.line(format_args!(
        "{} in {} of {}, watched for {}.",
        if problems == 0 {
            paint.good("No problems")
        } else {
            paint.bad(&count(problems, "problem", "problems"))
        },
        count(fleet.leases.len(), "lease", "leases"),
        table.application,
        span(fleet.watched)
    ));
    out
}
