//! What is wrong in a lease table: a judgement of what was read. No clock is read here.
//!
//! | module | what it finds |
//! |---|---|
//! | `rows` | malformed rows, and values that contradict each other |
//! | `streams` | leases that belong to the wrong stream |
//! | `coverage` | hash keys and shards without a lease, leases without a shard |
//! | `progress` | stuck and paused leases, dead and overloaded workers, records about to expire |

mod coverage;
mod progress;
mod rows;
mod streams;

use crate::model::Lease;

use super::finding::Finding;
use super::{FleetView, LeaseLag, StreamView};

/// Finds what is wrong in a lease table: by the rows alone, or, if the stream was read, by
/// comparing the rows with its shards.
///
/// It finds malformed and impossible rows, leases that make no progress, hash keys that no worker
/// reads, missing leases, leases of shards that have left the stream, dead workers and, if the lag
/// was measured, records that are about to expire. Problems come before notes; within them, the
/// order is that of the kinds and keys.
///
/// Rows are not all read at the same instant, so a fleet in the middle of a reshard may show a hole
/// for a moment. Believe one that two readings show.
#[must_use]
pub fn check(fleet: &FleetView, stream: Option<&StreamView>, lags: &[LeaseLag]) -> Vec<Finding> {
    let rows: Vec<&Lease> = fleet.leases.iter().map(|view| &view.lease).collect();
    let mut found = Vec::new();
    rows::malformed(fleet, &mut found);
    rows::impossible(&rows, &mut found);
    streams::streams(&rows, stream, &mut found);
    match stream {
        Some(stream) => coverage::beside_the_stream(fleet, stream, &mut found),
        None => coverage::holes(fleet, &mut found),
    }
    progress::stuck(fleet, &mut found);
    progress::paused(fleet, &mut found);
    progress::moving(fleet, &mut found);
    progress::workers(fleet, &mut found);
    progress::retention(lags, &mut found);
    found.sort_by(|a, b| {
        (a.level, a.kind, &a.about, &a.says).cmp(&(b.level, b.kind, &b.about, &b.says))
    });
    found
}

#[cfg(test)]
#[path = "check_test.rs"]
mod tests;
