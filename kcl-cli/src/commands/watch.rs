//! `watch`: the status on a terminal, drawn again and again.
//!
//! It is one observer that never stops watching, and not `status` in a loop. What was seen before a
//! drawing counts for the next one, so a dead worker is called dead although each drawing follows
//! the last by two seconds.
//!
//! On a terminal a drawing replaces the one before. Into a pipe or a file the drawings follow each
//! other with an empty line between them, without escape sequences, so `--times 3` makes a short
//! log.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::Observer;
use kcl_core::{Clock as _, SystemClock};

use super::status::{Summary, say};
use super::watching::is_empty;
use crate::arguments::{StandstillArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::Output;

/// Shows the status again and again, until Ctrl-C.
///
/// It keeps watching between two drawings, so a worker is shown as dead after 4/5 of its failover
/// time. The table is scanned once per drawing; in between, only the rows of single workers are
/// read.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl watch billing --lease-table dynamo
  kcl watch billing --every 5s
  kcl watch billing --times 3 | cat      three times, one below the other")]
pub(crate) struct WatchOptions {
    #[command(flatten)]
    table: TableArguments,
    /// The time from one drawing to the next; at least 200ms.
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = parse::span)]
    every: Duration,
    /// Ends after this many drawings.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
    #[command(flatten)]
    standstill: StandstillArguments,
}

/// The shortest time between two drawings: each is a scan of the whole table, which somebody pays
/// for.
const FASTEST: Duration = Duration::from_millis(200);
/// The pause between two looks at workers that are not judged. A worker with the default failover
/// time writes its row every 3.3 s, so most looks find nothing new, and the few that do are soon
/// enough.
const PROBE: Duration = Duration::from_millis(400);
/// Escape sequences of ANSI. This one moves to the upper left corner without clearing anything.
const HOME: &str = "\x1b[H";
/// Clears the rest of a line that is shorter than what was drawn before.
const CLEAR_LINE: &str = "\x1b[K";
/// Clears lines of a drawing before that was longer.
const CLEAR_BELOW: &str = "\x1b[J";
/// Clears the screen, once: doing it for each drawing flickers.
const CLEAR: &str = "\x1b[2J";

impl WatchOptions {
    /// Draws until the first signal, which is the usual end and therefore exit code 0.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let signal = kcl_core::stop_signal()
            .map_err(|error| Failure::new("cannot wait for Ctrl-C", error))?;
        tokio::select! {
            biased;
            _ = signal => Ok(Ended::Well),
            ended = self.draw() => ended,
        }
    }

    /// Draws until `--times` is reached. The first drawing must find the application, so that a
    /// mistyped name is an error; a fleet that is deleted later is shown as empty.
    ///
    /// # Errors
    /// A call of the table has failed. It is not retried: a person is watching and can start again.
    async fn draw(&self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let every = self.every.max(FASTEST);
        let is_terminal = std::io::stdout().is_terminal();
        let stuck_after = self.standstill.stuck_after;
        let mut observer = Observer::new(Arc::clone(&table.table)).stuck_after(stuck_after);
        let mut drawn = 0;
        loop {
            let next = SystemClock.now() + every;
            let fleet = observer.look().await.map_err(|error| table.failed(error))?;
            if drawn == 0 && is_empty(&fleet) {
                return Err(Failure::of(table.nothing_found().await));
            }
            let mut out = Output::default();
            out.line(SystemClock.wall());
            say(&mut out, &table, &fleet, &Summary::of(&fleet));
            if is_terminal {
                redraw(out.as_str(), drawn == 0)?;
            } else {
                out.line("");
                out.write()?;
            }
            drawn += 1;
            if self.times.is_some_and(|times| drawn >= times) {
                return Ok(Ended::Well);
            }
            while SystemClock.now() < next {
                let soon = (SystemClock.now() + PROBE).min(next);
                SystemClock.sleep_until(soon).await;
                observer
                    .probe()
                    .await
                    .map_err(|error| table.failed(error))?;
            }
        }
    }
}

/// Draws over the previous drawing line by line, so that nothing flickers.
fn redraw(text: &str, is_first: bool) -> Result<(), Failure> {
    let mut out = Output::default();
    out.text(if is_first { CLEAR } else { "" });
    out.text(HOME);
    for line in text.lines() {
        out.text(line);
        out.text(CLEAR_LINE);
        out.line("");
    }
    out.text(CLEAR_BELOW);
    out.write()
}
