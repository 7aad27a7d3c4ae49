use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use examples::consume::LeaseTableAt;

use super::network::Harm;
use super::script::Script;
use super::worker::WorkerOptions;

/// Runs a fleet of worker processes on one lease table, breaks them on purpose, and checks that no
/// record was lost.
///
/// It starts an embedded Kinesis-compatible stream, a producer that puts records into every shard,
/// and worker processes that share the shards through one lease table: an SQLite file or a DynamoDB
/// table. It shows which worker reads which shard. Meanwhile workers are killed, frozen, stopped
/// and added, and shards are split and merged: by keys on a terminal, or by a script. At the end
/// every record that was put is compared with what the workers received: records lost, out of
/// order, and delivered again, by cause.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "fleet",
    after_help = "\
Examples:
  fleet                                  three workers, eight shards, controlled by keys
  fleet --script '5s kill 1; 20s add'    the same, controlled by a script
  fleet --soak 1 --for 30m --workers 5   half an hour of chaos, drawn from a seed
  fleet --measure                        measures what is promised, with the limits
  fleet --measure stop,join --runs 5     some of it, with fewer runs
  fleet --lease-table dynamo --dynamo-endpoint http://127.0.0.1:8000
                                         on a DynamoDB emulator; region and credentials come from the environment

Keys on a terminal:
  1 to 9  choose a worker     a  add a worker      s  split a shard
  k  kill it (SIGKILL)        t  stop it (SIGTERM) m  merge two shards
  f  freeze it (SIGSTOP)      r  kill it and restart it under the same name
  q, Ctrl-C  end: everything that was put is read, then the workers end and the report follows

A script is TIME ACTION; TIME ACTION and so on, with times counted from the moment when all shards are being read. Actions: kill [N],
restart [N], freeze [N] [TIME], stop [N], add, split, merge, harm [N] WHAT stream|table TIME PERCENT%, where WHAT is what happens to
that share of the requests: break, hold, late, expired, throttle, error or odd. N is the number of a worker; by default it is the
longest-running one. Without a terminal and without --script, a script with some of everything runs.

The last line on standard output is a JSON object with the figures.

Exit codes:
  0  no record was lost, out of order, or delivered again without a cause; with --measure, every limit also holds
  1  otherwise, or after a failure; standard error says which
  2  invalid options"
)]
pub struct Options {
    /// How worker processes are started.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The number of workers at the start.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// The number of shards at the start.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub shards: u32,
    /// Records put per second and shard.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub rate: u64,
    /// How long a worker may go without a heartbeat before others take its shards.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    pub failover: Duration,
    /// What to do and when: TIME ACTION; TIME ACTION ...
    #[arg(long, value_name = "STEPS")]
    pub script: Option<Script>,
    /// Draws from this seed what is done to the workers and the shards: kills, freezes, stops,
    /// starts, splits, merges, and harm to the requests between the workers, the stream and
    /// DynamoDB. The same seed with the same options draws the same.
    #[arg(long, value_name = "SEED", requires = "span", conflicts_with_all = ["script", "measure"])]
    pub soak: Option<u64>,
    /// Kinds of harm that do not happen to requests in a soak.
    #[arg(
        long,
        value_name = "HARMS",
        value_enum,
        value_delimiter = ',',
        requires = "soak"
    )]
    pub off: Vec<Harm>,
    /// How long to run. Default: until a key or a signal ends it, or until the script is done and
    /// the fleet at rest.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub span: Option<Duration>,
    /// Where leases are stored: sqlite:PATH, dynamo (a new table for this run) or dynamo:TABLE.
    /// Default: an SQLite file in the folder. With --measure each fleet has a file or table of its
    /// own, named after TABLE if that is given; no table is deleted.
    #[arg(long, value_name = "WHERE")]
    pub lease_table: Option<LeaseTableAt>,
    /// The endpoint of a DynamoDB emulator. Default: AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL,
    /// or AWS itself.
    #[arg(long, value_name = "URL", requires = "lease_table")]
    pub dynamo_endpoint: Option<String>,
    /// Where the traces and logs of the processes are stored. Default: a folder that is deleted at
    /// the end.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Measures what is promised, instead of running the show. All of it, or some: stop (a graceful
    /// stop), kill, join, start, cost.
    #[arg(long, value_name = "PARTS", num_args = 0..=1, require_equals = false, value_delimiter = ',', default_missing_value = "stop,kill,join,start,cost")]
    pub measure: Option<Vec<Part>>,
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 20, requires = "measure", value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
}

/// What worker processes are started with.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// A worker of the fleet.
    #[command(hide = true)]
    Worker(Box<WorkerOptions>),
}

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// From a graceful stop to the first record of every shard that moved.
    Stop,
    /// From a kill to the first record of every shard that moved.
    Kill,
    /// A worker joins three others on 64 shards.
    Join,
    /// Two workers start together on an empty table.
    Start,
    /// How many calls eight workers with 64 idle shards make to the table.
    Cost,
}
