use std::collections::BTreeMap;

use crate::sim::history::{Call, Entry, Event, ProcessorId};

use super::fold::{Fold, See, Sink};

/// B1: at a change of owner, the new one is given no more records a second time than lie between
/// the stored checkpoint and the last one that was handed out before.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// The index behind the last record that was handed out, of each shard.
    reached: BTreeMap<usize, u32>,
    given: BTreeMap<ProcessorId, Given>,
}

/// What one processor may be given again, and was.
#[derive(Debug)]
struct Given {
    /// The index behind the last record that others had been given.
    reached: u32,
    allowed: u32,
    again: u32,
}

impl Fold for Duplicates {
    fn name(&self) -> &'static str {
        "B1 duplicates"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Called {
            processor,
            call:
                Call::Process {
                    records,
                    attempt: 1,
                    ..
                },
        } = &entry.event
        else {
            return;
        };
        let info = see.board.processor(*processor);
        let Some(shard) = see.stream.shards().get(info.shard) else {
            return;
        };
        let reached = self.reached.entry(info.shard).or_default();
        let given = self.given.entry(*processor).or_insert_with(|| {
            // The time that a lease at LATEST begins at may have been resolved since it was taken.
            let facts = see
                .table
                .get(&info.key)
                .map(|row| row.facts.clone())
                .unwrap_or_default();
            let stored = see
                .board
                .tenancy_of(*processor)
                .map_or(0, |tenancy| shard.after(&tenancy.start, &facts));
            Given {
                reached: *reached,
                allowed: reached.saturating_sub(stored),
                again: 0,
            }
        });
        for (from, to) in records {
            given.again += (*to).min(given.reached).saturating_sub(*from);
            *reached = (*reached).max(*to);
        }
        sink.check(given.again <= given.allowed, || {
            format!(
                "{}: {:?} was given {} records again, {} were not stored",
                info.key, info.life, given.again, given.allowed
            )
        });
    }
}
