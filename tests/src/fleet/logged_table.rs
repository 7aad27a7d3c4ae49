use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::lease::{
    Change, ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, Match, PageToken,
    ScanPage, WorkerRow, Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::{Clock, SystemClock};
use serde_json::{Map, Value, json};

use examples::consume::Trace;

use super::table_log::CheckpointText;

/// A lease table that writes a JSON line for each call: when it began and ended, of what kind it
/// was, what it expected, what came of it, and the row that it returned.
///
/// A line that cannot be written is missing and the program's log says so; the call itself is not
/// touched by that.
pub struct LoggedTable<T> {
    table: T,
    log: Arc<Trace>,
}

impl<T> LoggedTable<T> {
    /// The same table, with its calls in this log.
    #[must_use]
    pub const fn new(table: T, log: Arc<Trace>) -> Self {
        Self { table, log }
    }

    /// Makes a call and writes its line. `about` fills in what is known before, `of` what the
    /// answer shows.
    async fn logged<R>(
        &self,
        op: &str,
        about: Map<String, Value>,
        call: impl Future<Output = Result<R, Error>>,
        of: impl FnOnce(&R, &mut Map<String, Value>),
    ) -> Result<R, Error> {
        let begun = SystemClock.wall().as_millis();
        let result = call.await;
        let mut line = about;
        line.insert("begun".to_owned(), begun.into());
        line.insert("ended".to_owned(), SystemClock.wall().as_millis().into());
        line.insert("op".to_owned(), op.into());
        let outcome = match &result {
            Ok(answer) => {
                of(answer, &mut line);
                "ok"
            }
            Err(error) => outcome_of(error, &mut line),
        };
        line.insert("outcome".to_owned(), outcome.into());
        if let Err(error) = self.log.write(&format!("{}\n", Value::Object(line))) {
            tracing::error!(%error, op, "a line of the table's log is lost");
        }
        result
    }
}

fn outcome_of(error: &Error, line: &mut Map<String, Value>) -> &'static str {
    match error {
        Error::Conflict { row } => {
            if let Some(row) = row {
                line.insert("row".to_owned(), row_of(row));
            }
            "conflict"
        }
        Error::Unknown { .. } => "unknown",
        Error::Throttled { .. } => "throttled",
        _ => "fatal",
    }
}

fn row_of(row: &Lease) -> Value {
    json!({
        "owner": row.owner.as_ref().map(WorkerId::as_str),
        "checkpoint_owner": row.checkpoint_owner.as_ref().map(WorkerId::as_str),
        "token": row.token.as_ref().map(kcl_core::model::Token::as_str),
        "counter": row.counter,
        "checkpoint": CheckpointText::of(&row.checkpoint),
    })
}

fn about(key: &LeaseKey) -> Map<String, Value> {
    Map::from_iter([("lease".to_owned(), Value::from(key.to_string()))])
}

fn nothing<R>(_: &R, _: &mut Map<String, Value>) {}

fn row(row: &Lease, line: &mut Map<String, Value>) {
    line.insert("row".to_owned(), row_of(row));
}

/// The name of a change, as the protocol's table of writes has it.
const fn name_of(change: &Change) -> &'static str {
    match change {
        Change::Take { .. } => "take",
        Change::Claim { .. } => "claim",
        Change::Renew => "renew",
        Change::Checkpoint { .. } => "checkpoint",
        Change::Prepare { .. } => "prepare",
        Change::Request { .. } => "request",
        Change::Withdraw { .. } => "withdraw",
        Change::PassOn { .. } => "pass on",
        Change::Refuse { .. } => "refuse",
        Change::Release { .. } => "release",
        Change::End { .. } => "end",
        Change::Children { .. } => "children",
        _ => "facts",
    }
}

#[async_trait]
impl<T: LeaseTable> LeaseTable for LoggedTable<T> {
    async fn setup(&self) -> Result<(), Error> {
        self.logged("setup", Map::new(), self.table.setup(), nothing)
            .await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        let of = |found: &Option<Lease>, line: &mut Map<String, Value>| {
            if let Some(found) = found {
                row(found, line);
            }
        };
        self.logged("get", about(key), self.table.get(key), of)
            .await
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        let op = if page.is_none() { "scan" } else { "scan page" };
        let of = move |page: &ScanPage, line: &mut Map<String, Value>| {
            line.insert(
                "consistent".to_owned(),
                (consistency == Consistency::Strong).into(),
            );
            line.insert("leases".to_owned(), page.leases.len().into());
            line.insert("workers".to_owned(), page.workers.len().into());
        };
        self.logged(op, Map::new(), self.table.scan(page, consistency), of)
            .await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.logged("create", about(&lease.key), self.table.create(lease), row)
            .await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let mut line = about(key);
        if let Match::Is(token) = &write.expect.token {
            line.insert("expected_token".to_owned(), token.as_str().into());
        }
        self.logged(
            name_of(&write.change),
            line,
            self.table.update(key, write),
            row,
        )
        .await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.logged(
            "delete",
            about(key),
            self.table.delete(key, expect),
            nothing,
        )
        .await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        let op = match (seen, row) {
            (None, _) => "create worker",
            (Some(_), Some(_)) => "heartbeat",
            (Some(_), None) => "delete worker",
        };
        self.logged(
            op,
            Map::new(),
            self.table.write_worker(worker, seen, row),
            nothing,
        )
        .await
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.logged(
            "get worker",
            Map::new(),
            self.table.get_worker(worker),
            nothing,
        )
        .await
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        self.logged(
            "change signal",
            Map::new(),
            self.table.change_signal(),
            nothing,
        )
        .await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.logged(
            "announce",
            Map::new(),
            self.table.announce(changed),
            nothing,
        )
        .await
    }

    fn change_signal_interval(&self) -> Duration {
        self.table.change_signal_interval()
    }
}

impl<T: fmt::Debug> fmt::Debug for LoggedTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedTable")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
