//! What follows when an operator drains this worker: it takes nothing, and gives its leases up in
//! batches, so that the others never have to begin with all of them at the same time.
//!
//! ```text
//!   drained, and there are others     the first batch
//!   all of it is with others          the next one
//!   a failover time has passed        the next one: others may be full, or cannot reach the stream
//!   no other worker is left           it keeps what it has, and takes leases again
//! ```
//!
//! What nobody takes stays free: that is what the operator has asked for, and is told.

use std::time::Duration;

use crate::model::{LeaseKey, Moment};

use super::engine::Engine;

/// One batch is this part of what is held, but at least as many leases as may be requested at the same
/// time.
const PART: usize = 4;

/// The drain of a worker that others take over from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    /// When the last batch was given up; `None` before the first one.
    last: Option<Moment>,
}

/// What has become of the drain of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainChange {
    /// It has begun: this worker holds so many leases.
    Begins {
        /// What it holds.
        held: usize,
    },
    /// It has ended, by the operator or because there is no other worker.
    Ends,
}

impl Engine {
    /// Judges anew whether this worker is drained, and returns whether that has changed.
    pub fn see_drain(&mut self, now: Moment) -> Option<DrainChange> {
        let (me, timing) = (&self.settings.me, &self.settings.timing);
        let mut live = self.members.live(now, timing);
        if let Err(place) = live.binary_search(me) {
            live.insert(place, me.clone());
        }
        let is_drained = self.members.drained(&live).contains(me);
        match (self.drain, is_drained) {
            (None, true) => {
                self.drain = Some(Drain { last: None });
                Some(DrainChange::Begins {
                    held: self.leases.held(),
                })
            }
            (Some(_), false) => {
                self.drain = None;
                self.leases.keep_all();
                Some(DrainChange::Ends)
            }
            _ => None,
        }
    }

    /// The leases that this worker, as it is drained, gives up now; each is named once. None while it
    /// does not know how the others are.
    pub fn next_given_up(&mut self, now: Moment) -> Vec<LeaseKey> {
        let timing = &self.settings.timing;
        let Some(drain) = self.drain.filter(|_| self.members.is_watching(now, timing)) else {
            return Vec::new();
        };
        let (under_way, kept) = self.leases.given_up_and_kept(&self.settings.me);
        let since_last = drain.last.map(|last| now.since(last));
        let count = batch(
            kept.len(),
            under_way,
            since_last,
            self.settings.max_moves,
            timing.failover,
        );
        let next: Vec<LeaseKey> = kept.into_iter().take(count).collect();
        if !next.is_empty() {
            self.drain = Some(Drain { last: Some(now) });
            next.iter().for_each(|key| self.leases.give_up(key));
        }
        next
    }
}

/// How many of the leases that are `kept` are given up next, while others are `under_way`: given up,
/// and not seen with another worker.
fn batch(
    kept: usize,
    under_way: usize,
    since_last: Option<Duration>,
    at_least: usize,
    limit: Duration,
) -> usize {
    let waits = under_way > 0 && since_last.is_some_and(|since| since < limit);
    if waits {
        0
    } else {
        (kept / PART).max(at_least).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::FleetSettings;
    use super::*;
    use crate::decide::fleet::Scan;
    use crate::lease::{ScanPage, WorkerRow};
    use crate::model::{Checkpoint, Lease};

    const F: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    fn worker(name: &str, counter: u64, drains: u64) -> WorkerRow {
        WorkerRow {
            counter,
            drains: Some(drains),
            ..WorkerRow::new(name.into(), name.into(), F)
        }
    }

    fn lease(shard: u32, owner: &str) -> Lease {
        let lease = Lease::new(
            LeaseKey::single(format!("{shard:02}")),
            Checkpoint::TrimHorizon,
        );
        lease.owned_by(owner.into(), owner.into())
    }

    fn engine(max_moves: usize, leases: u32) -> Engine {
        let mut engine = Engine::new(FleetSettings {
            max_moves,
            ..FleetSettings::of_tests()
        });
        for shard in 0..leases {
            engine.acquired(&lease(shard, "ME"), true, at(0), true);
        }
        engine
    }

    fn look(
        engine: &mut Engine,
        when: u64,
        workers: &[WorkerRow],
        free: u32,
        theirs: u32,
        all: u32,
    ) {
        let owner = |shard| match shard {
            _ if shard < theirs => lease(shard, "B"),
            _ if shard < theirs + free => Lease::new(lease(shard, "").key, Checkpoint::TrimHorizon),
            _ => lease(shard, "ME"),
        };
        let rows: Vec<Lease> = (0..all)
            .map(|shard| Lease {
                counter: when + 10,
                ..owner(shard)
            })
            .collect();
        let page = ScanPage {
            leases: rows,
            workers: workers.to_vec(),
            ..ScanPage::default()
        };
        engine.scanned(Scan::new(page, at(when), at(when)));
    }

    #[test]
    fn leases_are_given_up_in_batches_as_others_take_them() {
        let mut engine = engine(2, 12);
        let beat = |counter, drains| [worker("B", counter, 0), worker("ME", counter, drains)];
        look(&mut engine, 2, &beat(1, 0), 0, 0, 12);
        assert_eq!(engine.see_drain(at(2)), None);
        assert!(engine.next_given_up(at(2)).is_empty());
        look(&mut engine, 4, &beat(2, 1), 0, 0, 12);
        assert_eq!(
            engine.see_drain(at(4)),
            Some(DrainChange::Begins { held: 12 })
        );
        assert_eq!(engine.room(), 0);
        assert_eq!(engine.next_given_up(at(4)).len(), 3, "a quarter");
        assert!(engine.next_given_up(at(5)).is_empty(), "each once");
        for shard in 0..3 {
            let key = lease(shard, "ME").key;
            engine.leases.consumer_ended(&key);
            engine.leases.writer_ended(&key);
        }
        look(&mut engine, 6, &beat(3, 1), 3, 0, 12);
        assert!(engine.next_given_up(at(6)).is_empty(), "nobody has them");
        look(&mut engine, 8, &beat(4, 1), 0, 3, 12);
        assert_eq!(engine.next_given_up(at(8)).len(), 2, "at least two");
        look(&mut engine, 16, &beat(5, 1), 2, 3, 12);
        look(&mut engine, 18, &beat(6, 1), 2, 3, 12);
        assert_eq!(engine.next_given_up(at(18)).len(), 2, "nobody takes them");
        look(&mut engine, 20, &beat(7, 2), 2, 3, 12);
        assert_eq!(engine.see_drain(at(20)), Some(DrainChange::Ends));
        assert!(engine.next_given_up(at(20)).is_empty());
        assert!(engine.room() > 0);
    }

    #[test]
    fn who_is_alone_or_drained_with_all_keeps_its_leases() {
        let mut engine = engine(2, 4);
        look(&mut engine, 2, &[worker("ME", 1, 1)], 0, 0, 4);
        assert_eq!(engine.see_drain(at(2)), None);
        let both = [worker("B", 1, 1), worker("ME", 2, 1)];
        look(&mut engine, 4, &both, 0, 0, 4);
        assert_eq!(engine.see_drain(at(4)), None);
    }

    #[test]
    fn the_next_batch_waits_for_the_last_one_but_not_for_ever() {
        let after = |under_way, millis: u64| {
            batch(100, under_way, Some(Duration::from_millis(millis)), 8, F)
        };
        assert_eq!(batch(100, 0, None, 8, F), 25);
        assert_eq!(batch(10, 0, None, 8, F), 8);
        assert_eq!(after(1, 9_999), 0);
        assert_eq!(after(1, 10_000), 25);
        assert_eq!(after(0, 1), 25);
    }
}
