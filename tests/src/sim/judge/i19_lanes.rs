use std::collections::{BTreeMap, BTreeSet};

use crate::sim::history::{Call, Entry, Event, InOrder, ProcessorId};

use super::fold::{Fold, See, Sink};

/// I19: what is given to a handler of single records is given in the order of its lane, and without
/// a hole: before a record begins, each earlier one of its lane is done, or had left the stream. No
/// record is at work twice at the same time, none begins again that this owner has done, and none
/// once the shard is given up or lost. What is gathered is given together: then those before it are done,
/// or in the same call, and it is given once more when the shard is given up.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    of: BTreeMap<ProcessorId, Work>,
}

#[derive(Debug, Default)]
struct Work {
    at_work: BTreeSet<u32>,
    /// Where it began. Asked once: the time that a lease at LATEST begins at goes from the row with
    /// the first checkpoint.
    start: Option<u32>,
    /// Told that the shard is given up, or is somebody else's.
    over: bool,
    /// Told that it is somebody else's, or at its end: no buffer is flushed once more.
    gone: bool,
}

impl Fold for Lanes {
    fn name(&self) -> &'static str {
        "I19 lanes"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        match &entry.event {
            Event::Called {
                processor,
                call:
                    call @ (Call::LeaseLost(_) | Call::ShutdownRequested | Call::ShardEnded { .. }),
            } => {
                if let Some(work) = self.of.get_mut(processor) {
                    work.over = true;
                    work.gone |= !matches!(call, Call::ShutdownRequested);
                }
            }
            Event::Handled {
                processor, record, ..
            } => {
                if let Some(work) = self.of.get_mut(processor) {
                    work.at_work.remove(record);
                }
            }
            Event::Began {
                processor,
                record,
                order,
            } => {
                let work = self.of.entry(*processor).or_default();
                let info = see.board.processor(*processor);
                let shard = &see.stream.shards()[info.shard];
                let (key, life) = (&info.key, info.life);
                sink.check(*record < shard.len(), || {
                    format!("{key}: {life:?} was given record {record}, which was never put")
                });
                // A buffer is flushed once more when its shard is given up.
                let together = matches!(order, InOrder::AllTogether | InOrder::KeyTogether);
                let over = if together { work.gone } else { work.over };
                sink.check(!over, || {
                    format!(
                        "{key}: {life:?} began record {record} after the end of its work was told"
                    )
                });
                sink.check(work.at_work.insert(*record), || {
                    format!("{key}: {life:?} has record {record} at work twice")
                });
                sink.check(!info.handled.contains(record), || {
                    format!("{key}: {life:?} began record {record} again, which it had done")
                });
                let start = *work.start.get_or_insert_with(|| {
                    see.board.tenancy_of(*processor).map_or(0, |tenancy| {
                        let facts = see.table.get(key).map_or(&tenancy.facts, |row| &row.facts);
                        shard.after(&tenancy.start, facts)
                    })
                });
                let lane = |other: &u32| match order {
                    InOrder::All | InOrder::AllTogether => true,
                    InOrder::OfAKey | InOrder::KeyTogether => {
                        shard.key_of(*other) == shard.key_of(*record)
                    }
                    InOrder::None => false,
                };
                let progress = see.board.progress_of(info.shard);
                let from = start.max(shard.trimmed());
                let hole =
                    (from..*record)
                        .filter(lane)
                        .find(|other| match work.at_work.contains(other) {
                            true => !together,
                            false => !progress.is_done(*other),
                        });
                sink.check(hole.is_none(), || {
                    format!(
                        "{key}: {life:?} began record {record} before record {hole:?} of its \
                        lane was done"
                    )
                });
            }
            _ => {}
        }
    }
}
