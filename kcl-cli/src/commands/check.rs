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
/// that needs somebody.
///
/// From the table alone: malformed and impossible rows, hash keys that no lease has, leases that
/// nobody gets on with and why, dead workers. With --ask-stream also beside the stream: shards
/// without a lease, leases of shards that have left, records that expire before they are read.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl check billing --lease-table dynamo
  kcl check billing --ask-stream
  kcl check billing --ask-stream --stream orders --json | jq '.findings[].kind'

Exit codes: 0 nothing that needs somebody (notes do not), 1 problems, 3 it could not be checked.")]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    table: TableArguments,
    /// Compares the leases with the shards of the stream, and asks it how far behind each lease is.
    #[arg(long)]
    ask_stream: bool,
    #[command(flatten)]
    stream: StreamOfArguments,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct CheckDocument<'a> {
    application: &'a str,
    lease_table: String,
    watched_seconds: f64,
    problems: usize,
    findings: &'a [Finding],
    asked: Option<Asked>,
}

/// A hole that is still there so much later was not only being filled.
const AGAIN: Duration = Duration::from_secs(2);

impl CheckOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let fleet = watched(&table, Patience::UntilJudged.or(&self.watch)).await?;
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
        let problems = found.iter().filter(|it| it.level == Level::Problem).count();
        if self.output.json {
            Output::json(&CheckDocument {
                application: &table.application,
                lease_table: table.place.to_string(),
                watched_seconds: fleet.watched.as_secs_f64(),
                problems,
                findings: &found,
                asked,
            })?;
        } else {
            say(&table, &fleet, &found, problems).write()?;
        }
        Ok(if problems > 0 {
            Ended::WithFindings
        } else {
            Ended::Well
        })
    }

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

    /// What a second reading shows too: of rows and shards that are not read at one instant some
    /// may be seen while they are being made.
    async fn confirmed(
        &self,
        table: &OpenTable,
        of: Option<&OfStream>,
        found: Vec<Finding>,
    ) -> Result<Vec<Finding>, Failure> {
        let fleet = watched(table, Patience::NONE).await?;
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

const fn is_of_a_moment(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::Hole | FindingKind::MissingLease | FindingKind::ImpossibleRow
    )
}

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
