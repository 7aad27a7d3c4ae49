use std::fmt;
use std::time::Duration;

use indicatif::HumanCount;

use super::counts::{Counts, Shards, Tally};
use super::plain::Count;
use super::producer::Put;
use super::progress::shard_line;

/// Compares what was put with what was processed, over all runs, for each edition of each file.
#[derive(Debug)]
pub struct Report {
    /// The plain pass over everything in the stream.
    plain: Count,
    put_now: u64,
    tally: Tally,
    lost: u64,
    /// The differences, in words.
    faults: Vec<String>,
    shards: Shards,
    elapsed: Duration,
    whole: bool,
}

/// How many faults are listed individually.
const TOLD: usize = 5;

impl Report {
    /// Makes the comparison. `put_now` is the number of lines put in this run, and `whole` says
    /// that the run was not stopped early.
    #[must_use]
    pub fn new(
        put: &Put,
        put_now: u64,
        counts: &Counts,
        shards: Shards,
        elapsed: Duration,
        whole: bool,
    ) -> Self {
        let (mut plain, mut lost, mut faults) = (Count::default(), 0, Vec::new());
        for (key @ (path, edition), expected) in put {
            plain.lines += expected.lines;
            plain.words += expected.words;
            let counted = counts.counted(key).count;
            lost += expected.lines.saturating_sub(counted.lines);
            if counted != *expected {
                let Count { lines, words, .. } = expected;
                let what = match (counted.lines == *lines, counted.words == *words) {
                    (true, true) => {
                        "the lines arrived in a different order or with different content"
                            .to_owned()
                    }
                    _ => format!(
                        "{} of {lines} lines, {} of {words} words",
                        counted.lines, counted.words
                    ),
                };
                faults.push(format!("{path} (edition {edition}): {what}"));
            }
        }
        let unknown = counts
            .files()
            .into_iter()
            .filter(|key| !put.contains_key(key));
        faults.extend(
            unknown.map(|(path, edition)| {
                format!("{path} (edition {edition}): not put by this program")
            }),
        );
        Self {
            plain,
            put_now,
            tally: counts.tally(),
            lost,
            faults,
            shards,
            elapsed,
            whole,
        }
    }

    /// Whether every line that was put was processed once and in order.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.lost == 0
            && self.tally.duplicates == 0
            && self.tally.out_of_order == 0
            && self.faults.is_empty()
    }

    /// Whether everything processed so far is right. Lines may still be missing.
    #[must_use]
    pub const fn is_right_so_far(&self) -> bool {
        self.tally.duplicates == 0 && self.tally.out_of_order == 0
    }

    /// How many lines were processed in this run.
    #[must_use]
    pub const fn new_lines(&self) -> u64 {
        self.tally.new
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            lines,
            words,
            new,
            duplicates,
            out_of_order,
            again,
            foreign,
            ..
        } = self.tally;
        writeln!(f, "{:<22} {:>12} {:>12}", "shard", "lines", "lag")?;
        for (shard, view) in &self.shards {
            writeln!(f, "{}", shard_line(shard, view))?;
        }
        writeln!(f)?;
        let mut row = |name: &str, value: u64, note: String| {
            writeln!(
                f,
                "{}",
                format!("{name:<16} {:>18}  {note}", HumanCount(value).to_string()).trim_end()
            )
        };
        row(
            "lines put",
            self.plain.lines,
            format!("{} of them in this run", HumanCount(self.put_now)),
        )?;
        row(
            "lines processed",
            lines,
            format!("{} of them in this run", HumanCount(new)),
        )?;
        row(
            if self.whole {
                "lost"
            } else {
                "left to process"
            },
            self.lost,
            String::new(),
        )?;
        row("duplicates", duplicates, String::new())?;
        row("out of order", out_of_order, String::new())?;
        row(
            "words",
            words,
            format!(
                "{} in a plain pass over the lines that were put",
                HumanCount(self.plain.words)
            ),
        )?;
        if again > 0 {
            row(
                "delivered again",
                again,
                "after the last run was killed; recognized by their positions and not counted \
                 twice"
                    .to_owned(),
            )?;
        }
        if foreign > 0 {
            row(
                "foreign records",
                foreign,
                "not put by this program".to_owned(),
            )?;
        }
        writeln!(
            f,
            "{:<16} {:>16.2} s",
            "elapsed",
            self.elapsed.as_secs_f64()
        )?;
        if self.whole && !self.faults.is_empty() {
            writeln!(f)?;
            for fault in self.faults.iter().take(TOLD) {
                writeln!(f, "differs: {fault}")?;
            }
            if let Some(more) = self.faults.len().checked_sub(TOLD).filter(|more| *more > 0) {
                writeln!(f, "differs: {more} more")?;
            }
        }
        Ok(())
    }
}
