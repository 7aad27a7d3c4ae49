//! What several commands are given.

use std::time::Duration;

use clap::Args;
use kcl_core::model::StreamName;

use crate::failure::Failure;
use crate::parse;
use crate::table_at::{OpenTable, TableAt};

/// Which lease table.
#[derive(Args, Clone, Debug)]
pub(crate) struct TableArguments {
    /// The name of the application: the one its workers have.
    #[arg(value_name = "APP")]
    pub(crate) application: String,
    /// Where its leases are: sqlite:PATH, or dynamo or dynamo:TABLE for a DynamoDB table, which by
    /// default is named after the application. Default: sqlite with
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
    /// Opens the table to read it: a file has to be there already, and nothing is written.
    pub(crate) async fn to_read(&self) -> Result<OpenTable, Failure> {
        self.open(false).await
    }

    /// Opens the table to write it: an `SQLite` file is made if it is missing.
    pub(crate) async fn to_write(&self) -> Result<OpenTable, Failure> {
        self.open(true).await
    }

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

/// How the output is written.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArguments {
    /// Writes one JSON document instead of tables for people. Its shape is in docs/cli.md.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How long the table is watched to see who is alive.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct WatchArguments {
    /// Watches the table for at most this long to see who is alive; it ends as soon as that is
    /// known of each worker. 0s reads the table once.
    #[arg(long, value_name = "SPAN", value_parser = parse::span)]
    pub(crate) watch_for: Option<Duration>,
    /// Watches until it is known of each worker whether it is alive: for 9/10 of the failover time,
    /// if one is dead.
    #[arg(long, conflicts_with = "watch_for")]
    pub(crate) judge: bool,
}

/// Which stream.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamArguments {
    /// The URL of Kinesis. Default: AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    pub(crate) endpoint: Option<String>,
}

/// The stream of an application.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamOfArguments {
    /// The stream, by name or ARN. Default: the one that the leases name. An application that reads
    /// several streams needs it: one stream is looked at.
    #[arg(long, value_name = "NAME|ARN")]
    pub(crate) stream: Option<StreamName>,
    #[command(flatten)]
    pub(crate) at: StreamArguments,
}
