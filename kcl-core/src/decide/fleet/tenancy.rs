//! The tenancies of this worker, from the acquisition of a lease to the moment when nobody in this
//! process works on it any more. Two things have to end for that, in either order: the writer, with
//! which the lease is given up, and the consumer, whose handler may be inside a call for long after.

use crate::decide::reading::PATIENCE;
use crate::model::{Lease, LeaseKey, Moment};

use super::engine::Engine;
use super::lease_entry::{HandedOver, LeaseWork};

/// What becomes of a lease that was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquiredLease {
    /// A consumer works on it.
    Work,
    /// It came too late, or in addition to others that filled the last place: it is given back at
    /// once.
    GiveBack,
    /// This worker is at work on it already, and two consumers of one shard must never be: the new
    /// tenancy is abandoned, and the next scan finds it.
    Abandon,
}

/// How a tenancy of this worker's ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenancyOutcome {
    /// The shard's end is stored.
    Ended,
    /// The lease was handed over: its row.
    HandedOver(Box<Lease>),
    /// It is free, or not this worker's any more. Whether it may be taken again at once is for the
    /// consumer to say: it may have been given up as unreadable.
    Over,
}

/// What follows for a lease that nobody works on any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It may be taken again.
    Nothing,
    /// Not at once.
    CoolDown,
    /// Not in this run: it was read up to the bound of the reading.
    Read,
}

/// The leases that this worker holds.
impl Engine {
    /// A lease was acquired: its row. `is_read`: its stream is one that this worker reads.
    pub fn acquired(
        &mut self,
        row: &Lease,
        is_read: bool,
        now: Moment,
        works: bool,
    ) -> AcquiredLease {
        let key = &row.key;
        match self.leases.work(key) {
            LeaseWork::Held { .. } | LeaseWork::HandlerLeft => return AcquiredLease::Abandon,
            LeaseWork::Nothing | LeaseWork::Taking => {}
        }
        let is_wanted = is_read && works && self.leases.held() < self.settings.max_leases;
        self.see(row.clone(), now);
        self.leases.hold(key, is_wanted);
        if is_wanted {
            AcquiredLease::Work
        } else {
            AcquiredLease::GiveBack
        }
    }

    /// A take has ended without the lease.
    pub fn take_ended(&mut self, key: &LeaseKey, now: Moment) {
        let is_idle = self.leases.take_ended(key);
        self.disengaged(is_idle, now);
    }

    /// A tenancy has ended. What the row is now is read by those who hear of it, this worker among
    /// them.
    pub fn tenancy_ended(&mut self, key: &LeaseKey, outcome: &TenancyOutcome, now: Moment) {
        let is_idle = self.leases.writer_ended(key);
        self.leases.forget(key, now);
        match outcome {
            TenancyOutcome::Ended => self.leases.forgive(key),
            TenancyOutcome::HandedOver(row) => {
                let handed_over = HandedOver {
                    counter: row.counter,
                    at: now,
                };
                self.leases.hand_over(key, handed_over);
                self.see((**row).clone(), now);
            }
            TenancyOutcome::Over => {}
        }
        self.disengaged(is_idle, now);
    }

    /// A consumer has ended.
    pub fn consumer_ended(&mut self, key: &LeaseKey, after: After, now: Moment) {
        match after {
            After::CoolDown => {
                let tries = self.settings.timing.failover * PATIENCE;
                self.leases.cool_down(key, now, tries);
            }
            After::Nothing => self.leases.forgive(key),
            After::Read => {
                self.leases.forgive(key);
                self.leases.finish_reading(key);
            }
        }
        let is_idle = self.leases.consumer_ended(key);
        self.disengaged(is_idle, now);
    }

    fn disengaged(&mut self, is_idle: bool, now: Moment) {
        if is_idle {
            self.schedule.disengaged(now, self.settings.reading_ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{FleetSettings, LeaseWork};
    use super::*;
    use crate::model::Checkpoint;

    fn engine() -> Engine {
        Engine::new(FleetSettings {
            max_leases: 1,
            ..FleetSettings::of_tests()
        })
    }

    fn row(key: &str) -> Lease {
        Lease::new(LeaseKey::single(key), Checkpoint::TrimHorizon).owned_by("ME".into(), "t".into())
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn no_lease_is_held_beyond_the_limit_or_worked_on_twice() {
        let mut engine = engine();
        let (one, two) = (row("1"), row("2"));
        assert_eq!(
            engine.acquired(&one, true, at(1), true),
            AcquiredLease::Work
        );
        assert_eq!(
            engine.acquired(&one, true, at(1), true),
            AcquiredLease::Abandon
        );
        assert_eq!(
            engine.acquired(&two, true, at(1), true),
            AcquiredLease::GiveBack
        );
        engine.tenancy_ended(&one.key, &TenancyOutcome::Over, at(2));
        assert_eq!(engine.leases.work(&one.key), LeaseWork::HandlerLeft);
        assert_eq!(
            engine.acquired(&one, true, at(2), true),
            AcquiredLease::Abandon
        );
        engine.consumer_ended(&one.key, After::Nothing, at(3));
        engine.tenancy_ended(&two.key, &TenancyOutcome::Over, at(3));
        assert_eq!(engine.leases.engaged(), 0);
        assert_eq!(
            engine.acquired(&one, true, at(4), false),
            AcquiredLease::GiveBack
        );
    }

    #[test]
    fn a_lease_of_a_stream_that_is_read_no_more_is_given_back() {
        let mut engine = engine();
        let given = engine.acquired(&row("1"), false, at(1), true);
        assert_eq!(given, AcquiredLease::GiveBack);
    }

    #[test]
    fn a_lease_that_is_given_up_is_left_alone_and_a_scan_follows() {
        let mut engine = engine();
        engine.schedule.scan_begins(at(1));
        engine.schedule.scan_ended();
        engine
            .schedule
            .seen(at(1), super::super::schedule::ScanPace::Alone);
        assert_eq!(engine.next_wakeup(at(1)), Some(at(31)));
        let one = row("1");
        engine.acquired(&one, true, at(2), true);
        engine.tenancy_ended(&one.key, &TenancyOutcome::Over, at(5));
        assert_eq!(engine.next_wakeup(at(5)), Some(at(31)), "a handler is left");
        engine.consumer_ended(&one.key, After::CoolDown, at(6));
        assert_eq!(engine.next_wakeup(at(6)), Some(at(8)));
        let is_busy = |now| engine.leases.get(&one.key).unwrap().is_busy(now);
        assert!(is_busy(at(6)) && !is_busy(at(7)));
    }
}
