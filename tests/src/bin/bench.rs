//! What the framework costs over a bare loop of the SDK, in CPU and memory. See `tests::bench`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tests::bench::{
    BenchLoad, BenchRow, Figures, LoadKeys, Reading, bare, compare, floor, idle, lanes, latency,
    quiet, serve, subscriptions, table, worker,
};

/// What a worker costs: CPU and memory beside a bare loop of the SDK, CPU of quiet shards, memory of
/// many subscriptions, and the time that it adds.
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
    /// Prints what a worker takes that reads quiet shards at the default pace: CPU for each second.
    Idle {
        /// Shards of the stream.
        #[arg(long, default_value_t = 64)]
        shards: u32,
        /// Seconds of the measurement.
        #[arg(long, default_value_t = 12)]
        seconds: u64,
        /// Records a second that are put meanwhile, one by one; without it, none.
        #[arg(long)]
        rate: Option<u32>,
        /// Over TLS.
        #[arg(long)]
        tls: bool,
    },
    /// Measures everything that docs/performance.md shows in its table, and prints that table. It
    /// takes some 20 minutes on a machine that does nothing else.
    Table {
        /// Counted runs of each client.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Only the rows whose names contain this.
        #[arg(long, default_value = "")]
        only: String,
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
    /// Prints how fast a worker does the records of one shard, of 1,000 partition keys, with a handler
    /// that takes a while for each, and its peak of memory.
    Lanes {
        /// Records that are at work at the same time, as `by_key` takes it.
        #[arg(long, default_value_t = 256)]
        at_work: u16,
        /// Milliseconds that the handler takes for a record.
        #[arg(long, default_value_t = 20)]
        takes: u64,
        /// Records in the stream.
        #[arg(long, default_value_t = 100_000)]
        records: u64,
        /// Bytes a record.
        #[arg(long, default_value_t = 1024)]
        size: usize,
        /// The worker's byte budget, in MiB.
        #[arg(long, default_value_t = 16)]
        budget: usize,
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
    /// The worker at the tip of its shards.
    #[command(hide = true)]
    Quiet {
        #[arg(long)]
        endpoint: String,
        #[arg(long)]
        seconds: u64,
        #[command(flatten)]
        load: LoadOptions,
    },
    /// The floor.
    #[command(hide = true)]
    Floor {
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

#[derive(Args, Clone)]
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
    /// The worker asks for pages in JSON, as the bare loop does.
    #[arg(long)]
    json: bool,
    /// Over TLS.
    #[arg(long)]
    tls: bool,
    /// Nobody looks at the payloads.
    #[arg(long)]
    no_touch: bool,
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
            .in_json(self.json)
            .over_tls(self.tls)
            .touching(!self.no_touch)
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
            json,
            tls,
            no_touch,
        } = self;
        let flags = [(json, "--json"), (tls, "--tls"), (no_touch, "--no-touch")];
        let flags = flags.into_iter().filter(|(is_set, _)| **is_set);
        let mut arguments = vec![
            format!("--records={records}"),
            format!("--size={size}"),
            format!("--shards={shards}"),
            format!("--limit={limit}"),
            format!("--budget={budget}"),
            format!("--aggregate={aggregate}"),
            format!("--keys={}", named(keys)),
            format!("--mode={}", named(mode)),
        ];
        arguments.extend(flags.map(|(_, flag)| flag.to_owned()));
        arguments
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
            ..Self::polled()
        }
    }

    /// A million records of 1 kB on 4 shards.
    const fn polled() -> Self {
        Self {
            records: 1_000_000,
            size: 1024,
            shards: 4,
            limit: 2000,
            budget: 128,
            aggregate: 1,
            keys: LoadKeys::Explicit,
            mode: Reading::Polling,
            json: false,
            tls: false,
            no_touch: false,
        }
    }

    /// Shards of small records; of none without `records`.
    const fn idle(shards: u32, records: u64, tls: bool) -> Self {
        Self {
            records,
            size: 100,
            shards,
            tls,
            ..Self::polled()
        }
    }

    const fn aggregated(keys: LoadKeys) -> Self {
        Self {
            records: 4_000_000,
            size: 100,
            limit: 10_000,
            aggregate: 400,
            keys,
            ..Self::polled()
        }
    }

    fn arguments_at(&self, rate: Option<u32>) -> Vec<String> {
        self.arguments()
            .into_iter()
            .chain(rate.map(|rate| format!("--rate={rate}")))
            .collect()
    }
}

/// The rows of the table in docs/performance.md.
#[rustfmt::skip]
fn rows() -> Vec<(&'static str, BenchRow, LoadOptions)> {
    let polled = LoadOptions::polled;
    let compared = |name, load| (name, BenchRow::Compared, load);
    let long = 10_000;
    vec![
        compared("http, `Limit` 2,000", polled()),
        compared("http, `Limit` 10,000", LoadOptions { limit: long, ..polled() }),
        compared("https, `Limit` 2,000", LoadOptions { tls: true, ..polled() }),
        compared("https, `Limit` 10,000", LoadOptions { limit: long, tls: true, ..polled() }),
        compared("http, JSON, `Limit` 2,000", LoadOptions { json: true, ..polled() }),
        compared("http, JSON, `Limit` 10,000", LoadOptions { limit: long, json: true, ..polled() }),
        compared("http, `Limit` 2,000, payloads not touched", LoadOptions { no_touch: true, ..polled() }),
        compared("fan-out, http", LoadOptions { mode: Reading::FanOut, ..polled() }),
        compared("fan-out, https", LoadOptions { mode: Reading::FanOut, tls: true, ..polled() }),
        compared("aggregates, one key", LoadOptions::aggregated(LoadKeys::One)),
        compared("aggregates, explicit hash keys", LoadOptions::aggregated(LoadKeys::Explicit)),
        compared("aggregates, distinct keys", LoadOptions::aggregated(LoadKeys::Distinct)),
        ("64 quiet shards", BenchRow::Idle(12, None), LoadOptions::idle(64, 0, false)),
        ("64 quiet shards, https", BenchRow::Idle(12, None), LoadOptions::idle(64, 0, true)),
        ("1,024 quiet shards", BenchRow::Idle(12, None), LoadOptions::idle(1024, 0, false)),
        ("4,096 quiet shards", BenchRow::Idle(12, None), LoadOptions::idle(4096, 0, false)),
        ("64 shards, 1,000 records a second", BenchRow::Idle(12, Some(1000)), LoadOptions::idle(64, RECORDS_AT_A_RATE, false)),
    ]
}

/// More than are read at a rate.
const RECORDS_AT_A_RATE: u64 = 10_000_000;

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
        Command::Read { runs, load } => {
            let compared = compare(&load.load(), runs, &load.arguments())?;
            println!("{}", compared.summary(&load.load()));
            Ok(())
        }
        Command::Idle {
            shards,
            seconds,
            rate,
            tls,
        } => {
            let records = rate.map_or(0, |_| RECORDS_AT_A_RATE);
            let load = LoadOptions::idle(shards, records, tls);
            idle(&load.load(), seconds, rate, &load.arguments())?;
            Ok(())
        }
        Command::Table { runs, only } => {
            let rows = rows().into_iter().filter(|(name, ..)| name.contains(&only));
            let rows = rows.map(|(name, row, load)| (name, row, load.load(), load.arguments()));
            table(rows.collect(), runs)
        }
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
        Command::Lanes {
            at_work,
            takes,
            records,
            size,
            budget,
        } => {
            let load = LoadOptions {
                records,
                size,
                shards: 1,
                limit: 10_000,
                budget,
                ..LoadOptions::polled()
            };
            let (load, arguments) = (load.load(), load.arguments());
            let takes = Duration::from_millis(takes);
            Ok(runtime()?
                .block_on(lanes(&load, at_work, takes, &arguments))
                .map_err(|error| error.to_string())?)
        }
        Command::Server { rate, load } => runtime()?.block_on(serve(&load.load(), rate)),
        Command::Bare { endpoint, load } => say(runtime()?.block_on(bare(&endpoint, &load.load()))),
        Command::Floor { endpoint, load } => {
            say(runtime()?.block_on(floor(&endpoint, &load.load())))
        }
        Command::Worker { endpoint, load } => {
            say(runtime()?.block_on(worker(&endpoint, &load.load())))
        }
        Command::Quiet {
            endpoint,
            seconds,
            load,
        } => say(runtime()?.block_on(quiet(&endpoint, &load.load(), seconds))),
    }
}

/// What a client process has used, for the process that has started it.
fn say(figures: Result<Figures, Box<dyn Error + Send + Sync>>) -> Result<(), Box<dyn Error>> {
    println!("{}", figures.map_err(|error| error.to_string())?);
    Ok(())
}
