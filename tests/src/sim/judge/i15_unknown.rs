use crate::sim::history::{Entry, Event};

use super::fold::{Fold, See, Sink};

/// I15: what a worker believes to be stored is stored: a checkpoint that was answered with success,
/// and the checkpoints of a shutdown report, are in the table.
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
                let Some(row) = see.table.get(&info.key) else {
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
                    let Some(row) = see.table.get(key) else {
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
