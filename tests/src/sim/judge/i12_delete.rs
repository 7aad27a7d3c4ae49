use crate::sim::history::{Asked, Entry, Event};

use super::fold::{Fold, See, Sink};

/// I12: a row goes only when it is at the shard's end and the shard has left the stream (a row that
/// goes while the shard can still be listed may be made again, from its start); on condition of the
/// counter that was judged.
#[derive(Debug)]
pub(super) struct Delete;

impl Fold for Delete {
    fn name(&self) -> &'static str {
        "I12 safe delete"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Written(written) = &entry.event else {
            return;
        };
        let (Asked::Delete(expect), Some(before), true) =
            (&written.asked, &written.before, written.accepted)
        else {
            return;
        };
        sink.check(expect.counter == Some(before.counter), || {
            format!("{}: deleted without its counter: {expect:?}", written.key)
        });
        sink.check(before.checkpoint.is_shard_end(), || {
            format!("{}: deleted at {}", written.key, before.checkpoint)
        });
        let Some((_, shard)) = see.stream.leased(&written.key) else {
            return;
        };
        sink.check(shard.left.is_some(), || {
            format!(
                "{}: {:?} deleted it while the stream still has the shard",
                written.key, written.life
            )
        });
    }
}
