//! How much each live worker can carry, compared with the others.

use std::collections::BTreeMap;

use crate::decide::members::Members;
use crate::model::{Capacity, WorkerId};

use super::me::Me;

/// How many times more or less than the median of the fleet a worker can carry at most. A worker
/// that declares nonsense, such as a million cores, must not get everything; and one core beside 32
/// is as unlike as workers of one fleet are.
const AT_MOST_TIMES: u64 = 32;

/// What a byte per second means to each of the `live` workers, by their places: 1 to one of median
/// capacity, and half of that to one with twice the capacity. A worker whose row was not seen yet is
/// taken for one of median capacity.
///
/// `None` if the fleet balances by count: if this worker does, or if the row of another one declares
/// no capacity, because it does or because its version does not know anything else. Two rules in
/// one fleet would move leases to and fro without end.
pub(super) fn weights(live: &[WorkerId], me: &Me<'_>, members: &Members) -> Option<Vec<f64>> {
    let mine = me.capacity?;
    if !members.has_rows() {
        return None;
    }
    let rows: BTreeMap<&WorkerId, Option<Capacity>> = members
        .rows()
        .map(|row| (&row.worker, row.capacity))
        .collect();
    let declared: Vec<Option<Option<Capacity>>> = live
        .iter()
        .map(|worker| match rows.get(worker) {
            _ if worker == me.id => Some(Some(mine)),
            seen => seen.copied(),
        })
        .collect();
    if declared.contains(&Some(None)) {
        return None;
    }
    let declared = declared.into_iter().map(|seen| {
        let capacity = seen.flatten()?;
        Some(u64::from(capacity.thousandths()))
    });
    let declared: Vec<Option<u64>> = declared.collect();
    let mut sorted: Vec<u64> = declared.iter().copied().flatten().collect();
    sorted.sort_unstable();
    let median = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    let weight = |capacity: Option<u64>| {
        let least = median.div_ceil(AT_MOST_TIMES);
        let believed = capacity.map_or(median, |capacity| {
            capacity.clamp(least, median * AT_MOST_TIMES)
        });
        median as f64 / believed as f64
    };
    Some(declared.into_iter().map(weight).collect())
}
