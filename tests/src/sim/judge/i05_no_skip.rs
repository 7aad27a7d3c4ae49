use crate::sim::history::{Entry, Event};

use super::fold::{Fold, See, Sink};

/// I5: when a checkpoint was accepted, every record up to it (from the one before) was done before
/// the write was sent: its `process_records` had returned, a policy that the user chose passed it,
/// the handler itself had checkpointed there, or it had left the stream.
#[derive(Debug)]
pub(super) struct NoSkip;

impl Fold for NoSkip {
    fn name(&self) -> &'static str {
        "I5 no skip"
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
        let from = shard
            .after(&before.checkpoint, &before.facts)
            .max(shard.trimmed());
        let to = shard.after(&after.checkpoint, &after.facts);
        let progress = see.board.progress_of(index);
        if let Some(record) =
            (from..to).find(|record| !progress.is_done_before(*record, written.sent))
        {
            sink.report(|| {
                format!(
                    "{}: {:?} stored {} (records below {to}), sent at {} as event {}, and record \
                     {record} was not done",
                    written.key, written.life, after.checkpoint, written.sent_at, written.sent
                )
            });
        }
    }
}
