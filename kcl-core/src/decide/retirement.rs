//! Whether workers of an application are running, before something that they use is removed.
//!
//! [`Members`] says who has shown life, as it does for the workers among themselves; this only adds
//! how long to watch. It errs on the safe side, because to ask again later costs nothing: a worker
//! that has died in the pause counts as alive, and so does one that a lease newly names.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::lease::ScanPage;
use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::members::Members;

/// How long to wait between two scans of the table: a live worker increases a counter within the
/// failover time, its own or `failover`, whichever is longer. `None` if the table names no worker.
/// A table without any name needs no wait, so retiring an application that was shut down in good
/// order is quick.
#[must_use]
pub fn watch_for(table: &ScanPage, failover: Duration) -> Option<Duration> {
    let longest = table
        .workers
        .iter()
        .map(|row| row.failover)
        .fold(failover, Duration::max);
    let is_named = |row: &Lease| row.actual_owner().is_some();
    let names_one = !table.workers.is_empty() || table.leases.iter().any(is_named);
    names_one.then_some(longest)
}

/// The workers that may be running: they have shown life between the two scans, or a lease names
/// them that did not before. The latter shows a worker of another framework that has just joined,
/// and one that has only requested a lease in a table without rows of workers.
#[must_use]
pub fn alive(before: &ScanPage, after: &ScanPage, failover: Duration) -> BTreeSet<WorkerId> {
    let timing = Timing::for_failover(failover);
    let (first, second) = (Moment::default(), Moment::default() + failover);
    let mut members = Members::default();
    for (table, at) in [(before, first), (after, second)] {
        members.look(&table.leases, &table.workers, at, at, &timing);
    }
    let named_before = named(before);
    let newly_named = named(after)
        .into_iter()
        .filter(|name| !named_before.contains(name))
        .map(|(_, worker)| worker);
    members
        .alive_after(first)
        .chain(newly_named)
        .cloned()
        .collect()
}

/// The workers that each lease names.
fn named(table: &ScanPage) -> BTreeSet<(&LeaseKey, &WorkerId)> {
    table
        .leases
        .iter()
        .flat_map(|row| {
            let names = row.owner.iter().chain(&row.checkpoint_owner);
            names.map(|worker| (&row.key, worker))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::WorkerRow;
    use crate::model::{Checkpoint, Lease, Token};

    const FAILOVER: Duration = Duration::from_secs(10);

    fn table(rows: &[(&str, u64)], leases: &[(Option<&str>, u64)]) -> ScanPage {
        let mut table = ScanPage::default();
        for (worker, counter) in rows {
            let row = WorkerRow::new(WorkerId::new(*worker), Token::new("t"), FAILOVER * 2);
            table.workers.push(WorkerRow {
                counter: *counter,
                ..row
            });
        }
        for (index, (owner, counter)) in leases.iter().enumerate() {
            let mut lease = Lease::new(
                LeaseKey::single(format!("shardId-{index}").as_str()),
                Checkpoint::TrimHorizon,
            );
            (lease.owner, lease.counter) = (owner.map(WorkerId::new), *counter);
            table.leases.push(lease);
        }
        table
    }

    fn names(of: &BTreeSet<WorkerId>) -> Vec<&str> {
        of.iter().map(WorkerId::as_str).collect()
    }

    #[test]
    fn a_table_that_names_nobody_needs_no_watching() {
        assert_eq!(watch_for(&table(&[], &[(None, 7)]), FAILOVER), None);
        assert_eq!(
            watch_for(&table(&[], &[(Some("a"), 7)]), FAILOVER),
            Some(FAILOVER)
        );
        assert_eq!(
            watch_for(&table(&[("a", 1)], &[]), FAILOVER),
            Some(FAILOVER * 2),
            "the longer failover time counts"
        );
    }

    #[test]
    fn who_moves_a_row_or_a_lease_lives_and_who_comes_too() {
        let before = table(
            &[("a", 1), ("b", 5)],
            &[(Some("b"), 2), (Some("c"), 3), (None, 1)],
        );
        assert_eq!(
            names(&alive(&before, &before, FAILOVER)),
            [""; 0],
            "all of them are dead"
        );
        let after = table(
            &[("a", 2), ("b", 5)],
            &[(Some("b"), 2), (Some("c"), 4), (None, 2)],
        );
        assert_eq!(names(&alive(&before, &after, FAILOVER)), ["a", "c"]);
        let after = table(
            &[("a", 1), ("b", 5), ("d", 1)],
            &[(Some("b"), 2), (Some("e"), 3), (None, 1)],
        );
        assert_eq!(names(&alive(&before, &after, FAILOVER)), ["d", "e"]);
    }
}
