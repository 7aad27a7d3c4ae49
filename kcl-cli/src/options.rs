//! The command line of `kcl`: the names of the commands, and the help that all of them share.
//!
//! The `///` comments of this crate's options are the text of `--help` and of the man pages. A
//! reason that only a maintainer needs is therefore a `//` comment or stands on a function.

use clap::{CommandFactory as _, Parser, Subcommand};

#[cfg(feature = "local")]
use crate::commands::local;
use crate::commands::{
    backup, check, cost, drain, generated, lag, leases, moves, multilang, pause, replay, seek,
    serve, shards, status, tail, watch, workers,
};
use crate::failure::{Ended, Failure};
use crate::say::log::LogFormat;

/// Shows and steers a Kinesis consumer application from a shell: which worker holds which lease, which
/// workers are alive, which leases are stuck, and why; pauses it, moves its leases, and sets where it is read on.
///
/// Commands that take APP read its lease table. Only `pause`, `resume`, `seek`, `move`, `drain` and
/// `import` write to it. Region and credentials are looked up as in every AWS tool: AWS_REGION, AWS_ACCESS_KEY_ID,
/// AWS_PROFILE, ~/.aws, the role of the machine.
#[derive(Debug, Parser)]
#[command(
    name = "kcl",
    version,
    after_help = "\
Examples:
  kcl status billing --lease-table dynamo          the application on one screen
  kcl workers billing --table sqlite:leases.db     which workers are alive
  kcl check billing --ask-stream                   what is wrong, and what to do
  kcl lag billing --max 5m                         how far behind; exit code 1 if over 5 min
  kcl tail orders --from trim-horizon --limit 10   the records of a stream
  kcl serve billing                                a page that shows it live

Exit codes:
  0  done; nothing is wrong
  1  done, but something was found that needs attention, or the command refused
  2  the command line is invalid
  3  it failed; standard error says why

Colours are used only if standard output is a terminal and NO_COLOR is not set.
RUST_LOG sets the level of the log on standard error (default: error)."
)]
pub(crate) struct Options {
    /// There is always one: `kcl` alone is an error that shows this help.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands. Their order is that of `kcl --help`: what an operator needs at night comes first,
/// then what reads the stream, then what moves leases, then the tools.
///
/// `multilang-child` is hidden: the daemon calls it, and nobody else.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(status::StatusOptions),
    Leases(leases::LeasesOptions),
    Workers(workers::WorkersOptions),
    Check(check::CheckOptions),
    Lag(lag::LagOptions),
    Shards(shards::ShardsOptions),
    Tail(tail::TailOptions),
    Replay(replay::ReplayOptions),
    Pause(pause::PauseOptions),
    Resume(pause::ResumeOptions),
    Seek(seek::SeekOptions),
    Move(moves::MoveOptions),
    Drain(drain::DrainOptions),
    Export(backup::ExportOptions),
    Import(backup::ImportOptions),
    Cost(cost::CostOptions),
    Watch(watch::WatchOptions),
    Serve(serve::ServeOptions),
    #[cfg(feature = "local")]
    Local(local::LocalOptions),
    Multilang(multilang::MultilangOptions),
    #[command(hide = true)]
    MultilangChild(multilang::ChildOptions),
    Completions(generated::CompletionsOptions),
    Man(generated::ManOptions),
}

impl Command {
    /// How the log is written, and from which level on where `RUST_LOG` does not say it.
    pub(crate) const fn log(&self) -> (LogFormat, &'static str) {
        match self {
            // A service, whose log is what one sees of it.
            Self::Multilang(options) => (options.log_format(), "info"),
            _ => (LogFormat::Text, "error"),
        }
    }

    /// Runs the command to its end, or to a signal for those that would run forever.
    ///
    /// `completions` and `man` receive the whole command line, because they are generated from it.
    /// They do no input or output but the text itself, and are not async.
    ///
    /// # Errors
    /// A [`Failure`] is exit code 3. What a command found, or refused, is not an error but
    /// [`Ended::WithFindings`], exit code 1: scripts tell "the fleet is ill" from "I could not
    /// look".
    ///
    /// Cancelling it is safe for every command: each write of those that write stands alone.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        match self {
            Self::Status(options) => options.run().await,
            Self::Leases(options) => options.run().await,
            Self::Workers(options) => options.run().await,
            Self::Check(options) => options.run().await,
            Self::Lag(options) => options.run().await,
            Self::Shards(options) => options.run().await,
            Self::Tail(options) => options.run().await,
            Self::Replay(options) => options.run().await,
            Self::Pause(options) => options.run().await,
            Self::Resume(options) => options.run().await,
            Self::Seek(options) => options.run().await,
            Self::Move(options) => options.run().await,
            Self::Drain(options) => options.run().await,
            Self::Export(options) => options.run().await,
            Self::Import(options) => options.run().await,
            Self::Cost(options) => options.run().await,
            Self::Watch(options) => options.run().await,
            Self::Serve(options) => options.run().await,
            #[cfg(feature = "local")]
            Self::Local(options) => options.run().await,
            Self::Multilang(options) => options.run().await,
            Self::MultilangChild(options) => match options.become_it()? {},
            Self::Completions(options) => options.run(Options::command()),
            Self::Man(options) => options.run(Options::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clap checks a command line only when it is used: two options of one name would panic in the
    /// hands of a user.
    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    /// The example is what people copy, so a command without one is not finished.
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
