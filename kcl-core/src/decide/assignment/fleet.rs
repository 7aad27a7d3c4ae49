use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::decide::rendezvous::score;
use crate::model::{Moment, WorkerId};

use super::plan::Me;

/// Who is alive, this worker included unless it leaves, and when that is.
#[derive(Debug)]
pub(super) struct Fleet<'a> {
    pub(super) me: &'a Me<'a>,
    pub(super) members: &'a Members,
    pub(super) now: Moment,
    pub(super) timing: &'a Timing,
    /// In the order of their names.
    pub(super) live: Vec<WorkerId>,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(me: &'a Me<'a>, members: &'a Members, now: Moment, timing: &'a Timing) -> Self {
        let mut live = members.live(now, timing);
        match live.binary_search(me.id) {
            Ok(place) if me.leaving => drop(live.remove(place)),
            Err(place) if !me.leaving => live.insert(place, me.id.clone()),
            _ => {}
        }
        Self { me, members, now, timing, live }
    }

    pub(super) fn is_live(&self, worker: &WorkerId) -> bool {
        self.live.binary_search(worker).is_ok()
    }

    /// Until when a plan looks ahead: the end of the next look, with room for a slow one. What is due before is planned now, so that
    /// it can be taken when it is due.
    pub(super) fn horizon(&self) -> Moment {
        self.now + self.timing.look + self.timing.call_limit
    }

    /// Whether this worker is the first of the live ones of ours for what concerns `other`.
    pub(super) fn is_mine_to_bury(&self, other: &WorkerId) -> bool {
        let ours = self.live.iter().filter(|worker| *worker == self.me.id || self.members.is_ours(worker));
        ours.max_by_key(|worker| score(&[other.as_str(), worker.as_str()])) == Some(self.me.id)
    }
}
