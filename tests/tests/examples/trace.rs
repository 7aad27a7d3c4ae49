//! What `consume --trace` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// The lines of a trace: every one has to be whole.
#[derive(Debug)]
pub(crate) struct Trace(Vec<Value>);

impl Trace {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self(
            text.lines()
                .map(|line| {
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
                })
                .collect(),
        )
    }

    /// How many records the file has by now; the last line may be on its way.
    pub(crate) fn records_so_far(path: &Path) -> usize {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .matches(r#""event":"record""#)
            .count()
    }

    fn records(&self) -> impl Iterator<Item = (&str, u128)> {
        let is_record = |line: &&Value| line["event"] == "record";
        self.0.iter().filter(is_record).map(|line| {
            (
                text(line, "shard"),
                text(line, "sequence").parse().unwrap_or(0),
            )
        })
    }

    /// Shard and sequence number of every record.
    pub(crate) fn sequences(&self) -> BTreeSet<(String, String)> {
        let records = self.0.iter().filter(|line| line["event"] == "record");
        records
            .map(|line| {
                (
                    text(line, "shard").to_owned(),
                    text(line, "sequence").to_owned(),
                )
            })
            .collect()
    }

    /// How many record lines there are.
    pub(crate) fn count(&self) -> usize {
        self.records().count()
    }

    /// The lifecycle calls of each shard, a run of records as one.
    pub(crate) fn calls(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut calls: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in &self.0 {
            let (of_shard, event) = (
                calls.entry(text(line, "shard")).or_default(),
                text(line, "event"),
            );
            if of_shard.last() != Some(&event) || event != "record" {
                of_shard.push(event);
            }
        }
        calls
    }

    /// Panics unless each shard's records come in the order of the shard.
    pub(crate) fn assert_in_order(&self) {
        let mut last: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for line in self.0.iter().filter(|line| line["event"] == "record") {
            let sequence = text(line, "sequence");
            // Decimal numbers without leading zeros: the longer is the larger.
            let place = (sequence.len(), sequence);
            let before = last.insert(text(line, "shard"), place);
            assert!(
                before.is_none_or(|before| before < place),
                "{before:?} before {place:?}"
            );
        }
    }
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name]
        .as_str()
        .unwrap_or_else(|| panic!("no `{name}` in {line}"))
}
