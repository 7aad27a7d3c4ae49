use std::collections::BTreeSet;

use kcl_core::lease::Change;
use kcl_core::model::LeaseKey;

use crate::sim::history::{Asked, Entry, Event};

use super::fold::{Fold, See, Sink};

/// I2: an accepted write carried the counter and the token of the row at that instant, and what
/// only an owner writes came from the owner, however late it came. An operator set only what nobody
/// held.
#[derive(Debug, Default)]
pub(super) struct Fence {
    /// The leases that an operator has paused, now or before.
    paused: BTreeSet<LeaseKey>,
}

impl Fold for Fence {
    fn name(&self) -> &'static str {
        "I2 fence"
    }

    fn judges_deleted(&self) -> bool {
        true
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        if let Event::Paused { key, on: true } = &entry.event {
            self.paused.insert(key.clone());
        }
        if let Event::Sought { before, after } = &entry.event {
            sink.check(before.actual_owner().is_none(), || {
                format!(
                    "{}: an operator set it to {} while {:?} held it",
                    before.key,
                    after.checkpoint,
                    before.actual_owner()
                )
            });
        }
        let Event::Written(written) = &entry.event else {
            return;
        };
        let (Asked::Update(expect, change), Some(before), true) =
            (&written.asked, &written.before, written.accepted)
        else {
            return;
        };
        sink.check(expect.holds(before), || {
            format!(
                "{}: a write of {:?} that expected {expect:?} was carried out on {before:?}",
                written.key, written.life
            )
        });
        let owners = matches!(
            change,
            Change::Renew
                | Change::Checkpoint { .. }
                | Change::Prepare { .. }
                | Change::PassOn { .. }
                | Change::Refuse { .. }
                | Change::Release { .. }
                | Change::End { .. }
                | Change::Children { .. }
                | Change::Facts { .. }
        );
        if !owners {
            return;
        }
        // The board has taken the write in already: the tenancy that the row had before it is found
        // by its token.
        let owner = before
            .token
            .as_ref()
            .and_then(|token| see.board.tenancy_with(&written.key, token));
        // A lease that was passed on and not claimed is nobody's tenancy: the worker that it names
        // may give it back.
        let named = before.token.is_none()
            && see.board.lives.get(&written.life).map(|life| &life.worker) == before.owner.as_ref();
        if named
            && matches!(
                change,
                Change::Release {
                    checkpoint: None,
                    ..
                }
            )
        {
            return;
        }
        // One that is paused is freed by others when its owner is dead; by then it may be resumed.
        let frees = matches!(
            change,
            Change::Release {
                checkpoint: None,
                ..
            }
        );
        if frees && self.paused.contains(&written.key) {
            return;
        }
        sink.check(
            owner.is_some_and(|owner| owner.life == written.life),
            || {
                format!(
                    "{}: {change:?} of {:?} was carried out in the tenancy of {:?}",
                    written.key,
                    written.life,
                    owner.map(|o| o.life)
                )
            },
        );
    }
}
