//! What a plan says, in words.

use std::collections::BTreeMap;

use crate::decide::assignment::{Ask, Plan};
use crate::model::{LeaseKey, WorkerId};

use super::{at, names};

/// A plan in the words of the cases, `nothing` if it is empty.
pub(super) fn write(plan: &Plan) -> String {
    let mut lines = Vec::new();
    let mut takes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for take in &plan.take {
        takes
            .entry((take.at, take.rank))
            .or_default()
            .push(&take.key);
    }
    for ((when, rank), keys) in takes {
        let after = if rank == 0 {
            String::new()
        } else {
            format!(" after {rank}")
        };
        lines.push(format!("take {} at {}{after}", names(keys), at(when)));
    }
    let mut list = |what: &str, keys: &[LeaseKey]| {
        if !keys.is_empty() {
            lines.push(format!("{what} {}", names(keys)));
        }
    };
    list("claim", &plan.claim);
    list("give back", &plan.give_back);
    list("end the assignment of", &plan.unassign);
    let by_owner = |asks: &[Ask]| {
        let mut by_owner: BTreeMap<WorkerId, Vec<LeaseKey>> = BTreeMap::new();
        asks.iter().for_each(|ask| {
            by_owner
                .entry(ask.of.clone())
                .or_default()
                .push(ask.key.clone());
        });
        by_owner
    };
    lines.extend(
        by_owner(&plan.request)
            .iter()
            .map(|(of, keys)| format!("ask {of} for {}", names(keys))),
    );
    lines.extend(
        by_owner(&plan.withdraw)
            .iter()
            .map(|(of, keys)| format!("ask {of} no more for {}", names(keys))),
    );
    lines.extend(
        plan.steal
            .iter()
            .map(|ask| format!("take {} from {}", ask.key, ask.of)),
    );
    lines.extend(
        plan.reap
            .iter()
            .map(|worker| format!("delete the row of {worker}")),
    );
    if !plan.left.is_empty() {
        lines.push(format!("{} left for want of room", plan.left.len()));
    }
    if lines.is_empty() {
        "nothing".to_owned()
    } else {
        lines.join("\n")
    }
}
