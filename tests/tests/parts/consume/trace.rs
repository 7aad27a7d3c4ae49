//! What a trace is in its file: whole lines, whatever interrupts who writes them.

use std::path::Path;
use std::sync::Arc;

use examples::consume::{Trace, Traced};
use kcl_core::model::{RawRecord, Record, SequenceNumber};
use serde_json::Value;

/// A write can be interrupted only at a multiple of this offset in the file.
const PAGE: usize = 4096;

fn traced(path: &Path) -> Traced {
    Traced::new(
        &Arc::new(Trace::open(path).unwrap()),
        &"w\"1".into(),
        &"shardId-0".into(),
    )
}

fn records(from: u128, count: u128) -> Vec<Record> {
    let record = |n: u128| {
        let key = format!("key \"{n}\"\n{}", "x".repeat((n % 200) as usize));
        Record::from(RawRecord::new(
            SequenceNumber::from_u128(u128::MAX - 1000 + n),
            key,
            "data",
        ))
    };
    (from..from + count).map(record).collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_line_is_whole_up_to_every_page_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let traced = traced(&path);
    traced.event("initialize").unwrap();
    traced.records(&records(0, 300)).unwrap();
    traced.records(&records(300, 1)).unwrap();
    traced.event("lease_lost").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() > 5 * PAGE);
    for cut in (0..text.len()).step_by(PAGE).skip(1) {
        let torn = text[..cut].rsplit('\n').next().unwrap();
        assert!(torn.trim().is_empty(), "at {cut}: {torn}");
    }
    let lines = lines(&text);
    assert_eq!(lines.len(), 303);
    assert_eq!(lines[0]["event"], "initialize");
    assert_eq!(lines[0]["sequence"], Value::Null);
    assert_eq!(lines[1]["worker"], "w\"1");
    assert_eq!(lines[7]["key"], "key \"6\"\nxxxxxx");
    assert_eq!(lines[7]["sequence"], (u128::MAX - 1000 + 6).to_string());
    assert_eq!(lines[302]["event"], "lease_lost");
}

#[test]
fn a_trace_that_goes_on_begins_behind_the_last_whole_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    for torn in [
        "{\"t\":1}\n{\"t\":",
        "{\"t\":1}\n",
        &format!("{{\"t\":1}}\n{}", "x".repeat(9000)),
    ] {
        std::fs::write(&path, torn).unwrap();
        traced(&path).event("initialize").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(lines(&text).len(), 2, "{text}");
    }
    std::fs::write(&path, "x".repeat(5000)).unwrap();
    traced(&path).event("initialize").unwrap();
    assert_eq!(lines(&std::fs::read_to_string(&path).unwrap()).len(), 1);
}
