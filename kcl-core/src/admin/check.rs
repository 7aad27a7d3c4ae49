//! What is wrong in a lease table: a judgement of what was read. No clock is read here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::decide::shards::{
    Begin, Finished, Leases, judge_finished, leases_to_create, shard_gone, uncovered,
};
use crate::model::{
    Checkpoint, HashKeyRange, InitialPosition, Lease, LeaseKey, ShardId, Timestamp,
};

use super::finding::{Finding, FindingKind};
use super::{FleetView, LeaseLag, LeaseState, Life, StreamView};

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
    malformed(fleet, &mut found);
    impossible(&rows, &mut found);
    streams(&rows, stream, &mut found);
    match stream {
        Some(stream) => beside_the_stream(fleet, stream, &mut found),
        None => holes(fleet, &mut found),
    }
    stuck(fleet, &mut found);
    paused(fleet, &mut found);
    workers(fleet, &mut found);
    retention(lags, &mut found);
    found.sort_by(|a, b| {
        (a.level, a.kind, &a.about, &a.says).cmp(&(b.level, b.kind, &b.about, &b.says))
    });
    found
}

fn malformed(fleet: &FleetView, found: &mut Vec<Finding>) {
    for row in &fleet.malformed {
        let (about, advice) = match row.lease() {
            Some(key) => (
                key.to_string(),
                "Nobody reads this shard, and its children wait. Write a correct value; the next \
                 scan finds it, and no restart is needed.",
            ),
            None => (String::new(), "Write a correct value, or delete this row."),
        };
        found.push(Finding::problem(
            FindingKind::MalformedRow,
            about,
            format!("{row}."),
            advice,
        ));
    }
}

/// Rows that no protocol writes, so somebody has edited them. Each is judged alone: an operator may
/// edit one attribute and forget the other.
fn impossible(rows: &[&Lease], found: &mut Vec<Finding>) {
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
                        "{holder} is to hand it over, and nobody has asked for it: the owner is \
                         missing, the checkpoint owner is there."
                    ),
                    "Remove the checkpoint owner: then the lease is free.",
                ),
                Some(owner) if owner == holder => say(
                    row,
                    format!(
                        "{holder} has asked itself for it: owner and checkpoint owner are the same."
                    ),
                    "Remove the checkpoint owner: then it is a lease that this worker holds.",
                ),
                Some(_) => {}
            }
        }
        if row.token.is_some() && row.actual_owner().is_none() {
            say(
                row,
                "It has the mark of a tenancy and no owner.".to_owned(),
                "Remove the token: then the lease is free.",
            );
        }
        if ancestors_go_round(row, &by_key) {
            say(
                row,
                "It is its own ancestor: it waits for itself, and nobody ever reads it.".to_owned(),
                "Correct the parents: those that the stream lists.",
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
                    "It has been read, and its parent {parent} is not finished: somebody has \
                     moved the parent's checkpoint back."
                ),
                "The order of records with one key is lost between the two. Finish the parent, or \
                 set this one back to TRIM_HORIZON if its records are to come after the parent's.",
            );
        }
    }
}

/// Whether a row is its own ancestor. Every child waits for its parents, so such shards wait for
/// each other for ever.
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

/// Leases of more than one stream under keys that do not tell them apart, and leases of a stream
/// that was deleted and created again.
fn streams(rows: &[&Lease], stream: Option<&StreamView>, found: &mut Vec<Finding>) {
    let mut wrong = |says: String, advice: &str| {
        found.push(Finding::problem(FindingKind::WrongStream, "", says, advice));
    };
    let keyed = rows.iter().filter(|row| row.key.stream.is_some()).count();
    if keyed > 0 && keyed < rows.len() {
        wrong(
            format!(
                "{keyed} of {} leases name their stream in their key and the others do not: \
                 applications of one stream and of several share the table.",
                rows.len()
            ),
            "Workers of one stream and of several do not see each other's leases. Keep one kind, \
             and delete the other leases when their workers have stopped.",
        );
    }
    let mut made = BTreeMap::<_, BTreeSet<Option<Timestamp>>>::new();
    for row in rows {
        if let Some(arn) = row.facts.stream_arn.as_deref() {
            let times = made.entry((&row.key.stream, arn)).or_default();
            times.insert(row.facts.stream_created_at);
        }
    }
    for ((key, arn), times) in &made {
        if times.len() > 1 {
            wrong(
                format!(
                    "The leases of {arn} were made for streams of {} different times of creation: \
                     it was deleted and made again.",
                    times.len()
                ),
                "The checkpoints of the old stream belong to records that are gone. Stop all \
                 workers and delete the leases of the old one.",
            );
        }
        let other = made
            .keys()
            .find(|(other, text)| other == key && *text < *arn);
        if let (Some((_, first)), None) = (other, key) {
            wrong(
                format!("There are leases of {first} and of {arn} under keys that name no stream."),
                "One application of one stream has one stream. Give the other one a name of its \
                 own.",
            );
        }
        if let Some(view) = stream
            && **arn == *view.description.arn
            && let Some(Some(time)) = times
                .iter()
                .find(|time| time.is_some_and(|time| time != view.description.created_at))
        {
            wrong(
                format!(
                    "Leases were made for a stream {arn} that was created at {time}, and the \
                     present one was created at {}.",
                    view.description.created_at
                ),
                "It was deleted and made again. Stop all workers and delete these leases: their \
                 checkpoints belong to records that are gone.",
            );
        }
    }
}

fn keys(range: HashKeyRange) -> String {
    // In parts of the whole, as 39 digits tell a person nothing.
    let percent = |key: u128| key as f64 / u128::MAX as f64 * 100.0;
    format!(
        "{} to {} ({:.2} % to {:.2} %)",
        range.start(),
        range.end(),
        percent(range.start()),
        percent(range.end())
    )
}

const HOLE_ADVICE: &str = "Records with such keys are read by nobody. A worker that is alive \
    makes a missing lease within a minute; if a row was edited, correct it: checkpoint, hash \
    keys, or delete it so that it is made anew.";

/// Holes that show without the stream. If a single unfinished lease of a stream has no range, none
/// can be found.
fn holes(fleet: &FleetView, found: &mut Vec<Finding>) {
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
        // Without the ranges nothing shows.
        let ranges: Option<Vec<HashKeyRange>> = leases.iter().map(|row| row.hash_range).collect();
        for hole in ranges.map(uncovered).unwrap_or_default() {
            found.push(Finding::problem(
                FindingKind::Hole,
                stream.as_deref().unwrap_or_default(),
                format!("No unfinished lease has the hash keys {}.", keys(hole)),
                HOLE_ADVICE,
            ));
        }
    }
}

fn no_leases() -> Finding {
    Finding::problem(
        FindingKind::NoLeases,
        "",
        "There are no leases.",
        "The first worker of the application makes them. If one runs, look at its log: the stream \
         or the table refuses something.",
    )
}

/// Compares the rows with the shards, by the same functions with which workers create and delete
/// leases: what this reports as missing is what a worker would create.
fn beside_the_stream(fleet: &FleetView, stream: &StreamView, found: &mut Vec<Finding>) {
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
                        "No unfinished lease has the hash keys {} of this open shard.",
                        keys(part)
                    ),
                    HOLE_ADVICE,
                ));
            }
        }
    }
    // What a lease at `LATEST` would begin at; where other leases tell that it was another time, it
    // is that.
    let now = Timestamp::from_millis(i64::MAX);
    let begin = Begin::new(InitialPosition::Latest, &leases, now);
    for missing in leases_to_create(graph, &leases, &begin) {
        if spoilt.contains(&missing.shard) {
            continue;
        }
        found.push(Finding::problem(
            FindingKind::MissingLease,
            &missing.shard,
            "This shard should have a lease and has none.",
            "A worker that is alive makes it within a minute. If none runs, start one.",
        ));
    }
    for lease in leases.values() {
        if let Some(gone) = shard_gone(lease, graph, &leases) {
            found.push(Finding::problem(
                FindingKind::Orphan,
                &lease.key,
                format!("Its shard has left the stream unfinished: {}.", gone.gap),
                "The records are gone. A worker that is alive passes on to the shards that \
                 follow; raise the retention, and find out why it was so late.",
            ));
        }
        if let Finished::Delete(_) = judge_finished(lease, graph, &leases) {
            found.push(Finding::note(
                FindingKind::Leftover,
                &lease.key,
                "Its shard is finished and has left the stream.",
                "Nothing: the next audit of a worker deletes the row.",
            ));
        }
    }
}

/// A note, because somebody wants it so; but it must not be forgotten, since retention goes on.
fn paused(fleet: &FleetView, found: &mut Vec<Finding>) {
    for lease in fleet.leases.iter().map(|view| &view.lease) {
        if let (Some(at), false) = (lease.paused_at, lease.checkpoint.is_shard_end()) {
            let says = format!("An operator paused it at {at}; nobody reads its shard.");
            let advice = "Resume it before the stream's retention period is over (`kcl resume`).";
            found.push(Finding::note(FindingKind::Paused, &lease.key, says, advice));
        }
    }
}

fn stuck(fleet: &FleetView, found: &mut Vec<Finding>) {
    use super::Stuck;
    let several = fleet
        .stuck()
        .filter(|(_, why)| **why == Stuck::NobodyAlive)
        .count();
    if several > 0 {
        found.push(Finding::problem(
            FindingKind::Stuck,
            "",
            format!(
                "No worker of this application is alive, and {several} of its leases are \
                unfinished."
            ),
            "Start a worker.",
        ));
    }
    for (view, why) in fleet.stuck() {
        let advice = match why {
            Stuck::NobodyAlive => continue,
            Stuck::HolderDead { .. } => {
                "A worker that is alive takes it within the failover time. If none does, all are \
                 full (max_leases): start another one."
            }
            Stuck::NotRenewed { .. } => {
                "Look at the log and the status of that worker: its coordination stands still, or \
                 it cannot write to the table."
            }
            Stuck::NotTaken => {
                "Look at left_unread and unreadable in the status of the workers; start another \
                 worker, or raise max_leases."
            }
            Stuck::NotClaimed { .. } => {
                "The worker that handed it over takes it back after two scans. If it stays, look \
                 at the log of both."
            }
            Stuck::ParentMalformed { .. } => "Correct the row of the parent.",
            Stuck::NoProgress { .. } => {
                "Look at the logs of the workers that held it for the error of the handler, or \
                 for a crash: a record that kills its reader comes again with each new owner."
            }
        };
        found.push(Finding::problem(
            FindingKind::Stuck,
            &view.lease.key,
            format!("Nobody gets on with it: {why}."),
            advice,
        ));
    }
    if let Some(what) = &fleet.led_by {
        found.push(Finding::problem(
            FindingKind::LedByOthers,
            "",
            format!("Workers of another framework give the leases of this table away: {what}."),
            "Stop them, or run them in the mode that is compatible with 2.x: see \
             docs/migrating.md.",
        ));
    }
}

fn workers(fleet: &FleetView, found: &mut Vec<Finding>) {
    for worker in &fleet.workers {
        if worker.life == Life::Dead && worker.has_row {
            found.push(Finding::note(
                FindingKind::DeadWorker,
                &worker.worker,
                format!("It is dead, and holds {} leases.", worker.leases),
                "Nothing: those that are alive take its leases and delete its row.",
            ));
        }
    }
    let alive = || fleet.workers.iter().filter(|it| it.life == Life::Alive);
    let most = alive().max_by_key(|worker| worker.leases);
    let fewest = alive().min_by_key(|worker| worker.leases);
    if let (Some(most), Some(fewest)) = (most, fewest)
        && most.leases > fewest.leases + 1
    {
        found.push(Finding::note(
            FindingKind::Unbalanced,
            &most.worker,
            format!(
                "It holds {} leases, and {} holds {}.",
                most.leases, fewest.worker, fewest.leases
            ),
            "Nothing: leases move a few at a time. If it stays, look for hand-overs that are \
             refused in the log.",
        ));
    }
}

/// The share of the retention that has to be left: a quarter, which is 6 hours at the default of
/// 24.
const NEAR: u32 = 4;

fn retention(lags: &[LeaseLag], found: &mut Vec<Finding>) {
    for lag in lags {
        if let Some(gap) = &lag.gap {
            found.push(Finding::problem(
                FindingKind::RecordsLost,
                &lag.lease,
                format!("{gap}: the record at its checkpoint has expired."),
                "What has expired is gone from the stream; get it from its producer. Raise the \
                 retention, and find out why reading was so late.",
            ));
        }
        if let (Some(left), Some(retention)) = (lag.retention_left, lag.retention)
            && left < retention / NEAR
        {
            found.push(Finding::problem(
                FindingKind::RetentionNear,
                &lag.lease,
                format!(
                    "The record at its position expires in {} min.",
                    left.as_secs() / 60
                ),
                "Raise the retention of the stream now: that keeps what is still there. Then make \
                 reading faster.",
            ));
        }
        if let Some(error) = &lag.error {
            found.push(Finding::problem(
                FindingKind::Unreadable,
                &lag.lease,
                format!("Its shard could not be asked how far behind it is: {error}."),
                "If workers meet the same error they do not read it either: compare with \
                 docs/permissions.md.",
            ));
        }
    }
}

#[cfg(test)]
#[path = "check_test.rs"]
mod tests;
