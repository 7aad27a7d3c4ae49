use std::ops::RangeInclusive;

use super::plain::Count;

/// How far the lines of one file's edition have been processed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The lines that came, each once, in the order in which they came.
    pub count: Count,
    /// The greatest number of a line that came.
    pub last: u64,
    /// The numbers below that have not come. Not stored: after a restart a line that fills one is
    /// taken for a duplicate, in a run that has failed already.
    holes: Vec<RangeInclusive<u64>>,
}

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The one after the last.
    InOrder,
    /// Before its turn or after it.
    OutOfOrder,
    /// Again.
    Twice,
}

impl Counted {
    /// As it was stored.
    #[must_use]
    pub const fn stored(count: Count, last: u64) -> Self {
        Self {
            count,
            last,
            holes: Vec::new(),
        }
    }

    /// Takes a line in; one that came before changes nothing.
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

    /// Whether the line was missing; it is not any more.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn take(counted: &mut Counted, numbers: impl IntoIterator<Item = u64>) -> Vec<Came> {
        numbers
            .into_iter()
            .map(|number| counted.take(number, &format!("line {number}")))
            .collect()
    }

    #[test]
    fn every_line_once_and_in_order_gives_the_plain_count() {
        let mut counted = Counted::default();
        assert!(
            take(&mut counted, 1..=5)
                .iter()
                .all(|came| *came == Came::InOrder)
        );
        assert_eq!(
            counted.count,
            Count::of("line 1\nline 2\nline 3\nline 4\nline 5", 5)
        );
    }

    #[test]
    fn what_comes_twice_late_or_never_is_told_apart() {
        let mut counted = Counted::default();
        take(&mut counted, 1..=2);
        assert_eq!(
            take(&mut counted, [2, 6, 4, 4, 7]),
            [
                Came::Twice,
                Came::OutOfOrder,
                Came::OutOfOrder,
                Came::Twice,
                Came::InOrder
            ]
        );
        assert_eq!(
            (counted.count.lines, counted.last),
            (5, 7),
            "3 and 5 are lost"
        );
        assert_eq!(
            take(&mut counted, [5, 3, 3]),
            [Came::OutOfOrder, Came::OutOfOrder, Came::Twice]
        );
        assert_eq!(counted.count.lines, counted.last);
        assert_ne!(
            counted.count.crc,
            Count::of(
                &(1..=7).map(|n| format!("line {n}\n")).collect::<String>(),
                7
            )
            .crc
        );
    }

    #[test]
    fn a_restart_goes_on_from_what_was_stored() {
        let mut counted = Counted::default();
        take(&mut counted, 1..=3);
        let mut again = Counted::stored(counted.count, counted.last);
        assert_eq!(take(&mut again, [3, 4]), [Came::Twice, Came::InOrder]);
    }
}
