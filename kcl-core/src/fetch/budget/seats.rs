//! What each shard holds of the budget, with sums that are kept and not computed.

use std::collections::BTreeMap;

/// What each shard holds of the budget, and what is set aside for those that hold little.
///
/// Every request asks for the sum over all shards, thousands of times a second in a worker of
/// thousands of shards. So the sum is kept: a change of one shard changes it by that shard's part.
/// Only a shard that comes or goes changes the part of all others, and then it is made anew.
pub(super) struct Seats {
    /// The whole budget, in bytes.
    total: usize,
    /// The number of the next shard that comes. Numbers are never used again.
    next: u64,
    /// What each shard holds, by its number. A shard that has come and asked for nothing holds 0.
    held: BTreeMap<u64, usize>,
    /// The sum over all shards of what they hold.
    used: usize,
    /// The part of the budget that is set aside for one shard.
    reserve: usize,
    /// The sum over all shards of what is set aside for them beyond what they hold.
    unheld: usize,
    /// How many shards were looked at to make the sum.
    #[cfg(test)]
    pub(super) visited: usize,
}

impl Seats {
    /// All of it free. With no shard there is nothing to reserve it for, so the reserved half is
    /// one part.
    pub(super) const fn new(total: usize) -> Self {
        Self {
            total,
            next: 0,
            held: BTreeMap::new(),
            used: 0,
            reserve: total / 2,
            unheld: 0,
            #[cfg(test)]
            visited: 0,
        }
    }

    /// A shard comes: the parts of all others become smaller, for what they will ask next.
    pub(super) fn come(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        self.held.insert(id, 0);
        self.make_sum();
        id
    }

    /// Permits of this shard that are still out give their bytes back to the whole.
    pub(super) fn go(&mut self, seat: u64) {
        self.held.remove(&seat);
        self.make_sum();
    }

    /// Whether the shard is still there. A request of one that has gone is not served any more.
    pub(super) fn contains(&self, seat: u64) -> bool {
        self.held.contains_key(&seat)
    }

    /// What the shard holds; nothing if it has gone.
    pub(super) fn held(&self, seat: u64) -> usize {
        self.held.get(&seat).copied().unwrap_or_default()
    }

    /// What all of them hold, and those that have gone.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// What is set aside for one shard now: half of the budget, divided by the number of shards.
    pub(super) const fn reserve(&self) -> usize {
        self.reserve
    }

    /// What is held, or set aside for those who do not hold as much.
    pub(super) const fn committed(&self) -> usize {
        self.used + self.unheld
    }

    /// The same without what is set aside for this shard.
    pub(super) fn committed_beside(&self, seat: u64) -> usize {
        let own = self
            .held
            .get(&seat)
            .map_or(0, |held| self.reserve.saturating_sub(*held));
        self.committed() - own
    }

    /// What a shard holds changes, and with it the sums. What a shard that has gone still holds
    /// counts in `used` alone.
    pub(super) fn add(&mut self, seat: u64, more: usize, less: usize) {
        if let Some(held) = self.held.get_mut(&seat) {
            let before = self.reserve.saturating_sub(*held);
            *held = (*held + more).saturating_sub(less);
            self.unheld = self.unheld - before + self.reserve.saturating_sub(*held);
        }
        self.used = (self.used + more).saturating_sub(less);
    }

    /// Makes the sums anew: the part of every shard has changed.
    fn make_sum(&mut self) {
        self.reserve = self.total / (2 * self.held.len().max(1));
        self.unheld = self.counted();
        #[cfg(test)]
        {
            self.visited += self.held.len();
        }
    }

    /// The sum, made from what each shard holds.
    fn counted(&self) -> usize {
        self.held
            .values()
            .map(|held| self.reserve.saturating_sub(*held))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sum_that_is_kept_is_the_sum_over_all_shards(
            steps in prop::collection::vec((0_u8..8, 0_u64..12, 0_usize..300, 0_usize..300), 1..300),
        ) {
            let mut seats = Seats::new(1_000);
            for (step, seat, more, less) in steps {
                match step {
                    0 => _ = seats.come(),
                    1 => seats.go(seat),
                    _ => seats.add(seat, more, less.min(seats.held(seat) + more)),
                }
                prop_assert_eq!(seats.unheld, seats.counted());
                prop_assert_eq!(seats.committed(), seats.used() + seats.counted());
                let others: usize = seats
                    .held
                    .iter()
                    .filter(|(id, _)| **id != seat)
                    .map(|(_, held)| seats.reserve().saturating_sub(*held))
                    .sum();
                prop_assert_eq!(seats.committed_beside(seat), seats.used() + others);
                prop_assert_eq!(seats.reserve(), 1_000 / (2 * seats.held.len().max(1)));
            }
        }
    }
}
