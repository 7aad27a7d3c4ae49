//! Rows that are wrong whatever the stream says: malformed ones, and values that contradict each
//! other or the other rows.

use std::collections::{BTreeMap, BTreeSet};

use crate::admin::FleetView;
use crate::admin::finding::{Finding, FindingKind};
use crate::model::{Checkpoint, Lease, LeaseKey, ShardId};

/// Rows that cannot be parsed.
pub(super) fn malformed(fleet: &FleetView, found: &mut Vec<Finding>) {
    for row in &fleet.malformed {
        let (about, advice) = match row.lease() {
            Some(key) => (
                key.to_string(),
                "No worker reads this shard, and its children wait. Correct the value; the workers \
                 notice it with their next scan, without a restart.",
            ),
            None => (String::new(), "Correct the value, or delete this row."),
        };
        found.push(Finding::problem(
            FindingKind::MalformedRow,
            about,
            format!("{row}."),
            advice,
        ));
    }
}

/// Rows that no worker writes, so they were edited by hand. Each rule is judged by itself: an
/// operator may edit one attribute and forget the other.
pub(super) fn impossible(rows: &[&Lease], found: &mut Vec<Finding>) {
    let by_key: BTreeMap<&LeaseKey, &Lease> = rows.iter().map(|row| (&row.key, *row)).collect();
    let mut say = |row: &Lease, says: String, advice: &str| {
        found.push(Finding::problem(
            FindingKind::ImpossibleRow,
            &row.key,
            says,
            advice,
        ));
    };
    for row in rows {
        if let Some(holder) = &row.checkpoint_owner {
            match &row.owner {
                None => say(
                    row,
                    format!(
                        "It has the checkpoint owner {holder} but no owner, as if {holder} were \
                         handing it over to no worker."
                    ),
                    "Remove the checkpoint owner. The lease is then free.",
                ),
                Some(owner) if owner == holder => say(
                    row,
                    format!(
                        "Its owner and its checkpoint owner are both {holder}, as if {holder} had \
                         requested it from itself."
                    ),
                    "Remove the checkpoint owner. The worker then holds the lease.",
                ),
                Some(_) => {}
            }
        }
        if row.token.is_some() && row.actual_owner().is_none() {
            say(
                row,
                "It has a token but no owner.".to_owned(),
                "Remove the token. The lease is then free.",
            );
        }
        if ancestors_go_round(row, &by_key) {
            say(
                row,
                "Its shard is its own ancestor, so it waits for itself and is never read."
                    .to_owned(),
                "Set its parents to those that the stream lists.",
            );
        }
        let has_begun = matches!(row.checkpoint, Checkpoint::At(_) | Checkpoint::ShardEnd);
        let unfinished = row.parents.iter().find(|parent| {
            by_key
                .get(&row.key.sibling((*parent).clone()))
                .is_some_and(|parent| !parent.checkpoint.is_shard_end())
        });
        if let (true, None, Some(parent)) = (has_begun, row.facts.first_time(), unfinished) {
            say(
                row,
                format!(
                    "It has a checkpoint although its parent {parent} is not finished: the \
                     parent's checkpoint was moved back by hand."
                ),
                "Records with the same key may be delivered out of order. Let the parent finish; \
                 set this lease back to TRIM_HORIZON if its records must come after the parent's.",
            );
        }
    }
}

/// Whether a shard is its own ancestor. A child waits for its parents, so the shards of a circle
/// wait for one another for ever. A shard that is only below a circle is not part of it.
fn ancestors_go_round(row: &Lease, rows: &BTreeMap<&LeaseKey, &Lease>) -> bool {
    let mut seen = BTreeSet::new();
    let mut ahead: Vec<&ShardId> = row.parents.iter().collect();
    while let Some(id) = ahead.pop() {
        if *id == row.key.shard {
            return true;
        }
        if seen.insert(id)
            && let Some(parent) = rows.get(&row.key.sibling(id.clone()))
        {
            ahead.extend(&parent.parents);
        }
    }
    false
}
