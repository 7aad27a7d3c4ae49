//! Leases that belong to the wrong stream.

use std::collections::{BTreeMap, BTreeSet};

use crate::admin::StreamView;
use crate::admin::finding::{Finding, FindingKind};
use crate::model::{Lease, Timestamp};

/// Leases of more than one stream under keys that do not tell them apart, and leases of a stream
/// that was deleted and recreated.
pub(super) fn streams(rows: &[&Lease], stream: Option<&StreamView>, found: &mut Vec<Finding>) {
    let mut wrong = |says: String, advice: &str| {
        found.push(Finding::problem(FindingKind::WrongStream, "", says, advice));
    };
    let keyed = rows.iter().filter(|row| row.key.stream.is_some()).count();
    if keyed > 0 && keyed < rows.len() {
        wrong(
            format!(
                "The keys of {keyed} of {} leases name a stream, and those of the others do not: \
                 workers that read one stream and workers that read several share the table.",
                rows.len()
            ),
            "These two kinds of workers do not see each other's leases. Keep one kind; stop the \
             workers of the other, then delete their leases.",
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
                    "The leases of {arn} name {} different creation times of the stream: it was \
                     deleted and recreated.",
                    times.len()
                ),
                "The checkpoints in the old stream belong to records that no longer exist. Stop \
                 all workers and delete the leases of the old stream.",
            );
        }
        let other = made
            .keys()
            .find(|(other, text)| other == key && *text < *arn);
        if let (Some((_, first)), None) = (other, key) {
            wrong(
                format!("Leases of {first} and of {arn} have keys that do not name their stream."),
                "An application that reads a single stream needs a lease table of its own. Give \
                 one of the two another application name.",
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
                    "Leases of {arn} name a stream that was created at {time}, but the stream \
                     was created at {}.",
                    view.description.created_at
                ),
                "The stream was deleted and recreated. Stop all workers and delete these leases: \
                 their checkpoints belong to records that no longer exist.",
            );
        }
    }
}
