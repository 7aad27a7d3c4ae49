use crate::sim::history::{Entry, Event};

use super::fold::{Fold, See, Sink};

/// I8: a checkpoint lies between the one before it and the greatest record that was handed out in
/// its tenancy; the shard's end is stored only when the shard is closed and everything before it
/// was handed out, or has left the stream.
#[derive(Debug)]
pub(super) struct Bounds;

impl Fold for Bounds {
    fn name(&self) -> &'static str {
        "I8 checkpoint bounds"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Written(written) = &entry.event else {
            return;
        };
        let Some((before, after)) = written.moved_checkpoint() else {
            return;
        };
        let Some((index, shard)) = see.stream.leased(&written.key) else {
            return;
        };
        if after.checkpoint.is_shard_end() {
            sink.check(!shard.is_open() || shard.left.is_some(), || {
                format!("{}: at its end while it is open", written.key)
            });
            let from = shard
                .after(&before.checkpoint, &before.facts)
                .max(shard.trimmed());
            let missing = see
                .board
                .progress_of(index)
                .first_not_done(from, shard.len());
            sink.check(missing.is_none(), || {
                format!(
                    "{}: at its end before record {missing:?} was done",
                    written.key
                )
            });
            return;
        }
        let given = see
            .board
            .processors
            .iter()
            .rev()
            .filter(|info| info.key == written.key && info.life == written.life)
            .filter_map(|info| info.given.map(|(_, end)| end))
            .max();
        let to = shard.after(&after.checkpoint, &after.facts);
        sink.check(given.is_some_and(|end| to <= end), || {
            format!(
                "{}: {:?} stored {} (records below {to}) and was given those below {given:?}",
                written.key, written.life, after.checkpoint
            )
        });
    }
}
