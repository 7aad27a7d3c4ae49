/// How far a shard has been processed, by whomever, record by record.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The number of the event by which a record was done for the first time.
    done: Vec<u64>,
    /// Everything below is done.
    low: u32,
}

const NOT_DONE: u64 = u64::MAX;

impl Progress {
    /// The records of this range are done, by the event of this number.
    pub(super) fn mark(&mut self, from: u32, to: u32, number: u64) {
        if self.done.len() < to as usize {
            self.done.resize(to as usize, NOT_DONE);
        }
        for done in &mut self.done[from.min(to) as usize..to as usize] {
            *done = (*done).min(number);
        }
        while self
            .done
            .get(self.low as usize)
            .is_some_and(|done| *done != NOT_DONE)
        {
            self.low += 1;
        }
    }

    /// An operator has set the shard from the place of its checkpoint to another one, by the event of
    /// this number: what lies between them is not to be done any more, and what lies behind is to be
    /// done, again or for the first time.
    pub(super) fn seek(&mut self, from: u32, to: u32, number: u64) {
        if from < to {
            self.mark(from, to, number);
        }
        self.done.truncate(to as usize);
        self.low = self.low.min(to);
    }

    /// Whether the record was done before the event of this number.
    pub(crate) fn is_done_before(&self, index: u32, number: u64) -> bool {
        self.done
            .get(index as usize)
            .is_some_and(|done| *done < number)
    }

    pub(crate) fn is_done(&self, index: u32) -> bool {
        self.is_done_before(index, NOT_DONE)
    }

    /// The first record of the range that is not done.
    pub(crate) fn first_not_done(&self, from: u32, to: u32) -> Option<u32> {
        (from.max(self.low)..to).find(|index| !self.is_done(*index))
    }
}
