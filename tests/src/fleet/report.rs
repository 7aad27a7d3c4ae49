use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::deed::What;
use super::fleet::Fleet;
use super::network::Harm;
use super::verdict::{Cause, Verdict};

/// What was put against what was handed out, over all processes.
#[derive(Debug)]
pub struct Report {
    verdict: Verdict,
    /// Duplicates by cause, in words.
    causes: Vec<(String, u64)>,
    /// What was done, and how long it took until others read the shards.
    deeds: Vec<(String, usize, Option<Duration>)>,
    /// How often each was done to anybody.
    done: BTreeMap<&'static str, u64>,
    /// How many requests were harmed in which way.
    harmed: Vec<(Harm, u64)>,
    /// The seed of a soak, which has too many deeds and causes to be told one by one.
    seed: Option<u64>,
    /// Processes that ended although nobody told them to.
    ended_alone: Vec<String>,
    locked_freezes: u32,
    elapsed: Duration,
}

/// How many faults are told one by one.
const TOLD: usize = 10;

impl Report {
    /// Of this fleet, whose verdict this is, and which this seed was drawn for.
    #[must_use]
    pub fn new(fleet: &Fleet, verdict: Verdict, seed: Option<u64>, elapsed: Duration) -> Self {
        let name = |member: usize| fleet.members()[member].name.to_string();
        let cause = |cause: Cause| match cause {
            Cause::Killed(member) => format!("{} was killed", name(member)),
            Cause::Frozen(member) => format!("{} was frozen", name(member)),
            Cause::Harmed(member) => format!("{} was cut off from its table", name(member)),
            Cause::Unexplained => "without a cause".to_owned(),
        };
        let kind = |cause: Cause| match cause {
            Cause::Killed(_) => "after a kill",
            Cause::Frozen(_) => "after a freeze",
            Cause::Harmed(_) => "after harm on the way to the table",
            Cause::Unexplained => "without a cause",
        };
        let mut causes: Vec<(String, u64)> = Vec::new();
        for (of, count) in &verdict.duplicates {
            let text = if seed.is_some() {
                kind(*of).to_owned()
            } else {
                cause(*of)
            };
            match causes.last_mut().filter(|(last, _)| *last == text) {
                Some((_, sum)) => *sum += count,
                None => causes.push((text, *count)),
            }
        }
        let told = |what| match what {
            What::Killed => Some("killed"),
            What::Frozen => Some("frozen"),
            What::Stopped => Some("stopped"),
            What::TableHarmed(_) => Some("cut off from its table"),
            What::StreamHarmed => Some("cut off from its stream"),
            What::Started | What::Woken | What::Ended => None,
        };
        let mut done = BTreeMap::new();
        for what in fleet.deeds().iter().filter_map(|deed| told(deed.what)) {
            *done.entry(what).or_default() += 1;
        }
        // Those were let go on at once.
        if let Some(frozen) = done.get_mut("frozen") {
            *frozen -= u64::from(fleet.locked_freezes());
        }
        let one_by_one = fleet.deeds().iter().filter(|_| seed.is_none());
        let deeds = one_by_one.filter_map(|deed| {
            let text = format!("{} {}", name(deed.member), told(deed.what)?);
            Some((text, deed.shards.len(), fleet.moved_after(deed)))
        });
        let deeds = deeds.collect();
        let ended_alone = fleet.ended_alone().map(name).collect();
        let harmed = Harm::value_variants()
            .iter()
            .map(|harm| (*harm, fleet.harmed(*harm)))
            .filter(|(_, count)| *count > 0);
        let (harmed, locked_freezes) = (harmed.collect(), fleet.locked_freezes());
        Self {
            verdict,
            causes,
            deeds,
            done,
            harmed,
            seed,
            ended_alone,
            locked_freezes,
            elapsed,
        }
    }

    /// Whether nothing was lost or out of order, everything that came again had a cause, and no
    /// process ended by itself.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.verdict.is_right() && self.ended_alone.is_empty()
    }

    /// The figures.
    #[must_use]
    pub fn json(&self) -> Value {
        let Verdict {
            put,
            given,
            lost,
            out_of_order,
            early_children,
            unknown,
            went_back,
            ..
        } = &self.verdict;
        let total: u64 = self.verdict.duplicates.values().sum();
        let deeds = self.deeds.iter().map(|(what, shards, moved)| {
            json!({ "what": what, "shards": shards, "moved_ms": moved.map(|moved| u64::try_from(moved.as_millis()).unwrap_or(u64::MAX)) })
        });
        let mut figures = json!({
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
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "right": self.is_right(),
        });
        if !self.harmed.is_empty() {
            let count = |(what, count): &(Harm, u64)| (what.to_string(), Value::from(*count));
            figures["requests_harmed"] = Value::Object(self.harmed.iter().map(count).collect());
        }
        match self.seed {
            Some(seed) => {
                figures["seed"] = seed.into();
                figures["done"] = json!(self.done);
                figures["splits"] = self.verdict.splits.into();
                figures["merges"] = self.verdict.merges.into();
                figures["duplicates_by_cause"] =
                    json!(self.causes.iter().cloned().collect::<BTreeMap<_, _>>());
            }
            None => figures["deeds"] = deeds.collect(),
        }
        figures
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            put,
            given,
            lost,
            out_of_order,
            early_children,
            unknown,
            went_back,
            duplicates,
            faults,
            ..
        } = &self.verdict;
        if !self.deeds.is_empty() {
            writeln!(
                f,
                "{:<24} {:>10} {:>22}",
                "what was done", "shards", "taken over"
            )?;
            for (what, shards, moved) in &self.deeds {
                let moved = moved.map_or_else(
                    || "-".to_owned(),
                    |moved| format!("after {:.2} s", moved.as_secs_f64()),
                );
                writeln!(f, "{what:<24} {shards:>10} {moved:>22}")?;
            }
            writeln!(f)?;
        }
        if self.seed.is_some() {
            for (what, count) in &self.done {
                writeln!(f, "{what:<24} {:>10}", HumanCount(*count).to_string())?;
            }
            for (harm, count) in &self.harmed {
                writeln!(
                    f,
                    "{:<24} {:>10}",
                    format!("requests: {harm}"),
                    HumanCount(*count).to_string()
                )?;
            }
            let Verdict { splits, merges, .. } = &self.verdict;
            writeln!(
                f,
                "{:<24} {splits:>10}\n{:<24} {merges:>10}\n",
                "shards split", "shards merged"
            )?;
        }
        let mut row = |name: &str, value: u64, note: &str| {
            writeln!(
                f,
                "{}",
                format!("{name:<24} {:>10}  {note}", HumanCount(value).to_string()).trim_end()
            )
        };
        row("records put", *put, "")?;
        row("records delivered", *given, "each counted once")?;
        row("lost", *lost, "")?;
        row("out of order", *out_of_order, "")?;
        row("children before parents", *early_children, "")?;
        row("checkpoints moved back", went_back.len() as u64, "")?;
        if *unknown > 0 {
            row("never put", *unknown, "")?;
        }
        row(
            "duplicates",
            duplicates.values().sum(),
            if duplicates.is_empty() {
                ""
            } else {
                "of them:"
            },
        )?;
        for (cause, count) in &self.causes {
            row(&format!("  {cause}"), *count, "")?;
        }
        if self.locked_freezes > 0 {
            let note = "an SQLite file locked by its frozen writer; the writer was resumed and \
                frozen again";
            row("frozen inside a write", self.locked_freezes.into(), note)?;
        }
        writeln!(f, "{:<24} {:>8.2} s", "elapsed", self.elapsed.as_secs_f64())?;
        for name in &self.ended_alone {
            writeln!(f, "fault: {name} ended unexpectedly")?;
        }
        for fault in went_back.iter().chain(faults).take(TOLD) {
            writeln!(f, "fault: {fault}")?;
        }
        if let Some(more) = (went_back.len() + faults.len())
            .checked_sub(TOLD)
            .filter(|more| *more > 0)
        {
            writeln!(f, "fault: {more} more")?;
        }
        Ok(())
    }
}
