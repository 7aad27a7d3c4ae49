//! The end of a reading that ends.

use crate::decide::fleet::ReadingStep;
use crate::model::Moment;

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
        if context.undescribed().next().is_some() || !self.engine.is_read(now) {
            return;
        }
        match self.engine.schedule.reading_step() {
            ReadingStep::Wait => {}
            ReadingStep::Audit => self.audit(),
            ReadingStep::Finish => {
                self.told_read = true;
                let _ = self.news.send(ToRoot::Read);
            }
        }
    }
}
