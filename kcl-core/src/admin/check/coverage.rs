//! Whether each hash key and each shard has a lease, and whether each lease has a shard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::admin::finding::{Finding, FindingKind};
use crate::admin::{FleetView, LeaseState, StreamView};
use crate::decide::shards::{
    Begin, Finished, Leases, judge_finished, leases_to_create, shard_gone, uncovered,
};
use crate::model::{HashKeyRange, InitialPosition, Lease, ShardId, Timestamp};

/// A range of hash keys, for people.
fn keys(range: HashKeyRange) -> String {
    // Also as percentages, because a key of 39 digits tells a person nothing.
    let percent = |key: u128| key as f64 / u128::MAX as f64 * 100.0;
    format!(
        "{} to {} ({:.2} % to {:.2} %)",
        range.start(),
        range.end(),
        percent(range.start()),
        percent(range.end())
    )
}

const HOLE_ADVICE: &str = "No worker reads records with these keys. A live worker creates a \
    missing lease within a minute. If a row was edited, correct its checkpoint or its hash keys, \
    or delete the row so that it is created again.";

/// Holes that the rows show by themselves. If only one unfinished lease of a stream has no range,
/// none can be found: it may have the missing keys.
pub(super) fn holes(fleet: &FleetView, found: &mut Vec<Finding>) {
    if fleet.leases.is_empty() {
        if fleet.malformed.is_empty() {
            found.push(no_leases());
        }
        return;
    }
    let mut groups: BTreeMap<&Option<Arc<str>>, Vec<&Lease>> = BTreeMap::new();
    for view in &fleet.leases {
        let group = groups.entry(&view.lease.key.stream).or_default();
        if view.state != LeaseState::Ended {
            group.push(&view.lease);
        }
    }
    for (stream, leases) in groups {
        let ranges: Option<Vec<HashKeyRange>> = leases.iter().map(|row| row.hash_range).collect();
        for hole in ranges.map(uncovered).unwrap_or_default() {
            found.push(Finding::problem(
                FindingKind::Hole,
                stream.as_deref().unwrap_or_default(),
                format!("No unfinished lease covers the hash keys {}.", keys(hole)),
                HOLE_ADVICE,
            ));
        }
    }
}

/// The finding for an application that has not begun, or cannot.
fn no_leases() -> Finding {
    Finding::problem(
        FindingKind::NoLeases,
        "",
        "The table contains no leases.",
        "The first worker of the application creates them. If a worker is running, its log says \
         which call to the stream or the table fails.",
    )
}

/// Compares the rows with the shards, by the functions that the workers themselves use to create and
/// delete leases: what this reports as missing is what a worker would create.
pub(super) fn beside_the_stream(fleet: &FleetView, stream: &StreamView, found: &mut Vec<Finding>) {
    let identity = stream.description.identity();
    let of_stream = |lease: &&Lease| {
        lease
            .key
            .stream
            .as_ref()
            .is_none_or(|stream| *stream == identity)
    };
    let rows = fleet.leases.iter().map(|view| &view.lease);
    let leases: Leases<'_> = rows
        .filter(of_stream)
        .map(|lease| (lease.key.shard.clone(), lease))
        .collect();
    if leases.is_empty() {
        found.push(no_leases());
        return;
    }
    let spoilt: BTreeSet<&ShardId> = fleet
        .malformed
        .iter()
        .filter_map(|row| row.lease())
        .map(|key| &key.shard)
        .collect();
    let graph = &stream.graph;
    let open: Vec<_> = graph.shards().filter(|shard| !shard.closed).collect();
    for hole in crate::decide::shards::holes(leases.values().copied(), graph) {
        for shard in &open {
            let range = shard.hash_range;
            let part =
                HashKeyRange::new(hole.start().max(range.start()), hole.end().min(range.end()));
            if let Ok(part) = part {
                found.push(Finding::problem(
                    FindingKind::Hole,
                    &shard.id,
                    format!(
                        "No unfinished lease covers the hash keys {} of this open shard.",
                        keys(part)
                    ),
                    HOLE_ADVICE,
                ));
            }
        }
    }
    // The initial position of the workers is not known here. Where there are leases, `Latest` means
    // the earliest time that they have stored, so `now` is not used.
    let now = Timestamp::from_millis(i64::MAX);
    let begin = Begin::new(InitialPosition::Latest, &leases, now);
    for missing in leases_to_create(graph, &leases, &begin) {
        if spoilt.contains(&missing.shard) {
            continue;
        }
        found.push(Finding::problem(
            FindingKind::MissingLease,
            &missing.shard,
            "This shard has no lease but should have one.",
            "A live worker creates it within a minute. If no worker is running, start one.",
        ));
    }
    for lease in leases.values() {
        if let Some(gone) = shard_gone(lease, graph, &leases) {
            found.push(Finding::problem(
                FindingKind::Orphan,
                &lease.key,
                format!(
                    "Its shard left the stream before it was read to its end: {}.",
                    gone.gap
                ),
                "These records have expired. A live worker continues with the child shards. Raise \
                 the stream's retention, and find out why reading was so late.",
            ));
        }
        if let Finished::Delete(_) = judge_finished(lease, graph, &leases) {
            found.push(Finding::note(
                FindingKind::Leftover,
                &lease.key,
                "Its shard is finished and is no longer in the stream.",
                "Nothing to do: a worker's next audit deletes the row.",
            ));
        }
    }
}
