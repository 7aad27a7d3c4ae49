//! Conditions and edits as SQL: one statement per write.
//!
//! The text depends only on which parts a condition and a change have, never on their values, so
//! the connection's cache of prepared statements serves nearly every call.

use kcl_core::lease::{CounterEdit, Edit, Edits, Error, Expect, Match, SwitchesEdit, WorkerRow};
use kcl_core::model::{LeaseKey, Pending, Token, WorkerId};
use rusqlite::types::Value;

use super::lease_row::{
    self, COLUMNS, assignee, checkpoint, facts, hash_range, optional, pending_values, shards, text,
    throughput, time,
};
use super::worker_row;

/// A statement and the values of its parameters.
///
/// Values are always bound and never written into the text: a worker's name may contain anything.
#[derive(Debug, PartialEq)]
pub(super) struct Statement {
    /// With `?` for each value.
    pub(super) sql: String,
    /// In the order of their places.
    pub(super) values: Vec<Value>,
}

/// A list of assignments or conditions, with their values.
#[derive(Default)]
struct Parts {
    /// Fixed texts only: no value ever becomes part of a statement.
    texts: Vec<&'static str>,
    values: Vec<Value>,
}

impl Parts {
    /// Adds a text with the values of its places.
    fn add(&mut self, text: &'static str, values: impl IntoIterator<Item = Value>) {
        self.texts.push(text);
        self.values.extend(values);
    }
}

/// The condition on the key, with which every statement about one lease begins.
const KEY: &str = "application = ? AND stream = ? AND shard = ?";

/// The values for [`KEY`].
fn key_values(application: &str, key: &LeaseKey) -> Result<Vec<Value>, Error> {
    let (stream, shard) = lease_row::key(key)?;
    Ok(vec![text(application), stream, shard])
}

/// The statement that reads a lease.
pub(super) fn get(application: &str, key: &LeaseKey) -> Result<Statement, Error> {
    let sql = format!("SELECT {COLUMNS} FROM leases WHERE {KEY}");
    Ok(Statement {
        sql,
        values: key_values(application, key)?,
    })
}

/// The statement that changes a lease if it is as expected, and returns it. Condition and change
/// are one statement, so nothing can come between them.
pub(super) fn update(
    application: &str,
    key: &LeaseKey,
    expect: &Expect,
    edits: &Edits,
) -> Result<Statement, Error> {
    let mut sets = assignments(edits)?;
    let conditions = conditions(expect);
    let sql = format!(
        "UPDATE leases SET {} WHERE {KEY}{} RETURNING {COLUMNS}",
        sets.texts.join(", "),
        conditions
            .texts
            .iter()
            .map(|condition| format!(" AND {condition}"))
            .collect::<String>(),
    );
    sets.values.extend(key_values(application, key)?);
    sets.values.extend(conditions.values);
    Ok(Statement {
        sql,
        values: sets.values,
    })
}

/// The statement that deletes a lease if it is as expected. Its caller sees from the number of rows
/// whether it was.
pub(super) fn delete(
    application: &str,
    key: &LeaseKey,
    expect: &Expect,
) -> Result<Statement, Error> {
    let conditions = conditions(expect);
    let sql = format!(
        "DELETE FROM leases WHERE {KEY}{}",
        conditions
            .texts
            .iter()
            .map(|condition| format!(" AND {condition}"))
            .collect::<String>(),
    );
    let mut values = key_values(application, key)?;
    values.extend(conditions.values);
    Ok(Statement { sql, values })
}

/// The statement that replaces the row `seen` of a worker by `row`; either may be `None` for no
/// row.
///
/// All columns are compared, with `IS` because a capacity may be NULL, so any difference from what was seen makes it change nothing. `None`
/// if they are not both rows of `worker`, because then no row can be as it was seen.
pub(super) fn write_worker(
    application: &str,
    worker: &WorkerId,
    seen: Option<&WorkerRow>,
    row: Option<&WorkerRow>,
) -> Result<Option<Statement>, Error> {
    if seen.into_iter().chain(row).any(|row| row.worker != *worker) {
        return Ok(None);
    }
    let (columns, places) = (worker_row::COLUMNS, worker_row::PLACES);
    let condition = worker_row::CONDITION;
    let mut values = Vec::new();
    let sql = match (seen, row) {
        (None, Some(row)) => {
            values.push(text(application));
            values.extend(worker_row::values(row)?);
            format!(
                "INSERT INTO workers (application, {columns}) VALUES (?, {places}) ON CONFLICT \
                 (application, worker) DO NOTHING"
            )
        }
        (Some(seen), Some(row)) => {
            values.extend(worker_row::values(row)?);
            values.push(text(application));
            values.extend(worker_row::compared(seen)?);
            format!(
                "UPDATE workers SET ({columns}) = ({places}) WHERE application = ? AND {condition}"
            )
        }
        (Some(seen), None) => {
            values.push(text(application));
            values.extend(worker_row::compared(seen)?);
            format!("DELETE FROM workers WHERE application = ? AND {condition}")
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Statement { sql, values }))
}

/// The condition of a write, part by part. It stands in the `WHERE` of the statement that changes
/// the row, so that nothing can come between the check and the change.
///
/// A part that any value fulfils is left out. A condition on an attribute that must be absent is
/// `IS NULL`, because a comparison with NULL is never true.
fn conditions(expect: &Expect) -> Parts {
    let mut parts = Parts::default();
    if let Some(counter) = expect.counter {
        match i64::try_from(counter) {
            Ok(counter) => parts.add("lease_counter = ?", [Value::Integer(counter)]),
            // No row can have such a counter.
            Err(_) => parts.add("FALSE", []),
        }
    }
    parts.matches("token = ?", "token IS NULL", &expect.token, Token::as_str);
    parts.matches(
        "lease_owner = ?",
        "lease_owner IS NULL",
        &expect.owner,
        WorkerId::as_str,
    );
    parts.matches(
        "checkpoint_owner = ?",
        "checkpoint_owner IS NULL",
        &expect.checkpoint_owner,
        WorkerId::as_str,
    );
    if let Some(expected) = &expect.checkpoint {
        let [at, sub_sequence] = checkpoint(expected);
        parts.add("checkpoint = ?", [at]);
        // For a sentinel, the sub-sequence number does not matter.
        if expected.position().is_some() {
            parts.add("checkpoint_sub_sequence_number = ?", [sub_sequence]);
        }
    }
    if expect.not_ended {
        parts.add("checkpoint <> 'SHARD_END'", []);
    }
    match &expect.assigned {
        Match::Any => {}
        Match::Is(to) => parts.add("assigned_to = ?", [text(&to.to_string())]),
        Match::Absent => parts.add("assigned_to IS NULL", []),
    }
    parts
}

impl Parts {
    /// `= NULL` is never true in SQL: that an attribute is absent has a condition of its own.
    fn matches<T>(
        &mut self,
        equal: &'static str,
        absent: &'static str,
        expected: &Match<T>,
        as_str: impl Fn(&T) -> &str,
    ) {
        match expected {
            Match::Any => {}
            Match::Is(value) => self.add(equal, [text(as_str(value))]),
            Match::Absent => self.add(absent, []),
        }
    }
}

/// What a write sets. The counters are computed from the row itself, not from what the caller has
/// read.
///
/// Attributes that the edits keep are left out, so columns of a newer schema and edits of other
/// programs stay.
///
/// # Errors
/// A shard id that cannot be stored.
fn assignments(edits: &Edits) -> Result<Parts, Error> {
    let mut sets = Parts::default();
    // Always an assignment, so that the statement is valid even if the edits set nothing.
    match edits.counter {
        CounterEdit::Keep => sets.add("lease_counter = lease_counter", []),
        CounterEdit::Next => sets.add("lease_counter = lease_counter + 1", []),
    }
    if let Some(owner) = edited(&edits.owner) {
        sets.add("lease_owner = ?", [optional(owner.map(WorkerId::as_str))]);
    }
    if let Some(owner) = edited(&edits.checkpoint_owner) {
        sets.add(
            "checkpoint_owner = ?",
            [optional(owner.map(WorkerId::as_str))],
        );
    }
    if let Some(token) = edited(&edits.token) {
        sets.add("token = ?", [optional(token.map(Token::as_str))]);
    }
    match edits.switches {
        SwitchesEdit::Keep => {}
        SwitchesEdit::AddOne => sets.add(
            "owner_switches_since_checkpoint = owner_switches_since_checkpoint + 1",
            [],
        ),
        SwitchesEdit::Zero => sets.add("owner_switches_since_checkpoint = 0", []),
    }
    if let Some(to) = &edits.checkpoint {
        sets.add(
            "checkpoint = ?, checkpoint_sub_sequence_number = ?",
            checkpoint(to),
        );
    }
    if let Some(prepared) = edited::<Pending>(&edits.pending) {
        let columns = "pending_checkpoint = ?, pending_checkpoint_sub_sequence_number = ?, \
            pending_checkpoint_state = ?";
        sets.add(columns, pending_values(prepared));
    }
    if let Some(children) = &edits.children {
        sets.add("child_shard_ids = ?", [shards(children)?]);
    }
    if let Some(range) = edited(&edits.hash_range) {
        sets.add(
            "starting_hash_key = ?, ending_hash_key = ?",
            hash_range(range),
        );
    }
    if let Some(at) = edited(&edits.paused) {
        sets.add("paused_at = ?", [time(at.copied())]);
    }
    if let Some(to) = edited(&edits.assigned) {
        sets.add("assigned_to = ?", [assignee(to)]);
    }
    if edits.throughput.is_some() {
        sets.add(
            "bytes_per_second = ?, records_per_second = ?",
            throughput(edits.throughput),
        );
    }
    if let Some(new) = &edits.facts {
        sets.add(
            "start_at = ?, began_at = ?, stream_arn = ?, stream_created_at = ?",
            facts(new),
        );
    }
    Ok(sets)
}

/// The new value of an attribute: `None` if it is kept, `Some(None)` if it is removed.
#[expect(clippy::option_option, reason = "whether, and what")]
const fn edited<T>(edit: &Edit<T>) -> Option<Option<&T>> {
    match edit {
        Edit::Keep => None,
        Edit::Set(value) => Some(Some(value)),
        Edit::Remove => Some(None),
    }
}
