use std::collections::BTreeSet;

use crate::sim::history::{Call, Entry, Event, ProcessorId};

use super::fold::{Fold, See, Sink};

/// I6: a processor begins at the checkpoint that its tenancy found, and its first record is the
/// first one behind it that is retained. If records behind it are gone, a data gap is reported.
#[derive(Debug, Default)]
pub(super) struct Resume {
    begun: BTreeSet<ProcessorId>,
}

impl Fold for Resume {
    fn name(&self) -> &'static str {
        "I6 resume"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Called { processor, call } = &entry.event else {
            return;
        };
        let info = see.board.processor(*processor);
        let Some(tenancy) = see.board.tenancy_of(*processor) else {
            sink.report(|| {
                format!(
                    "{:?} began {} without a tenancy in the table",
                    info.life, info.key
                )
            });
            return;
        };
        match call {
            Call::Initialize { checkpoint, .. } => {
                sink.check(*checkpoint == tenancy.start, || {
                    format!(
                        "{}: {:?} begins at {checkpoint}, the row said {}",
                        info.key, info.life, tenancy.start
                    )
                });
            }
            Call::Process { records, .. } if self.begun.insert(*processor) => {
                let shard = &see.stream.shards()[info.shard];
                // The time that a lease at LATEST begins at may have been resolved since.
                let facts = see
                    .table
                    .get(&info.key)
                    .map_or(&tenancy.facts, |row| &row.facts);
                let expected = shard.after(&tenancy.start, facts);
                let first = records.first().map_or(0, |(from, _)| *from);
                sink.check(
                    first == expected || (first > expected && first <= shard.trimmed()),
                    || {
                        format!(
                            "{}: {:?} resumed at {} and was given record {first} first, not \
                         {expected} ({} were trimmed)",
                            info.key,
                            info.life,
                            tenancy.start,
                            shard.trimmed()
                        )
                    },
                );
            }
            _ => {}
        }
    }
}
