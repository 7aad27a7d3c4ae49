use std::collections::BTreeMap;

use crate::model::Position;

/// The records of a shard that have failed and are not done, each with its number of failed
/// attempts.
#[derive(Debug, Default)]
pub(crate) struct FailingRecords {
    failures: BTreeMap<Position, u32>,
    /// How many records have each number of failed attempts.
    counts: BTreeMap<u32, usize>,
}

impl FailingRecords {
    pub(crate) fn failed(&mut self, at: &Position, times: u32) {
        self.passed(at);
        let times = times.max(1);
        self.failures.insert(at.clone(), times);
        *self.counts.entry(times).or_default() += 1;
    }

    /// Removes a record that is done or given up, and returns whether it had failed.
    pub(crate) fn passed(&mut self, at: &Position) -> bool {
        let Some(times) = self.failures.remove(at) else {
            return false;
        };
        if let Some(count) = self.counts.get_mut(&times) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&times);
            }
        }
        true
    }

    /// The highest number of failed attempts; 0 if no record is failing.
    pub(crate) fn most(&self) -> u32 {
        self.counts.last_key_value().map_or(0, |(times, _)| *times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SequenceNumber;

    #[test]
    fn a_record_fails_until_it_is_passed_whatever_others_do() {
        let at = |number| Position::from(SequenceNumber::from_u128(number));
        let mut failing = FailingRecords::default();
        assert_eq!((failing.most(), failing.passed(&at(1))), (0, false));
        failing.failed(&at(1), 1);
        failing.failed(&at(1), 2);
        failing.failed(&at(2), 1);
        failing.failed(&at(3), 1);
        assert_eq!(failing.most(), 2);
        assert_eq!((failing.passed(&at(3)), failing.most()), (true, 2));
        assert_eq!((failing.passed(&at(1)), failing.most()), (true, 1));
        assert_eq!((failing.passed(&at(1)), failing.most()), (false, 1));
        assert_eq!((failing.passed(&at(2)), failing.most()), (true, 0));
    }
}
