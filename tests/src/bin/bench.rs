//! What the framework costs over a bare loop of the SDK, in CPU and memory. See `tests::bench`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tests::bench::{
    BenchLoad, LoadKeys, Reading, bare, compare, latency, serve, subscriptions, worker,
};

/// What a worker costs: CPU and memory beside a bare loop of the SDK, memory of many subscriptions,
/// and the time that it adds.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compares a worker with a bare loop of the SDK over the same records, by polling or by
    /// fan-out: CPU and peak memory of the client process alone, and the ratio of their medians.
    /// Runs the server, and both clients in turn.
    Read {
        /// Counted runs of each client.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        #[command(flatten)]
        load: LoadOptions,
    },
    /// Prints the peak of memory of a worker with many subscriptions (fan-out), some of them with a
    /// handler that stops.
    Subscriptions {
        /// Shards, each with a subscription.
        #[arg(long, default_value_t = 256)]
        shards: u32,
        /// Shards whose handler stops at its first records, until all other shards are done.
        #[arg(long, default_value_t = 16)]
        stopped: u32,
        /// Records a second that are put while they are read; without it, all are there before.
        #[arg(long)]
        rate: Option<u32>,
        /// Records in the stream.
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
        /// Bytes a record.
        #[arg(long, default_value_t = 1024)]
        size: usize,
        /// The worker's byte budget, in MiB.
        #[arg(long, default_value_t = 128)]
        budget: usize,
    },
    /// Prints how long it takes from an event's arrival in the SDK (fan-out) to the call of
    /// `process_records`: p50, p99, p99.9 and the longest.
    Latency {
        /// Shards, each with a subscription.
        #[arg(long, default_value_t = 64)]
        shards: u32,
        /// Events a second, of one record each.
        #[arg(long, default_value_t = 1000)]
        rate: u32,
        /// Bytes a record.
        #[arg(long, default_value_t = 1024)]
        size: usize,
        /// Seconds before the measurement.
        #[arg(long, default_value_t = 10)]
        warm_up: u64,
        /// Seconds of the measurement.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// The server process.
    #[command(hide = true)]
    Server {
        /// Records a second.
        #[arg(long)]
        rate: Option<u32>,
        #[command(flatten)]
        load: LoadOptions,
    },
    /// The bare loop.
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        endpoint: String,
        #[command(flatten)]
        load: LoadOptions,
    },
    /// The worker.
    #[command(hide = true)]
    Worker {
        #[arg(long)]
        endpoint: String,
        #[command(flatten)]
        load: LoadOptions,
    },
}

#[derive(Args)]
struct LoadOptions {
    /// User records in the stream.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes a user record.
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Shards of the stream.
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// `Limit` of each GetRecords, of both clients.
    #[arg(long, default_value_t = 2000)]
    limit: u32,
    /// The worker's byte budget, in MiB.
    #[arg(long, default_value_t = 128)]
    budget: usize,
    /// User records in an aggregate; 1 puts each record by itself.
    #[arg(long, default_value_t = 1)]
    aggregate: u64,
    /// What the user records of aggregates are keyed with.
    #[arg(long, value_enum, default_value = "explicit")]
    keys: LoadKeys,
    /// How the shards are read.
    #[arg(long, value_enum, default_value = "polling")]
    mode: Reading,
}

impl LoadOptions {
    fn load(&self) -> BenchLoad {
        let a_shard = self.records / u64::from(self.shards.max(1));
        let load = BenchLoad::new(
            a_shard * u64::from(self.shards),
            self.size,
            self.shards,
            self.limit,
            self.budget << 20,
        );
        load.in_aggregates(self.aggregate, self.keys)
            .read_by(self.mode)
    }

    fn arguments(&self) -> Vec<String> {
        let Self {
            records,
            size,
            shards,
            limit,
            budget,
            aggregate,
            keys,
            mode,
        } = self;
        [
            format!("--records={records}"),
            format!("--size={size}"),
            format!("--shards={shards}"),
            format!("--limit={limit}"),
            format!("--budget={budget}"),
            format!("--aggregate={aggregate}"),
            format!("--keys={}", named(keys)),
            format!("--mode={}", named(mode)),
        ]
        .into()
    }
}

impl LoadOptions {
    /// Plain records that are read by fan-out.
    const fn pushed(records: u64, size: usize, shards: u32, budget: usize) -> Self {
        Self {
            records,
            size,
            shards,
            limit: 10_000,
            budget,
            aggregate: 1,
            keys: LoadKeys::Explicit,
            mode: Reading::FanOut,
        }
    }

    fn arguments_at(&self, rate: Option<u32>) -> Vec<String> {
        self.arguments()
            .into_iter()
            .chain(rate.map(|rate| format!("--rate={rate}")))
            .collect()
    }
}

/// What it is called on the command line.
fn named(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

fn main() -> ExitCode {
    match run(Options::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    match command {
        Command::Read { runs, load } => compare(&load.load(), runs, &load.arguments()),
        Command::Subscriptions {
            shards,
            stopped,
            rate,
            records,
            size,
            budget,
        } => {
            let load = LoadOptions::pushed(records, size, shards, budget);
            let (load, arguments) = (load.load(), load.arguments_at(rate));
            Ok(runtime()?
                .block_on(subscriptions(&load, stopped, &arguments))
                .map_err(|error| error.to_string())?)
        }
        Command::Latency {
            shards,
            rate,
            size,
            warm_up,
            seconds,
        } => {
            // More than will be read.
            let load =
                LoadOptions::pushed(u64::from(rate) * (warm_up + seconds) * 2, size, shards, 128);
            let (warm_up, seconds) = (Duration::from_secs(warm_up), Duration::from_secs(seconds));
            let (load, arguments) = (load.load(), load.arguments_at(Some(rate)));
            Ok(runtime()?
                .block_on(latency(&load, warm_up, seconds, &arguments))
                .map_err(|error| error.to_string())?)
        }
        Command::Server { rate, load } => runtime()?.block_on(serve(&load.load(), rate)),
        Command::Bare { endpoint, load } => {
            println!(
                "{}",
                runtime()?
                    .block_on(bare(&endpoint, &load.load()))
                    .map_err(|error| error.to_string())?
            );
            Ok(())
        }
        Command::Worker { endpoint, load } => {
            println!(
                "{}",
                runtime()?
                    .block_on(worker(&endpoint, &load.load()))
                    .map_err(|error| error.to_string())?
            );
            Ok(())
        }
    }
}
