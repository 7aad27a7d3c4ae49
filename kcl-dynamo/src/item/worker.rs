//! Workers as items: rows of this framework that a KCL 3.5 takes for its own.
//!
//! A KCL from 3.5 on keeps its worker metrics in the table of leases, and its leader reads all of
//! them. A row in that form tells a Java fleet that the worker exists and which features it
//! supports.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::lease::{MalformedRow, WorkerRow};
use kcl_core::model::{Capacity, Timestamp, WorkerId};

use super::attribute::*;
use super::{Reader, number, text};

/// The prefix of a worker's key if its id could be the key of another row. `~` sorts behind letters
/// and begins no shard id.
const ESCAPED: &str = "~worker-";

/// The KCL's support level to declare: 1 stands for the single table of the KCL 3.5, the highest
/// feature on which a fleet has to agree.
const SUPPORTED: u8 = 1;

/// The key of a worker's row: its id, as in the KCL, unless that could be the key of a lease or of
/// a singleton row.
///
/// Without the escape, a worker that is named like a shard would overwrite that shard's lease.
pub(crate) fn worker_key(worker: &WorkerId) -> AttributeValue {
    let id = worker.as_str();
    let taken = id.is_empty()
        || id.starts_with('~')
        || id.contains("shardId-")
        || [LEADER_KEY, MIGRATION_KEY, TABLE_MIGRATION_KEY].contains(&id);
    if taken {
        text(format!("{ESCAPED}{id}"))
    } else {
        text(id)
    }
}

/// The attributes of a worker that are compared and set when its row is replaced: everything that
/// [`WorkerRow`] holds, so that any difference is a conflict; `None` for one that must be absent.
/// The failover time is in nanoseconds. Only [`LAG`] is not among them: it is set and never compared
/// ([`WorkerRow::without_lag`]).
///
/// What a version wrote that knows no heartbeats, or no drains, is not compared in [`KEEP_ALIVE`] and
/// [`DRAINS`]: it may have replaced the row and left there what was said of its predecessor.
pub(crate) fn worker_values(
    row: &WorkerRow,
) -> impl Iterator<Item = (&'static str, Option<AttributeValue>)> {
    let nanos = u64::try_from(row.failover.as_nanos()).unwrap_or(u64::MAX);
    [
        (INCARNATION, Some(text(row.incarnation.as_str()))),
        (WORKER_COUNTER, Some(number(row.counter))),
        (FAILOVER, Some(number(nanos))),
        (LEAVING, Some(AttributeValue::Bool(row.leaving))),
        (AUDITS, Some(number(row.audits))),
        (
            CAPACITY,
            row.capacity.map(|capacity| number(capacity.thousandths())),
        ),
    ]
    .into_iter()
    .chain(
        row.keep_alive_text()
            .map(|said| (KEEP_ALIVE, Some(text(said)))),
    )
    .chain(row.drains_text().map(|said| (DRAINS, Some(text(said)))))
}

/// A worker, in the form of the KCL's row of worker metrics, without metrics and with this crate's
/// mark.
///
/// `lut` and `slu` are in seconds, as the KCL writes them. They are shown to the KCL and never used
/// to decide whether a worker of this framework is alive.
pub(crate) fn worker_item(row: &WorkerRow, now: Timestamp) -> Item {
    let seconds = number(now.as_millis().div_euclid(1000));
    let mut item = Item::from([
        (LEASE_KEY.to_owned(), worker_key(&row.worker)),
        (ENTITY_TYPE.to_owned(), text(KIND_WORKER)),
        (WORKER.to_owned(), text(row.worker.as_str())),
        (LAST_UPDATE.to_owned(), seconds.clone()),
        (STATISTICS.to_owned(), AttributeValue::M(HashMap::new())),
        (
            OPERATING_RANGE.to_owned(),
            AttributeValue::M(HashMap::new()),
        ),
        (SUPPORT.to_owned(), number(SUPPORTED)),
        (SUPPORT_UPDATE.to_owned(), seconds),
    ]);
    let values = worker_values(row);
    item.extend(values.filter_map(|(attribute, value)| Some((attribute.to_owned(), value?))));
    item.extend(row.lag_text().map(|said| (LAG.to_owned(), text(said))));
    item
}

impl Reader<'_> {
    /// Reads the worker from this crate's row.
    ///
    /// # Errors
    /// An attribute that is missing or of the wrong type. A missing count of audits is 0, and a
    /// capacity may be missing: versions before them did not write any.
    pub(super) fn worker(self) -> Result<WorkerRow, MalformedRow> {
        let worker = WorkerId::from(self.needed_text(WORKER)?);
        let incarnation = self.needed_text(INCARNATION)?.into();
        let failover = Duration::from_nanos(self.needed_number(FAILOVER)?);
        let mut row = WorkerRow::new(worker, incarnation, failover);
        row.counter = self.needed_number(WORKER_COUNTER)?;
        row.leaving = self.truth(LEAVING)?;
        row.audits = self.number(AUDITS)?.unwrap_or(0);
        row.read_keep_alive(self.text(KEEP_ALIVE)?);
        row.read_drains(self.text(DRAINS)?);
        row.read_lag(self.text(LAG)?);
        row.capacity = self.number(CAPACITY)?.map(Capacity::of_thousandths);
        Ok(row)
    }
}
