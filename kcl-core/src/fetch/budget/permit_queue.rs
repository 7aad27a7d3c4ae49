use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::Permit;

/// A request that waits. One that was dropped is recognised by its closed channel.
pub(super) struct PermitWaiter {
    /// The shard that it is counted for.
    pub(super) seat: u64,
    /// How many bytes it asks for.
    pub(super) want: usize,
    /// Where its permit goes. If nobody takes it any more, the bytes go back at once.
    pub(super) grant: oneshot::Sender<Permit>,
}

/// Those who wait for permits, in the order of asking, and by shard.
///
/// Memory that is given back concerns the first of them, and the shard that gave it back, which may
/// hold nothing now. So it is given on without looking at all others, of whom there are thousands in
/// a worker of thousands of shards.
#[derive(Default)]
pub(super) struct PermitQueue {
    /// The number of the next request: the order of asking.
    next: u64,
    /// All that wait, by number. Some of them may have given up, which is noticed when their turn
    /// comes.
    waiting: BTreeMap<u64, PermitWaiter>,
    /// The same by shard and number.
    of_shard: BTreeSet<(u64, u64)>,
    /// How many of those who wait were looked at.
    #[cfg(test)]
    pub(super) visited: usize,
}

impl PermitQueue {
    /// Adds a request behind all others.
    pub(super) fn push(&mut self, waiter: PermitWaiter) {
        // A shard asks again after it gave up: what it asked for before is not wanted any more.
        self.clean(waiter.seat, |waiter| waiter.grant.is_closed());
        let number = self.next;
        self.next += 1;
        self.of_shard.insert((waiter.seat, number));
        self.waiting.insert(number, waiter);
    }

    /// The first who still waits.
    pub(super) fn first(&mut self) -> Option<&PermitWaiter> {
        while let Some(entry) = self.waiting.first_entry() {
            #[cfg(test)]
            {
                self.visited += 1;
            }
            if !entry.get().grant.is_closed() {
                break;
            }
            let number = *entry.key();
            self.remove(number);
        }
        self.waiting.first_key_value().map(|(_, waiter)| waiter)
    }

    /// Takes the first out of the queue.
    pub(super) fn take_first(&mut self) -> Option<PermitWaiter> {
        let number = *self.waiting.first_key_value()?.0;
        self.remove(number)
    }

    /// The first of this shard.
    pub(super) fn take_of(&mut self, seat: u64) -> Option<PermitWaiter> {
        self.clean(seat, |waiter| waiter.grant.is_closed());
        let (_, number) = *self.of_shard.range((seat, 0)..).next()?;
        let is_own = self.waiting.get(&number)?.seat == seat;
        if is_own { self.remove(number) } else { None }
    }

    /// The shard has gone.
    pub(super) fn leave(&mut self, seat: u64) {
        self.clean(seat, |_| true);
    }

    /// Removes the requests of a shard that are over. A shard has one or two, so this looks at no
    /// other.
    fn clean(&mut self, seat: u64, is_over: impl Fn(&PermitWaiter) -> bool) {
        let own: Vec<_> = self
            .of_shard
            .range((seat, 0)..=(seat, u64::MAX))
            .map(|(_, number)| *number)
            .collect();
        for number in own {
            #[cfg(test)]
            {
                self.visited += 1;
            }
            if self.waiting.get(&number).is_none_or(&is_over) {
                self.remove(number);
            }
        }
    }

    /// Removes one from both orders.
    fn remove(&mut self, number: u64) -> Option<PermitWaiter> {
        let waiter = self.waiting.remove(&number)?;
        self.of_shard.remove(&(waiter.seat, number));
        Some(waiter)
    }
}
