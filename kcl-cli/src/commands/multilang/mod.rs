//! `kcl multilang`: the daemon that runs record processors in other languages.
//!
//! ```text
//! properties file --> DaemonConfig --> Worker (kcl-core) --> ChildProcessors --> a child process a shard
//!                         |                |                       stdin, stdout: the KCL's JSON lines
//!                         |                +-- lease table, stream
//!                         +-- notes: what of the file has no effect here
//! ```
//!
//! What a property means is decided in the crate kcl-multilang, which knows nothing of this
//! program. What is added here is a command line, the SDK that reaches AWS, metrics over HTTP, and
//! the exit code.
//!
//! It is the only command that holds leases and runs until it is stopped. Its log therefore begins
//! at `info`, and a shard that is not given up in time is exit code 1: a supervisor should know.
//!
//! | what ends it | what happens | exit code |
//! |---|---|---|
//! | a signal | every child is told and may checkpoint; the leases are released | 0, or 1 if a shard was not given up in time |
//! | a child fails, `onChildError` is `exit` | the same | 1 |
//! | the table, the stream or the properties cannot be used | nothing more is delivered; the leases expire | 3 |

mod aws;
mod child;
mod metrics;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use kcl_core::lease::LeaseTable;
use kcl_core::model::StreamName;
use kcl_core::worker::{ShutdownReport, Stopped};
use kcl_core::{KinesisStream, Worker};
use kcl_dynamo::{NewTable, OpenOptions};
use kcl_local::SqliteLeaseTable;
use kcl_multilang::ChildProcessors;
use kcl_multilang::properties::DaemonConfig;

use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::Output;
use crate::say::log::LogFormat;
use crate::table_at::TableAt;

pub(crate) use child::ChildOptions;
use metrics::Metrics;

/// Runs record processors in Python, Node.js, .NET or Ruby, unchanged, in place of the
/// MultiLangDaemon of the Java KCL: with the same properties file, the same lease table and the
/// same child processes, but without a JVM.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl multilang --properties-file sample.properties
  kcl multilang --properties-file sample.properties --dry-run
  kcl multilang -p sample.properties --lease-table sqlite:leases.db --endpoint http://127.0.0.1:4567

Ctrl-C and SIGTERM stop it gracefully: each child is told (shutdownRequested), may store a
checkpoint, and ends. shutdownGraceMillis limits how long that may take.

Exit codes:
  0  stopped, and every shard was given up in time
  1  stopped, but a shard was not given up in time, or a child failed and onChildError is `exit`
  2  the command line is invalid
  3  it could not start or continue; standard error says why")]
pub(crate) struct MultilangOptions {
    /// The properties file, in the format of the MultiLangDaemon.
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    properties_file: Option<PathBuf>,
    /// The properties file without its option, which the MultiLangDaemon allows too.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Ignored: a configuration for logback, which the MultiLangDaemon takes. RUST_LOG sets the
    /// level.
    #[arg(short, long, value_name = "FILE")]
    log_configuration: Option<PathBuf>,
    /// Where the leases are: sqlite:PATH for an SQLite file, or dynamo or dynamo:TABLE for a
    /// DynamoDB table. Default: dynamo with `tableName` of the file, or with the name of the
    /// application.
    #[arg(
        long,
        visible_alias = "table",
        value_name = "sqlite:PATH|dynamo[:TABLE]"
    )]
    lease_table: Option<TableAt>,
    /// The URL of Kinesis. Default: `kinesisEndpoint` of the file, AWS_ENDPOINT_URL_KINESIS,
    /// AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    endpoint: Option<String>,
    /// The URL of DynamoDB. Default: `dynamoDBEndpoint` of the file, AWS_ENDPOINT_URL_DYNAMODB,
    /// AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    dynamo_endpoint: Option<String>,
    /// Prints what the file sets and what follows from it, and ends. Nothing is called.
    #[arg(long)]
    dry_run: bool,
    /// The format of the log on standard error. What children print, on either stream, appears as
    /// lines of this log, with their shard.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Serves metrics for Prometheus at this address, under /metrics, and whether the daemon works
    /// for probes, under /healthz and /readyz.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
}

impl MultilangOptions {
    /// The format of the log, which has to be known before anything is logged.
    pub(crate) const fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Reads the properties file and works, or says what it would do.
    ///
    /// Properties without effect here are warnings in the log and not errors: a file that has
    /// worked with the MultiLangDaemon must go on working.
    ///
    /// # Errors
    /// The file cannot be read, or a property has a value that cannot be used.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let file = self.properties_file.as_ref().or(self.file.as_ref());
        let file = file.ok_or_else(|| Failure::of("no properties file was given"))?;
        let bytes = std::fs::read(file)
            .map_err(|error| Failure::new(format!("cannot read {}", file.display()), error))?;
        let config = DaemonConfig::read(&bytes)
            .map_err(|error| Failure::new(format!("cannot use {}", file.display()), error))?;
        if self.dry_run {
            return self.say(&config);
        }
        for note in config.notes() {
            tracing::warn!("{}: {note}", file.display());
        }
        for setting in config.entries().iter().filter(|setting| !setting.sets) {
            tracing::debug!("{}: {}: {}", file.display(), setting.key, setting.effect);
        }
        Box::pin(self.work(&config)).await
    }

    /// Runs a worker until a signal, a failed child with `onChildError = exit`, or a fatal error.
    ///
    /// The order of the start matters. The signal is caught first, so that an early one is not
    /// lost. Then metrics are collected, before anything counts. A child is started ahead, and the
    /// port of the metrics is opened, before the worker runs: a command that cannot run, or a port
    /// that is in use, is found before a lease is taken.
    ///
    /// # Errors
    /// Whatever keeps the worker from starting or ends it. The leases of a worker that has failed
    /// expire.
    async fn work(&self, config: &DaemonConfig) -> Result<Ended, Failure> {
        // From here on a signal stops the daemon in an orderly way.
        let signal = kcl_core::stop_signal()
            .map_err(|error| Failure::new("cannot wait for Ctrl-C", error))?;
        let metrics = match self.metrics {
            Some(address) => Some(Metrics::collect(address)?),
            None => None,
        };
        let children = ChildProcessors::new(config, wrapper()?)
            .map_err(|error| Failure::new("cannot start children", error))?;
        children
            .start_ahead()
            .await
            .map_err(|error| Failure::new("cannot start children", error))?;
        let stream = self.stream(config).await?;
        let builder = config
            .apply(Worker::builder())
            .source(stream)
            .lease_table(self.table(config).await?)
            .processor(children.clone());
        let worker = builder
            .build()
            .map_err(|error| Failure::new("cannot start", error))?;
        let _answering = match metrics {
            Some(metrics) => Some(metrics.serve(&worker).await?),
            None => None,
        };
        tracing::info!(
            "application `{}` reads the stream `{}` with `{}`",
            config.application,
            config.stream,
            config.command.join(" ")
        );
        let mut failed = None;
        let stop = async {
            tokio::select! {
                biased;
                signal = signal => tracing::info!("{signal}: the shards are given up"),
                why = children.failed() => failed = Some(why),
            }
        };
        let report = worker
            .run_until(stop, config.stop_limit)
            .await
            .map_err(|error| Failure::new("the daemon cannot go on", error))?;
        children.close();
        Ok(ended(&report, failed))
    }

    /// The stream of the file, at the endpoint of the command line or of the file.
    async fn stream(&self, config: &DaemonConfig) -> Result<KinesisStream, Failure> {
        let cannot = |error: kcl_core::BoxError| {
            Failure::new(format!("cannot open the stream {}", config.stream), error)
        };
        let name: StreamName = config
            .stream
            .parse()
            .map_err(|error| cannot(Box::new(error)))?;
        let endpoint = self.endpoint.as_ref().or(config.kinesis_endpoint.as_ref());
        let sdk = Box::pin(aws::config(config, &config.credentials, endpoint)).await;
        KinesisStream::from_config(&sdk, name)
            .await
            .map_err(|error| cannot(error.into()))
    }

    /// The lease table, with the settings of the file for a DynamoDB table that has to be created.
    ///
    /// It waits while a KCL in 3.x mode leads: a MultiLangDaemon that has just been stopped for
    /// this daemon to take over still looks like a leader for a minute.
    ///
    /// # Errors
    /// The table cannot be opened: no region, no credentials, or a file that is not a lease table.
    async fn table(&self, config: &DaemonConfig) -> Result<Arc<dyn LeaseTable>, Failure> {
        let place = match &self.lease_table {
            None | Some(TableAt::Dynamo(None)) => TableAt::Dynamo(config.table.clone()),
            Some(place) => place.clone(),
        };
        let cannot = |error: kcl_core::BoxError| {
            Failure::new(format!("cannot open the lease table {place}"), error)
        };
        match &place {
            TableAt::Sqlite(path) => {
                let table = SqliteLeaseTable::open(path, &config.application).await;
                Ok(Arc::new(table.map_err(|error| cannot(error.into()))?))
            }
            TableAt::Dynamo(name) => {
                let endpoint = self.dynamo_endpoint.as_ref();
                let endpoint = endpoint.or(config.dynamo_endpoint.as_ref());
                let credentials = config.dynamo_credentials.as_ref();
                let credentials = credentials.unwrap_or(&config.credentials);
                let sdk = Box::pin(aws::config(config, credentials, endpoint)).await;
                let mut new = NewTable::new();
                new.tags.clone_from(&config.tags);
                new.deletion_protection = config.deletion_protection;
                new.point_in_time_recovery = config.point_in_time_recovery;
                // A MultiLangDaemon in 3.x mode that has just stopped counts as leading for a while.
                let mut options = OpenOptions::new().create(Some(new)).wait_for_kcl(true);
                if let Some(name) = name {
                    options = options.table(name);
                }
                let table = options.open_with_config(&sdk, &config.application).await;
                Ok(Arc::new(table.map_err(|error| cannot(error.into()))?))
            }
        }
    }

    /// What `--dry-run` prints: each property with what it does, and then the settings that follow.
    /// It lets an operator compare before a live fleet is touched.
    ///
    /// Nothing is called: a mistake in credentials or in the name of a table shows only when the
    /// daemon runs.
    fn say(&self, config: &DaemonConfig) -> Result<Ended, Failure> {
        let mut text = String::new();
        // Writing into a string does not fail.
        for setting in config.entries() {
            let _ = writeln!(text, "{} = {}", setting.key, setting.value);
            let _ = writeln!(text, "    {}", setting.effect);
        }
        let _ = writeln!(text, "\nThe daemon would run with:");
        let place = self.lease_table.clone();
        let place = place.unwrap_or_else(|| TableAt::Dynamo(config.table.clone()));
        let or = |text: Option<&String>, other: &str| text.map_or(other, String::as_str).to_owned();
        let credentials: Vec<String> = config.credentials.iter().map(ToString::to_string).collect();
        let endpoint = self.endpoint.as_ref().or(config.kinesis_endpoint.as_ref());
        for (what, value) in [
            ("command of a child", config.command.join(" ")),
            ("application", config.application.clone()),
            ("stream", config.stream.clone()),
            ("lease table", place.to_string()),
            ("region", or(config.region.as_ref(), "from the environment")),
            (
                "Kinesis at",
                or(endpoint, "AWS, or where the environment says"),
            ),
            ("credentials", credentials.join(", then ")),
            ("worker id", or(config.worker.as_ref(), "random")),
            ("begins at", config.initial_position.to_string()),
            ("limit of an answer", format!("{:?}", config.answer_limit)),
            ("limit of a stop", format!("{:?}", config.stop_limit)),
            ("children ahead of need", config.spare_children.to_string()),
            ("a child that fails", format!("{:?}", config.on_child_error)),
            ("liveness", format!("{:?}", config.liveness)),
        ] {
            let _ = writeln!(text, "    {what:<24}{value}");
        }
        let _ = writeln!(text, "    {:<24}{:?}", "read by", config.mode);
        for note in config.notes() {
            let _ = writeln!(text, "note: {note}");
        }
        Output::now(text.trim_end())?;
        Ok(Ended::Well)
    }
}

/// The command that becomes a child: this program itself, with the process id of the daemon.
///
/// A child must not outlive the daemon: two children of one shard would process its records side by
/// side. On Linux the wrapper asks the system to kill it when its parent dies, and then becomes the
/// child.
fn wrapper() -> Result<Vec<OsString>, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new("cannot find the program itself", error))?;
    Ok(vec![
        program.into(),
        "multilang-child".into(),
        std::process::id().to_string().into(),
    ])
}

/// The exit code, and what a supervisor has to know about it on standard error.
///
/// A child that failed comes first: it is why the daemon has stopped. Shards that were not given up
/// are read again by others from their checkpoints, so records may be delivered twice.
fn ended(report: &ShutdownReport, failed: Option<String>) -> Ended {
    tracing::info!("stopped: {report}");
    let abandoned = report.count(Stopped::Abandoned);
    if let Some(why) = failed {
        eprintln!("error: a child failed, and onChildError is `exit`: {why}");
    } else if abandoned > 0 {
        eprintln!(
            "error: {abandoned} shards were not given up in time: their leases expire, and other \
             workers read them again from their checkpoints"
        );
    } else {
        return Ended::Well;
    }
    Ended::WithFindings
}
