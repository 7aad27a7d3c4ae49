//! The end of a reading that ends.

use crate::decide::bound::{LeaseDuty, is_read};
use crate::decide::fleet::{LeaseEntry, ReadingStep};
use crate::model::{Lease, Moment};

use super::super::link::ToRoot;
use super::Coordinator;

impl Coordinator {
    /// Rows were taken in, as they were read at `now`: is everything read up to the bound?
    ///
    /// Before it says so it compares the shards with the leases once more, after the last shard
    /// that it was done with: the children of one that has ended may be somebody else's to make,
    /// and a table that answers late may not show them yet.
    pub(super) fn finish_reading(&mut self, now: Moment) {
        let context = &self.context;
        if context.inner.bound().is_none() || self.told_read || !context.is_working() {
            return;
        }
        let rows: Vec<&Lease> = self.view.leases.rows().collect();
        if context.undescribed().next().is_some() || !is_read(&rows, |row| self.part(row, now)) {
            return;
        }
        match self.schedule.reading_step() {
            ReadingStep::Wait => {}
            ReadingStep::Audit => self.audit(),
            ReadingStep::Finish => {
                self.told_read = true;
                let _ = self.news.send(ToRoot::Read);
            }
        }
    }

    fn part(&self, row: &Lease, now: Moment) -> LeaseDuty {
        let (members, timing) = (&self.view.members, &self.context.timing);
        if self.view.leases.is_engaged(&row.key) {
            return LeaseDuty::Mine;
        }
        if self
            .view
            .leases
            .get(&row.key)
            .is_some_and(LeaseEntry::is_read)
        {
            return LeaseDuty::Done;
        }
        // A row that has only been seen to be there may be what a crash has left: it is taken when
        // it expires.
        let is_kept = members.lease(row).moves() > 0;
        match row.actual_owner() {
            Some(owner)
                if is_kept
                    && owner != self.context.me()
                    && !members.is_dead(owner, now, timing) =>
            {
                LeaseDuty::Others
            }
            _ => LeaseDuty::Mine,
        }
    }
}
