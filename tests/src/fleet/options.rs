use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use examples::consume::LeaseTableAt;

use super::network::Harm;
use super::script::Script;
use super::worker::WorkerOptions;

/// Runs a fleet of worker processes on one lease table, breaks them on purpose, and proves what came of it.
///
/// It starts an embedded Kinesis-compatible stream, a producer that puts records into every shard, and worker processes that share the
/// shards through one lease table: an SQLite file, or a table of DynamoDB. It shows who reads which shard. Meanwhile workers are killed, frozen, stopped and added, and shards
/// are split and merged: by keys on a terminal, or by a script. At the end every record that was put is compared with what the workers
/// were given: lost, out of order, and handed out again, by cause.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "fleet",
    after_help = "\
Examples:
  fleet                                  three workers, eight shards; keys tell what to do
  fleet --script '5s kill 1; 20s add'    the same without keys
  fleet --soak 1 --for 30m --workers 5   half an hour of chaos, drawn from a seed
  fleet --measure                        the figures that are promised, with their limits
  fleet --measure stop,join --runs 5     some of them, with fewer runs
  fleet --lease-table dynamo --dynamo-endpoint http://127.0.0.1:8000
                                         on an emulator of DynamoDB; region and credentials are those of the environment

TerminalKeys on a terminal:
  1 to 9  choose a worker     a  add a worker      s  split a shard
  k  kill it (SIGKILL)        t  stop it (SIGTERM) m  merge two shards
  f  freeze it (SIGSTOP)      r  kill it and start it under the same name
  q, Ctrl-C  end: everything that was put is read, then the workers end and the table follows

A script is TIME ACTION; TIME ACTION and so on, with the times from the moment when all shards are read. Actions: kill [N],
restart [N], freeze [N] [TIME], stop [N], add, split, merge, harm [N] WHAT stream|table TIME PERCENT%, where WHAT is what happens to
so many of the requests: break, hold, late, expired, throttle, error or odd. N is the number of a worker; without it the one is meant
that has been working for longest. Without a terminal and without --script a script runs that has some of everything.

The last line on standard output is a JSON object with the figures.

Exit codes:
  0  nothing was lost, out of order or handed out again without a cause; with --measure: and every limit holds
  1  it was, or something failed; standard error says what
  2  an option cannot be"
)]
pub struct Options {
    /// What worker processes are started with.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How many workers begin.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// How many shards the stream begins with.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub shards: u32,
    /// Records a second and shard.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub rate: u64,
    /// How long a worker may show no life before others take its shards.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    pub failover: Duration,
    /// What to do when: TIME ACTION; TIME ACTION ...
    #[arg(long, value_name = "STEPS")]
    pub script: Option<Script>,
    /// Draws from this number what is done to the workers and the shards: kills, freezes, stops, starts, splits and merges, and harm to
    /// the requests between the workers, the stream and DynamoDB. The same number and options draw the same.
    #[arg(long, value_name = "SEED", requires = "span", conflicts_with_all = ["script", "measure"])]
    pub soak: Option<u64>,
    /// What is not to happen to requests in a soak.
    #[arg(long, value_name = "HARMS", value_enum, value_delimiter = ',', requires = "soak")]
    pub off: Vec<Harm>,
    /// How long it goes on. Without it: until a key or a signal ends it, or until the script is done and the fleet at rest.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub span: Option<Duration>,
    /// Where leases are kept: sqlite:PATH, dynamo (a table of its own for this run) or dynamo:TABLE. Without it: in an SQLite file in the
    /// folder. With --measure each fleet has a file or a table of its own, named after TABLE where that is given; no table is deleted.
    #[arg(long, value_name = "WHERE")]
    pub lease_table: Option<LeaseTableAt>,
    /// The endpoint of an emulator of DynamoDB. Without it: AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", requires = "lease_table")]
    pub dynamo_endpoint: Option<String>,
    /// Where the traces and logs of the processes are kept. Without it: in a folder that is deleted at the end.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Measures what is promised, in place of the show. All of it, or some: stop (a graceful stop), kill, join, start, cost.
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
    /// Two workers start at once on an empty table.
    Start,
    /// What eight workers with 64 idle shards ask of the table.
    Cost,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn parts_are_chosen_and_all_of_them_without_a_choice() {
        let parts = |line: &str| Options::try_parse_from(line.split(' ')).map(|options| options.measure).ok();
        assert_eq!(parts("fleet"), Some(None));
        assert_eq!(parts("fleet --measure").flatten().map(|parts| parts.len()), Some(5));
        assert_eq!(parts("fleet --measure stop,cost --runs 3"), Some(Some(vec![Part::Stop, Part::Cost])));
        assert_eq!(parts("fleet --measure everything"), None);
        assert_eq!(parts("fleet --lease-table dynamo:x --dynamo-endpoint http://localhost:8000"), Some(None));
        assert_eq!(parts("fleet --lease-table dynamodb:x"), None);
        assert_eq!(parts("fleet --dynamo-endpoint http://localhost:8000"), None);
        assert_eq!(parts("fleet --soak 7 --for 30m --off hold,late"), Some(None));
        for wrong in ["--soak 7", "--for 1m --off hold", "--soak 7 --for 1m --off rain", "--soak 7 --for 1m --script 1s_add"] {
            assert_eq!(parts(&format!("fleet {wrong}")), None, "{wrong}");
        }
    }
}
