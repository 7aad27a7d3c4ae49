use crate::sim::history::{Entry, Event};

use super::fold::{Fold, See, Sink};

/// I15: what a worker believes to be stored is stored: a checkpoint that was answered with success,
/// and the checkpoints of a shutdown report, are in the table, unless an operator has set the shard since.
#[derive(Debug)]
pub(super) struct Unknown;

impl Fold for Unknown {
    fn name(&self) -> &'static str {
        "I15 unknown is unknown"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        match &entry.event {
            Event::Checkpointed {
                processor,
                up_to,
                prepare: false,
                error: None,
                ..
            } => {
                let info = see.board.processor(*processor);
                let tenancy = see.board.tenancy_of(*processor);
                let is_sought =
                    tenancy.is_some_and(|tenancy| see.board.is_sought_since(info.shard, tenancy));
                let Some(row) = see.table.get(&info.key).filter(|_| !is_sought) else {
                    return;
                };
                let stored = see.stream.shards()[info.shard].after(&row.checkpoint, &row.facts);
                sink.check(stored >= *up_to, || {
                    format!(
                        "{}: {:?} was told that the records below {up_to} are stored; the row \
                         says {}",
                        info.key, info.life, row.checkpoint
                    )
                });
            }
            Event::Stopped { life, drained, .. } => {
                for (key, checkpoint) in drained {
                    let mut tenancies = see.board.tenancies.iter().rev();
                    let last = tenancies.find(|last| last.key == *key && last.life == *life);
                    let is_sought = last
                        .zip(see.stream.leased(key))
                        .is_some_and(|(last, (index, _))| see.board.is_sought_since(index, last));
                    let Some(row) = see.table.get(key).filter(|_| !is_sought) else {
                        continue;
                    };
                    sink.check(row.checkpoint >= *checkpoint, || {
                        format!(
                            "{key}: {life:?} reports {checkpoint} as stored; the row says {}",
                            row.checkpoint
                        )
                    });
                }
            }
            _ => {}
        }
    }
}
