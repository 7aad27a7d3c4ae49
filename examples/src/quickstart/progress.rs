use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use kcl_core::model::{Moment, ShardId};
use kcl_core::{Clock, SystemClock};

use super::counts::{Counts, ShardState, ShardView, Shards};
use super::producer::PutProgress;

/// Shows the progress of a run on standard error: bars on a terminal, otherwise a line now and
/// then.
#[derive(Debug)]
pub struct Progress {
    bars: Option<Bars>,
    said: Cell<Moment>,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    put: ProgressBar,
    counted: ProgressBar,
    shards: RefCell<BTreeMap<ShardId, ProgressBar>>,
}

const DRAWN_EVERY: Duration = Duration::from_millis(100);
const SAID_EVERY: Duration = Duration::from_secs(2);

impl Progress {
    /// Creates it for this many lines to put and to process.
    #[must_use]
    pub fn new(to_put: u64, to_count: u64) -> Self {
        Self {
            bars: std::io::stderr()
                .is_terminal()
                .then(|| Bars::new(to_put, to_count)),
            said: Cell::new(SystemClock.now()),
        }
    }

    /// Prints a line between the bars.
    pub fn say(&self, text: &str) {
        match &self.bars {
            // It fails only if the terminal is gone, and then it does not matter.
            Some(bars) => drop(bars.all.println(text)),
            None => eprintln!("{text}"),
        }
    }

    /// Waits until it is time for the next update. Cancel safe.
    pub async fn tick() {
        SystemClock
            .sleep_until(SystemClock.now() + DRAWN_EVERY)
            .await;
    }

    /// Shows the current progress.
    pub fn show(&self, put: &PutProgress, counts: &Counts) {
        let (put, counted, shards) = (put.lines(), counts.tally().new, counts.shards());
        match &self.bars {
            Some(bars) => bars.show(put, counted, &shards),
            None if SystemClock.now().since(self.said.get()) >= SAID_EVERY => {
                self.said.set(SystemClock.now());
                let open = shards
                    .iter()
                    .filter(|(_, view)| view.state == ShardState::Reading);
                let lags: Vec<_> = open
                    .filter_map(|(shard, view)| Some(format!("{shard} {} ms", view.lag?)))
                    .collect();
                let lags = if lags.is_empty() {
                    "-".to_owned()
                } else {
                    lags.join(", ")
                };
                eprintln!(
                    "{} lines put, {} processed; lag: {lags}",
                    HumanCount(put),
                    HumanCount(counted)
                );
            }
            None => {}
        }
    }

    /// Removes the bars.
    pub fn end(&self) {
        if let Some(bars) = &self.bars {
            drop(bars.all.clear());
        }
    }
}

impl Bars {
    fn new(to_put: u64, to_count: u64) -> Self {
        let all = MultiProgress::new();
        let bar = |name: &'static str, length| {
            let bar = all.add(ProgressBar::new(length).with_prefix(name));
            bar.set_style(style(
                "{prefix:<10} [{bar:40}] {human_pos}/{human_len}  {rate}",
            ));
            bar
        };
        let (put, counted) = (bar("put", to_put), bar("processed", to_count));
        Self {
            all,
            put,
            counted,
            shards: RefCell::default(),
        }
    }

    fn show(&self, put: u64, counted: u64, shards: &Shards) {
        // Files may have grown since the lines were counted.
        self.put.set_length(self.put.length().unwrap_or(0).max(put));
        self.counted
            .set_length(self.counted.length().unwrap_or(0).max(counted));
        self.put.set_position(put);
        self.counted.set_position(counted);
        for (shard, view) in shards {
            let mut bars = self.shards.borrow_mut();
            let bar = bars.entry(shard.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new_spinner());
                bar.set_style(style("{msg}"));
                bar
            });
            bar.set_message(shard_line(shard, view));
        }
    }
}

/// A line about a shard: how many lines were read in this run, its lag and its state.
pub(super) fn shard_line(shard: &ShardId, view: &ShardView) -> String {
    let lag = view
        .lag
        .map_or_else(|| "-".to_owned(), |lag| format!("{} ms", HumanCount(lag)));
    let state = match view.state {
        ShardState::Reading => "open",
        ShardState::Ended => "ended",
        ShardState::Released => "released",
    };
    format!(
        "{shard:<22} {:>12} {lag:>12}  {state}",
        HumanCount(view.lines).to_string()
    )
}

fn style(template: &str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // Errors are ignored: the rate is then not shown.
        let _ = write!(out, "{} per second", HumanCount(state.per_sec() as u64));
    };
    style.with_key("rate", rate).progress_chars("=> ")
}
