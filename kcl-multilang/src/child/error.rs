use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use crate::protocol::Action;

/// Why a child is of no use any more. Another one takes its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// It could not be started.
    #[error("the child `{command}` cannot be started")]
    NotStarted {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has ended while it was asked for something.
    #[error(
        "the child ended while it was asked to {action}: {}",
        status.map_or_else(|| "it has closed its output".to_owned(), said_status)
    )]
    Ended {
        /// What it was asked to do.
        action: Action,
        /// How it ended; `None` if it has closed its output and goes on.
        status: Option<ExitStatus>,
    },
    /// It did not answer in time.
    #[error("the child said nothing for {} s while it was asked to {action}", limit.as_secs_f64())]
    Silent {
        /// What it was asked to do.
        action: Action,
        /// How long it may be silent.
        limit: Duration,
    },
    /// It says that it has done what it was not asked to do. Its next answers cannot be told from
    /// late ones, so it is ended like one that is silent.
    #[error(
        "the child is out of step: it says that it has done {done}, {}",
        asked.map_or_else(|| "and was not asked for anything".to_owned(), |asked| format!("and was asked to {asked}"))
    )]
    OutOfStep {
        /// What it says.
        done: Action,
        /// What it was asked to do.
        asked: Option<Action>,
    },
}

fn said_status(status: ExitStatus) -> String {
    match status.code() {
        // What a shell says for the same.
        Some(127) => "exit status 127, as for a command that is not found".to_owned(),
        _ => status.to_string(),
    }
}
