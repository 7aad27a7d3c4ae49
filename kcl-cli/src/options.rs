use clap::{CommandFactory as _, Parser, Subcommand};

#[cfg(feature = "local")]
use crate::commands::local;
use crate::commands::{
    backup, check, cost, generated, lag, leases, shards, status, tail, watch, workers,
};
use crate::failure::{Ended, Failure};

/// Sees a fleet of Kinesis consumers from a shell: who holds which shard, who is alive, what stands
/// still and why.
///
/// Commands that take an APP read its lease table and write nothing to it, except `import`. Region
/// and credentials are found as by any AWS tool: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_PROFILE,
/// ~/.aws, the role of the machine.
#[derive(Debug, Parser)]
#[command(
    name = "kcl",
    version,
    after_help = "\
Examples:
  kcl status billing --lease-table dynamo          the application in one screen
  kcl workers billing --table sqlite:leases.db     who is alive
  kcl check billing --ask-stream                   what is wrong, and what to do
  kcl lag billing --max 5m                         how far behind, as an exit code too
  kcl tail orders --from trim-horizon --limit 10   the records of a stream

Exit codes:
  0  done, and all is as it should be
  1  done, and something was found: what the command was to look for, or why it refused
  2  the command line is invalid
  3  it could not be done: standard error says why

Tables for people have no colours unless standard output is a terminal, and none if NO_COLOR is set.
RUST_LOG sets the level of the log on standard error (default: error)."
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(status::StatusOptions),
    Leases(leases::LeasesOptions),
    Workers(workers::WorkersOptions),
    Check(check::CheckOptions),
    Lag(lag::LagOptions),
    Shards(shards::ShardsOptions),
    Tail(tail::TailOptions),
    Export(backup::ExportOptions),
    Import(backup::ImportOptions),
    Cost(cost::CostOptions),
    Watch(watch::WatchOptions),
    #[cfg(feature = "local")]
    Local(local::LocalOptions),
    Completions(generated::CompletionsOptions),
    Man(generated::ManOptions),
}

impl Command {
    /// Does what the command line says.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        match self {
            Self::Status(options) => options.run().await,
            Self::Leases(options) => options.run().await,
            Self::Workers(options) => options.run().await,
            Self::Check(options) => options.run().await,
            Self::Lag(options) => options.run().await,
            Self::Shards(options) => options.run().await,
            Self::Tail(options) => options.run().await,
            Self::Export(options) => options.run().await,
            Self::Import(options) => options.run().await,
            Self::Cost(options) => options.run().await,
            Self::Watch(options) => options.run().await,
            #[cfg(feature = "local")]
            Self::Local(options) => options.run().await,
            Self::Completions(options) => options.run(Options::command()),
            Self::Man(options) => options.run(Options::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn each_command_shows_an_example() {
        for command in Options::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let help = command.clone().render_long_help().to_string();
            let example = format!("  kcl {}", command.get_name());
            assert!(help.contains(&example), "{help}");
        }
    }
}
