//! A progress bar for a command that keeps a person waiting.
//!
//! Judging whether workers are alive takes seconds, and a command that prints nothing for that long
//! looks as if it hung. Asking thousands of shards for their lag takes minutes.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, or nothing if standard error is not a terminal: a log file would
/// receive every frame. Dropping it removes it from the screen, however the command ends.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar with this label and so many steps.
    pub(crate) fn new(what: &'static str, steps: usize) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        // It is a constant, and one that can be read.
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }

    /// A bar that shows a share in per cent.
    pub(crate) fn share(what: &'static str) -> Self {
        let bar = Self::new(what, 0);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {percent} %") {
            bar.0.set_style(style);
        }
        bar
    }

    /// Moves the bar. `steps` may change on the way, because a scan may find more workers.
    pub(crate) fn at(&self, done: usize, steps: usize) {
        self.0.set_length(steps as u64);
        self.0.set_position(done as u64);
    }
}

/// An error message must not be appended to the line of the bar.
impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
