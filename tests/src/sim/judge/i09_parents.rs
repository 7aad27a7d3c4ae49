use kcl_core::model::Checkpoint;

use crate::sim::history::{Call, Entry, Event};

use super::fold::{Fold, See, Sink};

/// I9: a child is begun only when each of its parents is at its end, or its row has
/// gone after that, or it was gone from the stream before it had a row. A child that
/// begins at a time, or was set to one, has nothing to wait for but parents with a lease.
#[derive(Debug)]
pub(super) struct Parents;

impl Fold for Parents {
    fn name(&self) -> &'static str {
        "I9 parents first"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Called {
            processor,
            call:
                Call::Initialize {
                    checkpoint,
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
        let begun_at = see
            .board
            .made
            .get(&info.key)
            .map(|(checkpoint, _)| checkpoint);
        for parent in shard
            .parents
            .iter()
            .map(|parent| &see.stream.shards()[*parent])
        {
            let row = see.table.get(&parent.key);
            let done = match row {
                // Of a shard that had left before it had a lease nobody can read anything, whoever
                // still has the lease.
                Some(row) => {
                    row.checkpoint.is_shard_end() || see.board.made_too_late.contains(&parent.key)
                }
                None => {
                    let gone = parent.left.is_some();
                    gone || see.board.finished.contains(&parent.key)
                        || matches!(begun_at, Some(Checkpoint::Latest | Checkpoint::AtTimestamp))
                        || see.board.is_sought_at_a_time(info.shard)
                }
            };
            sink.check(done, || {
                let parent_is =
                    row.map_or_else(|| "missing".to_owned(), |row| row.checkpoint.to_string());
                format!(
                    "{} is begun by {:?} at {checkpoint} while its parent {} is {parent_is}",
                    info.key, info.life, parent.key
                )
            });
        }
    }
}
