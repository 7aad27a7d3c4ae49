use std::fmt;

use crate::sim::history::{Entry, Event};
use crate::sim::runtime::At;
use crate::sim::truth::{StreamTruth, TableTruth};
use crate::sim::world::World;

use super::board::Board;

/// An invariant: sees each event once, in order.
pub(crate) trait Fold: fmt::Debug + Send {
    /// What it is called in a violation.
    fn name(&self) -> &'static str;

    /// Judges an event. The board and the truth are as they are after it.
    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>);

    /// Whether it judges what is done about the shards of a stream that was deleted, too.
    fn judges_deleted(&self) -> bool {
        false
    }

    /// Judges the whole, when everything has ended.
    fn at_end(&mut self, see: &See<'_>, sink: &mut Sink<'_>) {
        let _ = (see, sink);
    }
}

/// What an invariant can see beside the event.
#[derive(Debug)]
pub(crate) struct See<'a> {
    pub(crate) world: &'a World,
    pub(crate) board: &'a Board,
    pub(crate) stream: &'a StreamTruth,
    pub(crate) table: &'a TableTruth,
}

impl See<'_> {
    /// Whether an event is about a shard of a stream that was deleted. Its records are gone, and
    /// what is stored of it says nothing.
    pub(super) fn is_of_deleted(&self, event: &Event) -> bool {
        // The keys of one stream's leases do not tell which of the two it is.
        let is_over = self.world.streams == 1 && self.stream.is_replaced(0);
        let shard = match event {
            Event::Written(written) => self.stream.leased(&written.key).map(|(index, _)| index),
            Event::Called { processor, .. }
            | Event::Returned { processor, .. }
            | Event::Began { processor, .. }
            | Event::Handled { processor, .. }
            | Event::Checkpointing { processor, .. }
            | Event::Checkpointed { processor, .. } => Some(self.board.processor(*processor).shard),
            _ => None,
        };
        shard
            .and_then(|index| self.stream.shards().get(index))
            .is_some_and(|shard| shard.deleted || is_over)
    }
}

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// The event at which it showed.
    pub number: u64,
    /// When that was.
    pub at: At,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {} (event {}): {}",
            self.invariant, self.at, self.number, self.what
        )
    }
}

/// Where violations go: the first ones are kept.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(super) kept: &'a mut Vec<Violation>,
    pub(super) invariant: &'static str,
    pub(super) number: u64,
    pub(super) at: At,
}

/// More of one world say nothing new.
const KEPT: usize = 12;

impl Sink<'_> {
    pub(crate) fn report(&mut self, what: impl FnOnce() -> String) {
        if self.kept.len() < KEPT {
            let Self {
                invariant,
                number,
                at,
                ..
            } = *self;
            self.kept.push(Violation {
                invariant,
                number,
                at,
                what: what(),
            });
        }
    }

    /// Reports unless it holds.
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.report(what);
        }
    }
}
