use std::collections::BTreeMap;

use kcl_core::model::{Checkpoint, Position, SequenceNumber, Timestamp};
use serde_json::Value;

/// A call of a lease table, as [`LoggedTable`](super::LoggedTable) writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCall {
    /// When it was made.
    pub begun: Timestamp,
    /// When it was answered.
    pub ended: Timestamp,
    /// Of what kind it was: `scan`, `get`, `change signal`, or the name of a write.
    pub op: String,
    /// Of which lease, if of one.
    pub lease: Option<String>,
    /// The tenancy under which it was to be done, if it was to be done under one.
    pub expected_token: Option<String>,
    /// `ok`, `conflict`, `unknown`, `throttled` or `fatal`.
    pub outcome: String,
    /// The row that came with the answer.
    pub row: Option<TableRow>,
    /// Of a scan: how many leases and workers it gave.
    pub looked_at: [u64; 2],
    /// Of a scan: whether it was a consistent one.
    pub consistent: bool,
}

/// The bytes of a lease and of a worker in a table of DynamoDB, as the docs of `kcl-dynamo` have
/// them.
const BYTES: [u64; 2] = [370, 350];

/// A lease as a call returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The owner.
    pub owner: Option<String>,
    /// The tenancy.
    pub token: Option<String>,
    /// The counter.
    pub counter: u64,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

impl TableCall {
    /// The call in this line, unless it is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let row = line.get("row").and_then(|row| {
            Some(TableRow {
                owner: text(&row["owner"]),
                token: text(&row["token"]),
                counter: row["counter"].as_u64()?,
                checkpoint: CheckpointText::parse(row["checkpoint"].as_str()?)?,
            })
        });
        Some(Self {
            begun: Timestamp::from_millis(line["begun"].as_i64()?),
            ended: Timestamp::from_millis(line["ended"].as_i64()?),
            op: text(&line["op"])?,
            lease: text(&line["lease"]),
            expected_token: text(&line["expected_token"]),
            outcome: text(&line["outcome"])?,
            row,
            looked_at: ["leases", "workers"].map(|kind| line[kind].as_u64().unwrap_or(0)),
            consistent: line["consistent"].as_bool().unwrap_or(false),
        })
    }

    /// The read units that DynamoDB charges for it: one for each 4 KB that are read consistently,
    /// half of that for others.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        let bytes: u64 = self
            .looked_at
            .iter()
            .zip(BYTES)
            .map(|(rows, bytes)| rows * bytes)
            .sum();
        match &*self.op {
            "get" | "get worker" => 1.0,
            "change signal" => 0.5,
            "scan" | "scan page" => {
                bytes.div_ceil(4096).max(1) as f64 * if self.consistent { 1.0 } else { 0.5 }
            }
            _ => 0.0,
        }
    }

    /// Whether it was done.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == "ok"
    }

    /// Whether it began the tenancy of a worker.
    #[must_use]
    pub fn begins_tenancy(&self) -> bool {
        self.is_ok() && matches!(&*self.op, "take" | "claim")
    }

    /// Whether it changes a lease.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.lease.is_some() && self.op != "get"
    }
}

/// A checkpoint as the log has it.
pub(super) struct CheckpointText;

impl CheckpointText {
    pub(super) fn of(checkpoint: &Checkpoint) -> String {
        checkpoint.to_string()
    }

    fn parse(text: &str) -> Option<Checkpoint> {
        Some(match text {
            "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
            "TRIM_HORIZON" => Checkpoint::TrimHorizon,
            "LATEST" => Checkpoint::Latest,
            "SHARD_END" => Checkpoint::ShardEnd,
            _ => {
                let (sequence, sub) = text.split_once('.').unwrap_or((text, "0"));
                let sequence: SequenceNumber = sequence.parse().ok()?;
                Checkpoint::At(Position::new(sequence, sub.parse().ok()?))
            }
        })
    }
}

/// The leases whose stored checkpoint went back: of each, the rows that accepted writes returned
/// are compared in the order of their counters. An empty result is the proof for everything that
/// these logs have.
#[must_use]
pub fn checkpoints_that_went_back<'a>(
    calls: impl IntoIterator<Item = &'a TableCall>,
) -> Vec<String> {
    let mut rows: BTreeMap<&str, BTreeMap<u64, Vec<&Checkpoint>>> = BTreeMap::new();
    for call in calls {
        if let (Some(lease), Some(row)) = (&call.lease, &call.row) {
            rows.entry(lease)
                .or_default()
                .entry(row.counter)
                .or_default()
                .push(&row.checkpoint);
        }
    }
    let mut back = Vec::new();
    for (lease, by_counter) in rows {
        let mut greatest: Option<(&Checkpoint, u64)> = None;
        for (counter, checkpoints) in by_counter {
            for checkpoint in checkpoints {
                match greatest {
                    Some((before, at)) if checkpoint < before => {
                        back.push(format!(
                            "{lease}: {checkpoint} at counter {counter}, after {before} at {at}"
                        ));
                    }
                    _ => greatest = Some((checkpoint, counter)),
                }
            }
        }
    }
    back
}
