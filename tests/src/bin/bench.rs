//! What the framework costs over a bare loop of the SDK, in CPU and memory. See `tests::bench`.

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tests::bench::{Keys, Load, bare, compare, serve, worker};

/// Compares a worker with a bare loop of the SDK over the same records: CPU and peak memory of the client process alone.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server and both clients in turn, and prints the ratio of their medians.
    Read {
        /// Counted runs of each client.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        #[command(flatten)]
        load: LoadOptions,
    },
    /// The server process.
    #[command(hide = true)]
    Server {
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
    keys: Keys,
}

impl LoadOptions {
    fn load(&self) -> Load {
        let a_shard = self.records / u64::from(self.shards.max(1));
        let load = Load::new(a_shard * u64::from(self.shards), self.size, self.shards, self.limit, self.budget << 20);
        load.in_aggregates(self.aggregate, self.keys)
    }

    fn arguments(&self) -> Vec<String> {
        let Self { records, size, shards, limit, budget, aggregate, keys } = self;
        [
            format!("--records={records}"),
            format!("--size={size}"),
            format!("--shards={shards}"),
            format!("--limit={limit}"),
            format!("--budget={budget}"),
            format!("--aggregate={aggregate}"),
            format!("--keys={}", format!("{keys:?}").to_lowercase()),
        ]
        .into()
    }
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
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match command {
        Command::Read { runs, load } => compare(&load.load(), runs, &load.arguments()),
        Command::Server { load } => runtime()?.block_on(serve(&load.load())),
        Command::Bare { endpoint, load } => {
            println!("{}", runtime()?.block_on(bare(&endpoint, &load.load())).map_err(|error| error.to_string())?);
            Ok(())
        }
        Command::Worker { endpoint, load } => {
            println!("{}", runtime()?.block_on(worker(&endpoint, &load.load())).map_err(|error| error.to_string())?);
            Ok(())
        }
    }
}
