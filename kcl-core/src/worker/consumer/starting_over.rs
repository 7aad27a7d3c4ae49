//! A processor that is of no use any more: another one begins at the stored checkpoint.

use std::error::Error;
use std::sync::Arc;

use crate::checkpoint::{CheckpointerShared, Delivered};
use crate::decide::consumer::Step;
use crate::decide::shards::{FalseEnds, UnnamedEnds};
use crate::model::{Lease, Position};
use crate::processor::StartOver;
use crate::runtime::jitter;

use super::ShardConsumer;

/// The position that an earlier owner has prepared.
pub(super) fn prepared(row: &Lease) -> Option<Position> {
    row.pending
        .as_ref()
        .and_then(|pending| pending.at.position())
        .cloned()
}

impl ShardConsumer {
    /// Whether this error of a call asks to start over. Not while an adapter works on records
    /// beside the calls: it has its own books of what is done, and they go on.
    pub(super) fn asks_to_start_over(&self, error: &(dyn Error + Send + Sync + 'static)) -> bool {
        error.is::<StartOver>() && !self.background.has_begun()
    }

    /// Drops the processor, and forgets what was read after the stored checkpoint.
    ///
    /// What is stored is asked for again when the next processor begins, so a checkpoint that is on
    /// its way, or that something of the old processor stores late, only moves the beginning
    /// forward. The new processor gets checkpointers of its own: it cannot store a position that
    /// only the old one was given.
    pub(super) fn start_over(&mut self) -> Step {
        let stored = self.held.stored();
        if self
            .started_over
            .as_ref()
            .is_none_or(|(at, _)| *at < stored)
        {
            self.started_over = Some((stored, 0));
        }
        if let Some((_, times)) = &mut self.started_over {
            // A processor that is made anew, works, and fails at the same place spins no faster than
            // one whose call fails.
            let retry = self.inner.parts.settings.retry();
            self.pause_for = Some(retry.at_least_half(*times, jitter()));
            *times = times.saturating_add(1);
        }
        (self.processor, self.feed, self.in_flight) = (None, None, None);
        (self.ending, self.confirmed, self.after_work, self.tip) = (None, None, None, None);
        (self.unnamed_ends, self.refusals) = (UnnamedEnds::default(), FalseEnds::default());
        self.children = Vec::new();
        self.delivered = Delivered::default();
        self.tenancy = Arc::new(CheckpointerShared::new(
            Arc::clone(&self.held),
            self.delivered.clone(),
            self.meters.clone(),
            Arc::clone(&self.clock),
            prepared(&self.row),
        ));
        self.inner
            .board
            .change(&self.row.key, |status| status.in_flight = 0);
        Step::StartOver
    }
}
