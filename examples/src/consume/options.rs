use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, ValueEnum};
use kcl_core::ByteBudget;
use kcl_core::model::{StreamName, Timestamp};
use kcl_core::worker::{Builder, FanOutConfig, Liveness, Mode, Stop, Until};
use kcl_core::{InitialPosition, OnFailure, Worker};

use super::LeaseTableAt;

/// Consumes a Kinesis stream and counts what it reads.
///
/// Region and credentials are found as by any AWS tool: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_PROFILE,
/// ~/.aws, the role of the machine. Processes with the same --application share the shards; a
/// process that is restarted resumes at the checkpoints. SIGTERM and Ctrl-C shut it down
/// gracefully: the batch in flight is finished, checkpoints are stored, and leases are released (or
/// kept, with --keep-leases). A second signal ends it at once.
///
/// The last line on standard output is a JSON object: records, bytes, duplicates (records that this
/// process received again), first_record_ms and elapsed_ms (both since the process started), cpu_ms
/// (user and system), peak_rss_kib. Unknown values are null.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "consume",
    after_help = "\
Examples:
  consume --stream orders --application billing
  consume --stream orders --application billing --endpoint http://127.0.0.1:4567 --idle-exit 5s
  consume --stream orders --application billing --lease-table dynamo
  consume --stream orders --application report --to now
  consume --stream orders --application billing --mode fan-out
  consume --stream orders --application audit --from at:2026-01-31T08:00:00Z --trace audit.jsonl

Exit codes:
  0  graceful shutdown: after a signal, --exit-after, --idle-exit or --to
  1  a failure; standard error says which
  2  invalid options

The log goes to standard error. RUST_LOG sets its level (default: warn), for example RUST_LOG=consume=info,kcl_core=debug."
)]
pub struct ConsumeOptions {
    /// The stream, by name or ARN.
    #[arg(long, value_name = "NAME|ARN")]
    pub stream: StreamName,
    /// The name under which leases and checkpoints are stored. Processes with the same name share
    /// the shards.
    #[arg(long, value_name = "NAME")]
    pub application: String,
    /// The URL of the service. Default: AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, or AWS itself.
    /// Certificates are checked against those that the machine trusts, or those in the file named
    /// by SSL_CERT_FILE.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub endpoint: Option<String>,
    /// Where to start on a shard without a checkpoint: trim-horizon, latest, or at:TIME. TIME is
    /// RFC 3339, such as 2026-01-31T08:00:00Z or with an offset, or seconds or milliseconds since
    /// 1970.
    #[arg(long, value_name = "POSITION", default_value = "trim-horizon", value_parser = position)]
    pub from: InitialPosition,
    /// How far to read: up to now, or up to a TIME as with --from, which may be in the future. The
    /// program ends when everything that arrived until then has been read, and the next run resumes
    /// there. Default: read forever.
    #[arg(long, value_name = "TIME|now", value_parser = bound)]
    pub to: Option<Until>,
    /// Where leases and checkpoints are stored: sqlite:PATH, or dynamo or dynamo:TABLE for a
    /// DynamoDB table, which by default is named after the application, and is created if it is
    /// missing. Default: sqlite with $XDG_STATE_HOME/kcl/APPLICATION.leases.sqlite, or
    /// ~/.local/state/kcl/APPLICATION.leases.sqlite if XDG_STATE_HOME is not set.
    #[arg(long, value_name = "sqlite:PATH|dynamo[:TABLE]")]
    pub lease_table: Option<LeaseTableAt>,
    /// The URL of DynamoDB, with --lease-table dynamo. Default: AWS_ENDPOINT_URL_DYNAMODB,
    /// AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub dynamo_endpoint: Option<String>,
    /// How the shards are read. It may change from one run to the next: the application resumes at
    /// its checkpoints.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = ReadBy::Polling)]
    pub mode: ReadBy,
    /// The registered consumer, with --mode fan-out or auto: by name, and then it is registered if
    /// it does not exist, or by ARN. Default: one named after the application. It stays registered
    /// for the next run, and the service charges for it until it is deregistered.
    #[arg(long, value_name = "NAME|ARN")]
    pub consumer: Option<String>,
    /// The id of this worker. No other live process may use it. Default: a random one.
    #[arg(long, value_name = "ID")]
    pub worker: Option<String>,
    /// Keeps the leases on shutdown, for a process that restarts with the same --worker within the
    /// failover time: then no shard moves.
    #[arg(long, requires = "worker")]
    pub keep_leases: bool,
    /// How long a worker may go without a heartbeat before others take its shards.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub failover: Duration,
    /// What shows that leases without progress are held: auto (heartbeats, and renewals beside a Java
    /// KCL), compatible (heartbeats, and a Java KCL may be started at any time), kcl (renewals), or
    /// fleet (heartbeats, whatever there is).
    #[arg(long, value_name = "LIVENESS", default_value = "auto")]
    pub liveness: Liveness,
    /// Ends after this many records. The batch in flight is finished, so there may be some more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub exit_after: Option<u64>,
    /// Ends when no record has arrived for this long, even if none ever arrived, provided that
    /// every shard of this process was read. It is an error if a shard cannot be read.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub idle_exit: Option<Duration>,
    /// Appends a JSON line to this file for each lifecycle call and each record: t (ms since 1970),
    /// worker, event (initialize, record, lease_lost, shard_ended, shutdown_requested), shard,
    /// sequence, sub, key. Each process needs a file of its own. A record is written before it
    /// counts as processed. A process that is killed leaves only whole lines.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// How long a graceful shutdown may take. Shards that are not drained by then are abandoned.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
    /// How long the stream or the lease table may be unreachable at startup before it is an error.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub start_within: Duration,
    /// GetRecords calls per second and shard, when polling. AWS allows 5; more is for measurements
    /// against other endpoints.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub calls_per_second: usize,
    /// The most records to request in one call, when polling: 1 to 10000.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub max_records: u32,
    /// The memory for fetched records, in bytes or with KiB, MiB or GiB: at least 10MiB.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = budget)]
    pub byte_budget: ByteBudget,
}

/// How shards are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReadBy {
    /// By GetRecords: 2 MB per second and shard, shared by all applications that poll it.
    Polling,
    /// By enhanced fan-out: records are pushed, 2 MB per second and shard for this application
    /// alone. The program ends if the consumer is not available.
    FanOut,
    /// By enhanced fan-out if the consumer is available, otherwise by polling.
    Auto,
}

impl ConsumeOptions {
    /// Parses the command line; the program ends if it is invalid.
    #[must_use]
    pub fn from_command_line() -> Self {
        let options = Self::parse();
        match options.check() {
            Ok(()) => options,
            Err(error) => error.exit(),
        }
    }

    /// Checks what the parser cannot: which values of two options are valid together.
    ///
    /// # Errors
    /// If two are not, in the words and with the exit code of the parser's own errors.
    pub fn check(&self) -> Result<(), clap::Error> {
        if self.mode == ReadBy::Polling && self.consumer.is_some() {
            let said = "--consumer is only valid with --mode fan-out and --mode auto";
            return Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, said));
        }
        Ok(())
    }

    /// A builder with the settings from these options. The source, the lease table and the
    /// processor have to be added.
    pub fn builder(&self) -> Builder {
        let mut worker = Worker::builder()
            .stream(self.stream.to_string())
            .application(&self.application)
            .initial_position(self.from)
            .failover(self.failover)
            .liveness(self.liveness)
            .start_within(self.start_within)
            .mode(self.mode())
            .calls_per_second(self.calls_per_second)
            .max_records(self.max_records)
            .byte_budget(self.byte_budget.clone())
            // The processor fails only if the trace cannot be written, and a retry would not help.
            .on_failure(OnFailure::Stop);
        worker = match self.to {
            Some(Until::Time(time)) => worker.until(time),
            Some(_) => worker.until_caught_up(),
            None => worker,
        };
        if let Some(id) = &self.worker {
            worker = worker.worker_id(id);
        }
        worker
    }

    /// How the worker reads, with the consumer that `--consumer` names.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let consumer = match self.consumer.as_deref() {
            Some(arn) if arn.starts_with("arn:") => FanOutConfig::external(arn),
            Some(name) => FanOutConfig::shared().name(name),
            None => FanOutConfig::managed(),
        };
        match self.mode {
            ReadBy::Polling => Mode::Polling,
            ReadBy::FanOut => Mode::FanOut(consumer),
            ReadBy::Auto => Mode::Auto(consumer),
        }
    }

    /// What happens to the leases at the end.
    #[must_use]
    pub const fn at_the_end(&self) -> Stop {
        if self.keep_leases {
            Stop::Keep
        } else {
            Stop::Release
        }
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err("expected a URL such as http://127.0.0.1:4567".to_owned()),
    }
}

fn position(text: &str) -> Result<InitialPosition, String> {
    match text {
        "trim-horizon" => Ok(InitialPosition::TrimHorizon),
        "latest" => Ok(InitialPosition::Latest),
        _ => match text.strip_prefix("at:") {
            Some(time) => Ok(InitialPosition::AtTimestamp(timestamp(time)?)),
            None => Err("expected trim-horizon, latest or at:TIME".to_owned()),
        },
    }
}

fn bound(text: &str) -> Result<Until, String> {
    if text == "now" {
        Ok(Until::CaughtUp)
    } else {
        Ok(Until::Time(timestamp(text).map_err(|error| {
            format!("expected `now` or a time: {error}")
        })?))
    }
}

/// Below this, a number is seconds since 1970 (up to the year 5138); from it on, milliseconds (from
/// 1973).
const FIRST_MILLIS: i64 = 100_000_000_000;

fn timestamp(text: &str) -> Result<Timestamp, String> {
    let allowed = || {
        "expected TIME as RFC 3339, such as 2026-01-31T08:00:00Z, or seconds or milliseconds \
         since 1970"
            .to_owned()
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().map_err(|_| allowed())?;
        return Ok(Timestamp::from_millis(if number < FIRST_MILLIS {
            number * 1000
        } else {
            number
        }));
    }
    text.parse().map_err(|_| allowed())
}

fn budget(text: &str) -> Result<ByteBudget, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), *unit)))
        .unwrap_or((text, 1_usize));
    let bytes = number
        .parse()
        .ok()
        .and_then(|number: usize| number.checked_mul(unit));
    let bytes = bytes
        .ok_or_else(|| "expected a number of bytes, or one with KiB, MiB or GiB".to_owned())?;
    ByteBudget::new(bytes).map_err(|error| error.to_string())
}
