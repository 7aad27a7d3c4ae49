use std::ops::RangeInclusive;

use super::plain::Count;

/// How far the lines of one file's edition have been processed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The received lines, each once, in the order in which they were received.
    pub count: Count,
    /// The greatest received line number.
    pub last: u64,
    /// The smaller line numbers that are missing. Not stored: after a restart, a line that fills
    /// such a gap counts as a duplicate, but that run has failed already.
    holes: Vec<RangeInclusive<u64>>,
}

/// How a line was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Directly after the last one.
    InOrder,
    /// Too early or too late.
    OutOfOrder,
    /// A second time.
    Twice,
}

impl Counted {
    /// Restores it from the ledger.
    #[must_use]
    pub const fn stored(count: Count, last: u64) -> Self {
        Self {
            count,
            last,
            holes: Vec::new(),
        }
    }

    /// Counts a line. One that was received before changes nothing.
    pub fn take(&mut self, number: u64, text: &str) -> Came {
        let came = if number > self.last {
            let next = self.last + 1;
            self.last = number;
            if number == next {
                Came::InOrder
            } else {
                self.holes.push(next..=number - 1);
                Came::OutOfOrder
            }
        } else if self.fill(number) {
            Came::OutOfOrder
        } else {
            return Came::Twice;
        };
        self.count.add(text);
        came
    }

    /// Removes a line from the missing ones, and returns whether it was one.
    fn fill(&mut self, number: u64) -> bool {
        let Some(at) = self.holes.iter().position(|hole| hole.contains(&number)) else {
            return false;
        };
        let hole = self.holes.swap_remove(at);
        let parts = [*hole.start()..=number - 1, number + 1..=*hole.end()];
        self.holes
            .extend(parts.into_iter().filter(|part| !part.is_empty()));
        true
    }
}
