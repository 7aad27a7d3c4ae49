//! Whether workers of an application are running, before something that they use is removed.
//!
//! It is the rule of `crate::decide::members` in its simplest form, for a program that looks twice
//! and knows nothing of the fleet: a counter that has moved between two readings was moved by
//! somebody. It needs no clock but the pause in between, and errs on the safe side: a worker that
//! has died in the pause counts as alive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::lease::ScanPage;
use crate::model::{LeaseKey, WorkerId};

/// What shows that a worker is alive: its row (`None` as lease) and its leases, each with its
/// counter.
type Signs<'a> = BTreeMap<(&'a WorkerId, Option<&'a LeaseKey>), u64>;

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
    (!signs(table).is_empty()).then_some(longest)
}

/// The workers that have increased a counter between the two scans, or have joined in between. A
/// release moves the counter as well, and leaves no owner: it is no sign.
#[must_use]
pub fn alive(before: &ScanPage, after: &ScanPage) -> BTreeSet<WorkerId> {
    let (before, after) = (signs(before), signs(after));
    after
        .iter()
        .filter(|(sign, counter)| before.get(*sign) != Some(*counter))
        .map(|((worker, _), _)| (*worker).clone())
        .collect()
}

/// Leases count by `leaseOwner`, so a worker that has only requested one may be named. That errs on
/// the safe side, too.
fn signs(table: &ScanPage) -> Signs<'_> {
    let workers = table
        .workers
        .iter()
        .map(|row| ((&row.worker, None), row.counter));
    let leases = table
        .leases
        .iter()
        .filter_map(|lease| Some(((lease.owner.as_ref()?, Some(&lease.key)), lease.counter)));
    workers.chain(leases).collect()
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
            names(&alive(&before, &before)),
            [""; 0],
            "all of them are dead"
        );
        let after = table(
            &[("a", 2), ("b", 5)],
            &[(Some("b"), 2), (Some("c"), 4), (None, 2)],
        );
        assert_eq!(names(&alive(&before, &after)), ["a", "c"]);
        let after = table(
            &[("a", 1), ("b", 5), ("d", 1)],
            &[(Some("b"), 2), (Some("e"), 3), (None, 1)],
        );
        assert_eq!(names(&alive(&before, &after)), ["d", "e"]);
    }
}
