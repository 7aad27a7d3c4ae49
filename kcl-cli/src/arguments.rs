//! The arguments that several commands share, so that one option means the same everywhere.
//!
//! A command flattens the groups that it needs: which table ([`TableArguments`]), how long to watch
//! ([`WatchArguments`]), which stream ([`StreamArguments`], [`StreamOfArguments`]), and how to
//! print ([`OutputArguments`]).

use std::time::Duration;

use clap::Args;
use kcl_core::model::StreamName;

use crate::failure::Failure;
use crate::parse;
use crate::table_at::{OpenTable, TableAt};

/// Which lease table. The same words as in the example programs, so that what starts a worker also
/// finds its table.
#[derive(Args, Clone, Debug)]
pub(crate) struct TableArguments {
    /// The name of the application, as its workers are given it.
    #[arg(value_name = "APP")]
    pub(crate) application: String,
    /// Where the leases are: sqlite:PATH for an SQLite file, dynamo:TABLE for a DynamoDB table, or
    /// dynamo for the DynamoDB table that is named after the application. Default: the SQLite file
    /// $XDG_STATE_HOME/kcl/APP.leases.sqlite, or ~/.local/state/kcl/APP.leases.sqlite if
    /// XDG_STATE_HOME is not set.
    #[arg(
        long,
        visible_alias = "table",
        value_name = "sqlite:PATH|dynamo[:TABLE]"
    )]
    pub(crate) lease_table: Option<TableAt>,
    /// The URL of DynamoDB, with --lease-table dynamo. Default: AWS_ENDPOINT_URL_DYNAMODB,
    /// AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    pub(crate) dynamo_endpoint: Option<String>,
}

impl TableArguments {
    /// Opens the table for a command that only reads.
    ///
    /// An SQLite file has to exist already. Without this rule a mistyped path would create an empty
    /// table, and the command would report an application without leases instead of the mistake.
    ///
    /// # Errors
    /// The table is missing, cannot be opened, or the options contradict each other.
    pub(crate) async fn to_read(&self) -> Result<OpenTable, Failure> {
        self.open(false).await
    }

    /// Opens the table for `import`, which may create it: an SQLite file is created if it is
    /// missing. A DynamoDB table is created later, by the table's `setup`.
    pub(crate) async fn to_write(&self) -> Result<OpenTable, Failure> {
        self.open(true).await
    }

    /// Whether it is an SQLite file that does not exist. What else may be wrong with a table shows
    /// when it is opened.
    pub(crate) fn is_missing_file(&self) -> Result<bool, Failure> {
        OpenTable::is_missing_file(&self.application, self.lease_table.as_ref())
    }

    /// What both have in common. `may_make` says whether a missing SQLite file is created.
    async fn open(&self, may_make: bool) -> Result<OpenTable, Failure> {
        let endpoint = self.dynamo_endpoint.as_deref();
        OpenTable::open(
            &self.application,
            self.lease_table.clone(),
            endpoint,
            may_make,
        )
        .await
    }
}

/// How the output is written. `tail` has a `--json` of its own, because it writes one object per
/// line.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArguments {
    /// Writes one JSON document instead of tables for people. docs/cli.md describes its fields.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How long the table is watched. One reading cannot tell who is alive: a worker is alive if its
/// counters move, and that takes two readings.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct WatchArguments {
    /// Watches the table for at most this long to find out which workers are alive. It ends as soon
    /// as that is known of every worker. 0s reads the table once.
    #[arg(long, value_name = "SPAN", value_parser = parse::span)]
    pub(crate) watch_for: Option<Duration>,
    /// Watches until it is known of every worker whether it is alive. If one is dead, that takes
    /// 4/5 of its failover time, and the whole failover time for a worker of the Java KCL.
    #[arg(long, conflicts_with = "watch_for")]
    pub(crate) judge: bool,
    #[command(flatten)]
    pub(crate) standstill: StandstillArguments,
}

/// `STUCK_AFTER` of the core as the command line takes it.
const STUCK_AFTER_TEXT: &str = "1m";

/// From when on a lease that stands still counts as stuck.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct StandstillArguments {
    /// Calls a lease stuck whose holder says that for this long its handler has failed or has been in
    /// one call, or its shard could not be read. Holders say it after 10s at the earliest.
    #[arg(long, value_name = "SPAN", default_value = STUCK_AFTER_TEXT, value_parser = parse::span)]
    pub(crate) stuck_after: Duration,
}

/// Where Kinesis is, for commands whose stream is an argument of its own.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamArguments {
    /// The URL of Kinesis. Default: AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    pub(crate) endpoint: Option<String>,
}

/// Which stream an application reads, for commands that start from its lease table.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamOfArguments {
    /// The stream, by name or ARN. Default: the one that the leases name. It has to be given if the
    /// leases name none, or if the application reads several streams: only one is asked.
    #[arg(long, value_name = "NAME|ARN")]
    pub(crate) stream: Option<StreamName>,
    #[command(flatten)]
    pub(crate) at: StreamArguments,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_stuck_after_the_same_time_as_for_a_program() {
        let default = parse::span(STUCK_AFTER_TEXT).unwrap();
        assert_eq!(default, kcl_core::admin::STUCK_AFTER);
    }
}
