//! Serialization that differs from the types: durations in seconds, rows as text.

use std::fmt::Display;
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::lease::{MalformedRow, RowKey};
use crate::model::Lease;

use super::LeaseRecord;

/// Seconds as a decimal number, as Prometheus has them; the field is renamed to end in `_seconds`.
pub(super) fn seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

/// The same, or `null`.
pub(super) fn maybe_seconds<S: Serializer>(
    span: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs_f64()).serialize(serializer)
}

/// The `Display` form, or `null`: for types whose parts are of no use to a script.
pub(super) fn maybe_text<S: Serializer>(
    value: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value
        .as_ref()
        .map(ToString::to_string)
        .serialize(serializer)
}

pub(super) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A lease in the form of a [`LeaseRecord`], so that `kcl leases --json` and `kcl export` name its
/// attributes alike.
pub(super) fn lease<S: Serializer>(lease: &Lease, serializer: S) -> Result<S::Ok, S::Error> {
    LeaseRecord::from(lease).serialize(serializer)
}

/// The kind and the name of a row.
fn named(row: &RowKey) -> (&'static str, String) {
    match row {
        RowKey::Lease(key) => ("lease", key.to_string()),
        RowKey::Worker(worker) => ("worker", worker.to_string()),
        RowKey::Signal => ("change_signal", String::new()),
    }
}

impl Serialize for MalformedRow {
    /// Serializes `kind` (`lease`, `worker` or `change_signal`), `key`, `attribute`, `found`, `allowed`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, key) = named(&self.row);
        let mut row = serializer.serialize_struct("MalformedRow", 5)?;
        row.serialize_field("kind", kind)?;
        row.serialize_field("key", &key)?;
        row.serialize_field("attribute", &self.attribute)?;
        row.serialize_field("found", &self.found)?;
        row.serialize_field("allowed", &self.allowed)?;
        row.end()
    }
}
