//! Which Java workers answer requests for leases, by a trace that they leave in the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::model::WorkerId;

use crate::item::Item;
use crate::item::attribute::{CHECKPOINT_OWNER, HOLDER, LEASE_KEY, LEASE_OWNER, THROUGHPUT};

/// Finds the owners that answer requests for leases, as every KCL from 3.0 on does, even if it
/// stores its worker metrics in another table.
///
/// Such a worker writes its shards' throughput with each renewal. The attribute is never removed,
/// so its presence says nothing about the current holder; a change from one scan to the next under
/// the same owner does.
#[derive(Debug, Default)]
pub(crate) struct Throughputs {
    scans: Mutex<ThroughputScans>,
}

/// The throughputs of two scans, which are compared, and what follows from all comparisons so far.
#[derive(Debug, Default)]
struct ThroughputScans {
    /// The owner and the shard's throughput of each lease in this scan.
    now: BTreeMap<String, (String, String)>,
    /// The same of the scan before.
    before: BTreeMap<String, (String, String)>,
    /// The workers that were ever seen to change one.
    proven: BTreeSet<String>,
}

impl Throughputs {
    /// Adds a page of a scan, and returns those of its owners that are known to answer.
    ///
    /// A lease with a pending hand-over is left out: it names a requester as its owner.
    pub(crate) fn see(&self, items: &[Item], is_first: bool) -> BTreeSet<WorkerId> {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        let ThroughputScans {
            now,
            before,
            proven,
        } = &mut *scans;
        if is_first {
            *before = std::mem::take(now);
        }
        let mut answering = BTreeSet::new();
        for item in items {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
            let (Some(key), Some(owner)) = (text(LEASE_KEY), text(LEASE_OWNER)) else {
                continue;
            };
            // Workers of this framework measure as well. That a KCL has taken the lease shows in the
            // owner, which is not the holder then.
            if item.contains_key(CHECKPOINT_OWNER) || text(HOLDER) == Some(owner) {
                continue;
            }
            if let Some(AttributeValue::N(carries)) = item.get(THROUGHPUT) {
                if before
                    .get(key)
                    .is_some_and(|(by, carried)| by == owner && carried != carries)
                {
                    proven.insert(owner.clone());
                }
                now.insert(key.clone(), (owner.clone(), carries.clone()));
            }
            if proven.contains(owner) {
                answering.insert(owner.as_str().into());
            }
        }
        answering
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{number, text};

    fn row(key: &str, owner: &str, carries: u32) -> Item {
        let attributes = [
            (LEASE_KEY, text(key)),
            (LEASE_OWNER, text(owner)),
            (THROUGHPUT, number(carries)),
        ];
        attributes
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn names(answering: &BTreeSet<WorkerId>) -> Vec<&str> {
        answering.iter().map(WorkerId::as_str).collect()
    }

    /// An owner that changes the throughput of its lease answers requests; one that leaves it
    /// unchanged may not.
    #[test]
    fn an_owner_that_changes_the_throughput_answers() {
        let throughputs = Throughputs::default();
        // In two pages.
        assert_eq!(
            names(&throughputs.see(&[row("1", "java-1", 7), row("2", "java-2", 7)], true)),
            [""; 0]
        );
        assert_eq!(
            names(&throughputs.see(&[row("3", "java-3", 7)], false)),
            [""; 0]
        );
        // java-2 took the lease of a worker that had changed it before; java-3 still holds its own.
        let scan = [row("1", "java-1", 8), row("2", "java-4", 8)];
        assert_eq!(names(&throughputs.see(&scan, true)), ["java-1"]);
        assert_eq!(
            names(&throughputs.see(&[row("3", "java-3", 7)], false)),
            [""; 0]
        );
        // What is known about a worker stays known, for each of its leases.
        assert_eq!(
            names(&throughputs.see(&[row("4", "java-1", 0)], true)),
            ["java-1"]
        );
    }

    /// A worker of this framework writes what its shards carry, and is none of the KCL's.
    #[test]
    fn a_worker_of_this_framework_proves_nothing() {
        let throughputs = Throughputs::default();
        let held = |holder: &str, carries| {
            let mut row = row("1", "rust-1", carries);
            row.insert(HOLDER.to_owned(), text(holder));
            row
        };
        for carries in 7..9 {
            assert!(throughputs.see(&[held("rust-1", carries)], true).is_empty());
        }
        // Under a name that a worker of this framework had before.
        assert!(throughputs.see(&[held("rust-2", 7)], true).is_empty());
        assert_eq!(
            names(&throughputs.see(&[held("rust-2", 9)], true)),
            ["rust-1"]
        );
    }

    /// While a lease is being handed over, its throughput says nothing about the receiver.
    #[test]
    fn a_lease_being_handed_over_proves_nothing_of_its_owner() {
        let throughputs = Throughputs::default();
        let mut pending = row("1", "rust-1", 8);
        pending.insert(CHECKPOINT_OWNER.to_owned(), text("java-1"));
        assert!(throughputs.see(&[row("1", "rust-1", 7)], true).is_empty());
        assert!(throughputs.see(&[pending], true).is_empty());
    }
}
