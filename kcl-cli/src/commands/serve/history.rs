//! What a page draws of the past.

use std::collections::VecDeque;

use kcl_core::model::Timestamp;
use serde::Serialize;

use super::happening::Happening;

/// How many samples are kept: two hours at one in five seconds.
const SAMPLES: usize = 1440;
/// How many happenings are kept; the oldest ones are forgotten.
const HAPPENINGS: usize = 500;

/// The figures of a fleet at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Sample {
    /// In milliseconds since 1970.
    pub(super) at: i64,
    /// How far behind the lease is that is furthest behind; nothing where that is not known.
    pub(super) max_behind_seconds: Option<f64>,
    /// How far behind the lease in the middle is.
    pub(super) median_behind_seconds: Option<f64>,
    /// Over the last ten seconds.
    pub(super) checkpoints_per_second: f64,
}

/// A happening with its number and its time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    /// Grows by one from each to the next.
    pub(super) number: u64,
    /// When it was seen, in milliseconds since 1970.
    pub(super) at: i64,
    #[serde(flatten)]
    pub(super) what: Happening,
}

/// What a page draws of the past. It is kept in memory, is bounded, and is lost at the end.
///
/// A snapshot has a copy of it: some hundred kilobytes at most, and in return no lock between the
/// observer and those who read.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Oldest first, as a curve is drawn.
    samples: VecDeque<Sample>,
    happened: VecDeque<Entry>,
    /// The number of the newest happening. It also grows when old ones are forgotten, so that a
    /// page adds exactly those that it has not drawn.
    numbered: u64,
}

impl History {
    /// Adds a sample, in the place of the oldest one if there are many.
    pub(super) fn sample(&mut self, sample: Sample) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Adds a happening with the next number, by which a page tells new ones from old ones.
    pub(super) fn happened(&mut self, at: Timestamp, what: Happening) {
        if self.happened.len() == HAPPENINGS {
            self.happened.pop_front();
        }
        self.numbered += 1;
        self.happened.push_back(Entry {
            number: self.numbered,
            at: at.as_millis(),
            what,
        });
    }

    pub(super) fn samples(&self) -> &VecDeque<Sample> {
        &self.samples
    }

    pub(super) fn latest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// The newest so many happenings, newest first.
    pub(super) fn newest(&self, most: usize) -> impl Iterator<Item = &Entry> {
        self.happened.iter().rev().take(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::serve::happening::HappeningKind;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = History::default();
        for number in 0..5000 {
            let at = Timestamp::from_millis(number);
            history.sample(Sample {
                at: number,
                max_behind_seconds: None,
                median_behind_seconds: None,
                checkpoints_per_second: 0.0,
            });
            history.happened(
                at,
                Happening {
                    kind: HappeningKind::Joined,
                    from: None,
                    to: None,
                    leases: 0,
                    lease: None,
                    says: String::new(),
                },
            );
        }
        assert_eq!(
            (history.samples.len(), history.happened.len()),
            (SAMPLES, HAPPENINGS)
        );
        assert_eq!(history.latest().map(|it| it.at), Some(4999));
        let numbers: Vec<u64> = history.newest(2).map(|it| it.number).collect();
        assert_eq!(numbers, [5000, 4999]);
    }
}
