use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kcl_core::admin::Observer;
use kcl_core::{Clock as _, SystemClock};

use super::status::{Summary, say};
use super::watching::is_empty;
use crate::arguments::TableArguments;
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::Output;

/// Shows the status again and again, until Ctrl-C.
///
/// It goes on watching between two drawings, so that who is dead shows after 4/5 of its failover
/// time. The table is scanned once a drawing, and read worker by worker between them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl watch billing --lease-table dynamo
  kcl watch billing --every 5s
  kcl watch billing --times 3 | cat      three times, one below the other")]
pub(crate) struct WatchOptions {
    #[command(flatten)]
    table: TableArguments,
    /// From one drawing to the next: at least 200ms.
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = parse::span)]
    every: Duration,
    /// Ends after so many drawings.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
}

const FASTEST: Duration = Duration::from_millis(200);
/// Between two looks at the workers: often enough for any failover time that is of use.
const PROBE: Duration = Duration::from_millis(400);
/// Goes to the upper left corner; clears what is below.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR: &str = "\x1b[2J";

impl WatchOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let signal = kcl_core::stop_signal()
            .map_err(|error| Failure::new("cannot wait for Ctrl-C", error))?;
        tokio::select! {
            biased;
            _ = signal => Ok(Ended::Well),
            ended = self.draw() => ended,
        }
    }

    async fn draw(&self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let every = self.every.max(FASTEST);
        let is_terminal = std::io::stdout().is_terminal();
        let mut observer = Observer::new(Arc::clone(&table.table));
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

/// Over what was drawn before, line by line: nothing flickers.
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
