use std::fmt;
use std::time::Duration;

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::deed::What;
use super::fleet::Fleet;
use super::verdict::{Cause, Verdict};

/// What was put against what was handed out, over all processes.
#[derive(Debug)]
pub struct Report {
    verdict: Verdict,
    /// Duplicates by cause, in words.
    causes: Vec<(String, u64)>,
    /// What was done, and how long it took until others read the shards.
    deeds: Vec<(String, usize, Option<Duration>)>,
    /// Processes that ended although nobody told them to.
    ended_alone: Vec<String>,
    locked_freezes: u32,
    elapsed: Duration,
}

/// How many faults are told one by one.
const TOLD: usize = 10;

impl Report {
    /// Of this fleet, whose verdict this is.
    #[must_use]
    pub fn new(fleet: &Fleet, verdict: Verdict, elapsed: Duration) -> Self {
        let name = |member: usize| fleet.members()[member].name.to_string();
        let cause = |cause: Cause| match cause {
            Cause::Killed(member) => format!("{} was killed", name(member)),
            Cause::Frozen(member) => format!("{} was frozen", name(member)),
            Cause::Unexplained => "without a cause".to_owned(),
        };
        let causes = verdict.duplicates.iter().map(|(of, count)| (cause(*of), *count)).collect();
        let told = |what| match what {
            What::Killed => Some("killed"),
            What::Frozen => Some("frozen"),
            What::Stopped => Some("stopped"),
            What::Started | What::Woken | What::Ended => None,
        };
        let deeds = fleet.deeds().iter().filter_map(|deed| {
            let text = format!("{} {}", name(deed.member), told(deed.what)?);
            Some((text, deed.shards.len(), fleet.moved_after(deed)))
        });
        let ended_alone = fleet.ended_alone().map(name).collect();
        Self { ended_alone, deeds: deeds.collect(), causes, verdict, locked_freezes: fleet.locked_freezes(), elapsed }
    }

    /// Whether nothing was lost or out of order, everything that came again had a cause, and no process ended by itself.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.verdict.is_right() && self.ended_alone.is_empty()
    }

    /// The figures.
    #[must_use]
    pub fn json(&self) -> Value {
        let Verdict { put, given, lost, out_of_order, early_children, unknown, went_back, .. } = &self.verdict;
        let total: u64 = self.verdict.duplicates.values().sum();
        let deeds = self.deeds.iter().map(|(what, shards, moved)| {
            json!({ "what": what, "shards": shards, "moved_ms": moved.map(|moved| u64::try_from(moved.as_millis()).unwrap_or(u64::MAX)) })
        });
        json!({
            "put": put,
            "handed_out": given,
            "lost": lost,
            "out_of_order": out_of_order,
            "early_children": early_children,
            "unknown": unknown,
            "checkpoints_back": went_back.len(),
            "duplicates": total,
            "unexplained": self.verdict.unexplained(),
            "ended_by_themselves": self.ended_alone,
            "freezes_inside_a_write": self.locked_freezes,
            "deeds": deeds.collect::<Vec<_>>(),
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "right": self.is_right(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { put, given, lost, out_of_order, early_children, unknown, went_back, duplicates, faults } = &self.verdict;
        if !self.deeds.is_empty() {
            writeln!(f, "{:<24} {:>10} {:>22}", "what was done", "shards", "all read elsewhere")?;
            for (what, shards, moved) in &self.deeds {
                let moved = moved.map_or_else(|| "-".to_owned(), |moved| format!("after {:.2} s", moved.as_secs_f64()));
                writeln!(f, "{what:<24} {shards:>10} {moved:>22}")?;
            }
            writeln!(f)?;
        }
        let mut row = |name: &str, value: u64, note: &str| {
            writeln!(f, "{}", format!("{name:<24} {:>10}  {note}", HumanCount(value).to_string()).trim_end())
        };
        row("records put", *put, "")?;
        row("records handed out", *given, "each counted once")?;
        row("lost", *lost, "")?;
        row("out of order", *out_of_order, "")?;
        row("children before parents", *early_children, "")?;
        row("checkpoints gone back", went_back.len() as u64, "")?;
        if *unknown > 0 {
            row("put by nobody", *unknown, "")?;
        }
        row("duplicates", duplicates.values().sum(), if duplicates.is_empty() { "" } else { "of them:" })?;
        for (cause, count) in &self.causes {
            row(&format!("  {cause}"), *count, "")?;
        }
        if self.locked_freezes > 0 {
            let note = "an SQLite file that its stopped writer had locked; the writer was let go on and stopped again";
            row("stopped inside a write", self.locked_freezes.into(), note)?;
        }
        writeln!(f, "{:<24} {:>8.2} s", "elapsed", self.elapsed.as_secs_f64())?;
        for name in &self.ended_alone {
            writeln!(f, "fault: {name} ended by itself")?;
        }
        for fault in went_back.iter().chain(faults).take(TOLD) {
            writeln!(f, "fault: {fault}")?;
        }
        if let Some(more) = (went_back.len() + faults.len()).checked_sub(TOLD).filter(|more| *more > 0) {
            writeln!(f, "fault: {more} more")?;
        }
        Ok(())
    }
}
