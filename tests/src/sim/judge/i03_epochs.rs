use kcl_core::lease::CounterEdit;

use crate::sim::history::{Asked, Entry, Event};

use super::fold::{Fold, See, Sink};

/// I3: the accepted writes of a row form a chain: each moves the counter by one, and a change of
/// tenancy always does. What leaves the counter alone (a request, its withdrawal, a hash range)
/// changes neither the tenancy nor the checkpoint.
#[derive(Debug)]
pub(super) struct Epochs;

impl Fold for Epochs {
    fn name(&self) -> &'static str {
        "I3 linear epochs"
    }

    fn judges_deleted(&self) -> bool {
        true
    }

    fn on(&mut self, entry: &Entry, _: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Written(written) = &entry.event else {
            return;
        };
        let Asked::Update(_, change) = &written.asked else {
            return;
        };
        let (Some(before), Some(after), true) = (&written.before, &written.after, written.accepted)
        else {
            return;
        };
        if change.edits().counter == CounterEdit::Next {
            sink.check(after.counter == before.counter + 1, || {
                format!(
                    "{}: {change:?} took the counter from {} to {}",
                    written.key, before.counter, after.counter
                )
            });
        } else {
            let same = after.counter == before.counter
                && after.token == before.token
                && after.checkpoint == before.checkpoint;
            sink.check(same, || {
                format!(
                    "{}: {change:?} without a counter made {after:?} of {before:?}",
                    written.key
                )
            });
        }
    }
}
