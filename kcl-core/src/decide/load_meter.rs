//! How the owner of a lease measures what its shard carries.
//!
//! ```text
//!   bytes and records that were taken in     ---+
//!   how far the shard was read, as a moment  ---+--> bytes and records per second *of the stream*
//! ```
//!
//! The rate is by the stream's time and not by the worker's. A worker that reads a backlog takes in
//! ten times what arrives, and one that cannot keep up takes in less: by its own time, the shards of
//! the slowest worker would seem to carry the least, and it would be given more. What is taken in
//! while the reading moves on by a second of the stream is what arrived in that second, however long
//! the worker needs for it. At the tip both times are the same.
//!
//! What the stream held when the lease changed hands was measured by the owner before, and what that has
//! found stands until the reading has come so far. An application that stores no checkpoints reads the
//! whole shard again after each move: taken for what arrives, that would be a reason for the next one.
//!
//! Old seconds count less and less, by half after [`HALF_LIFE`], so that a burst moves nothing.

use std::time::Duration;

use crate::model::{Moment, Throughput};

/// After how long a second of the stream counts half. A renewal comes each 3.3 s by default, so the
/// rate is a mean of some thirteen of them: noise of 20 % in each is 4 % in the mean.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// How much of the stream must have been read before a rate is known. A shard that was just opened
/// gives its first page at once, and a rate of that would be nonsense.
const LEAST: Duration = Duration::from_secs(5);

/// All that a consumer has taken in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intake {
    /// The data of the records, in bytes.
    pub bytes: u64,
    /// The records.
    pub records: u64,
    /// How far the newest batch was behind the tip when it was taken in; `None` before there was
    /// one that said so.
    pub behind: Option<Duration>,
}

/// Measures what the shard of one lease carries.
#[derive(Clone, Debug)]
pub struct LoadMeter {
    /// Of what was taken in, as much as counts still.
    bytes: f64,
    records: f64,
    /// Of the stream's time that was read, in seconds, as much as counts still.
    span: f64,
    /// Whether the owner before has measured the shard.
    goes_on: bool,
    /// When it was first asked, in seconds of the clock.
    begun: Option<f64>,
    /// What was taken in when it was last asked for.
    taken: Intake,
    /// How far the shard had been read then, in seconds of the clock. That may be before its
    /// origin. `None` before the first answer of the stream.
    read_to: Option<f64>,
}

impl LoadMeter {
    /// The meter of a lease that was just acquired. It goes on from what the owner before has
    /// measured: otherwise each move would make a shard look idle for a while, and leases would move
    /// because of that.
    #[must_use]
    pub fn new(known: Option<Throughput>) -> Self {
        let goes_on = known.is_some();
        let span = if goes_on {
            HALF_LIFE.as_secs_f64() / std::f64::consts::LN_2
        } else {
            0.0
        };
        let known = known.unwrap_or_default();
        Self {
            bytes: known.bytes as f64 * span,
            records: known.records as f64 * span,
            span,
            goes_on,
            begun: None,
            taken: Intake::default(),
            read_to: None,
        }
    }

    /// Adds what was taken in until `now`, and returns the rate, if one is known. While a handler is
    /// inside a call nothing can be taken in: then `now` is when the call began. `is_read` says
    /// that the stream has answered since the lease was acquired: a shard that waits for its parents
    /// carries nothing yet, which says nothing about it.
    pub fn measure(&mut self, taken: Intake, now: Moment, is_read: bool) -> Option<Throughput> {
        let clock = now.since_origin().as_secs_f64();
        let begun = *self.begun.get_or_insert(clock);
        if is_read {
            // How far the shard was read goes back when the newest batch has waited for its
            // handler: then no time is added until it has caught up.
            let behind = taken.behind.unwrap_or_default().as_secs_f64();
            let read_to = clock - behind;
            if self.goes_on && self.read_to.is_none() {
                self.taken = taken;
                if read_to < begun {
                    return self.rate();
                }
            }
            let before = *self.read_to.get_or_insert(read_to);
            self.read_to = Some(before.max(read_to));
            self.add(taken, (read_to - before).max(0.0));
        }
        self.rate()
    }

    fn add(&mut self, taken: Intake, read: f64) {
        let kept = (-read / HALF_LIFE.as_secs_f64()).exp2();
        let grown = |now: u64, before: u64| now.saturating_sub(before) as f64;
        self.bytes = self.bytes * kept + grown(taken.bytes, self.taken.bytes);
        self.records = self.records * kept + grown(taken.records, self.taken.records);
        self.span = self.span * kept + read;
        self.taken = taken;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are not negative, and above the range the greatest number is as good"
    )]
    fn rate(&self) -> Option<Throughput> {
        let per_second = |sum: f64| (sum / self.span).round() as u64;
        (self.span >= LEAST.as_secs_f64()).then(|| Throughput {
            bytes: per_second(self.bytes),
            records: per_second(self.records),
        })
    }
}

/// Whether what is stored of a shard misleads those who balance by it, so that it is worth a write of
/// its own: the shard carries less than half or more than twice as much `now`, and the difference is
/// more than 1 KiB a second. Many shards that are quiet by now would together pass for a load otherwise.
#[must_use]
pub fn is_worth_a_write(stored: Option<Throughput>, now: Option<Throughput>) -> bool {
    let Some(now) = now.map(Throughput::weight) else {
        return false;
    };
    let stored = stored.map_or(0, Throughput::weight);
    let (less, more) = (stored.min(now), stored.max(now));
    more / 2 > less && more - less > 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Moment {
        Moment::from_origin(Duration::from_secs_f64(1000.0 + seconds))
    }

    fn taken(bytes: f64, behind: f64) -> Intake {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a test"
        )]
        let bytes = bytes as u64;
        Intake {
            bytes,
            records: bytes / 100,
            behind: Some(Duration::from_secs_f64(behind)),
        }
    }

    /// The rate in bytes after `seconds` of reading, asked for each 3 s.
    fn run(
        meter: &mut LoadMeter,
        from: u32,
        seconds: u32,
        read: impl Fn(f64) -> Intake,
    ) -> Option<u64> {
        let mut rate = None;
        for second in (from..=from + seconds).step_by(3) {
            let second = f64::from(second);
            rate = meter.measure(read(second), at(second), true);
        }
        rate.map(|rate| rate.bytes)
    }

    #[test]
    fn only_a_load_that_halves_or_doubles_is_worth_a_write() {
        let load = |kib: u64| {
            Some(Throughput {
                bytes: kib * 1024,
                records: 0,
            })
        };
        let differs = is_worth_a_write;
        assert!(differs(load(1000), load(400)) && differs(load(0), load(100)));
        assert!(!differs(load(1000), load(600)) && !differs(load(1), load(0)));
        assert!(differs(None, load(100)) && !differs(load(100), None));
    }

    #[test]
    fn a_steady_shard_at_its_tip_carries_what_is_taken_in() {
        let mut meter = LoadMeter::new(None);
        assert_eq!(meter.measure(taken(0.0, 0.0), at(0.0), true), None);
        assert_eq!(meter.measure(taken(3000.0, 0.0), at(3.0), true), None);
        let rate = meter.measure(taken(6000.0, 0.0), at(6.0), true);
        let expected = Throughput {
            bytes: 1000,
            records: 10,
        };
        assert_eq!(rate, Some(expected));
        let rate = run(&mut meter, 9, 300, |second| taken(1000.0 * second, 0.0));
        assert_eq!(rate, Some(1000));
    }

    /// It arrives with 1,000 bytes a second, and is read twenty times as fast; then the worker falls
    /// behind by half a second each second, and it is the same.
    #[test]
    fn neither_a_backlog_nor_a_slow_worker_changes_the_rate() {
        let mut meter = LoadMeter::new(None);
        let rate = run(&mut meter, 0, 60, |second| {
            taken(20_000.0 * second, 2000.0 - 19.0 * second)
        });
        assert_eq!(rate, Some(1000));

        let mut meter = LoadMeter::new(None);
        let rate = run(&mut meter, 0, 600, |second| {
            taken(500.0 * second, 10.0 + 0.5 * second)
        });
        assert_eq!(rate, Some(1000));
    }

    /// A handler that takes a minute, in which the clock is held: nothing is taken in, and then what has waited, in a moment.
    #[test]
    fn a_wait_for_a_handler_is_no_idle_minute() {
        let mut meter = LoadMeter::new(Some(Throughput {
            bytes: 1000,
            records: 10,
        }));
        let steady = |second: f64| taken(1000.0 * second, 0.0);
        run(&mut meter, 0, 300, steady);
        // What was taken in first after it says that it was read a minute late.
        for _ in 0..20 {
            let rate = meter.measure(steady(300.0), at(300.0), true);
            assert_eq!(rate.map(|rate| rate.bytes), Some(1000));
        }
        let late = run(&mut meter, 363, 0, |_| taken(303_000.0, 60.0));
        assert_eq!(late, Some(1000));
        assert_eq!(run(&mut meter, 366, 30, steady), Some(1000));
    }

    /// A batch that is older than what had seemed to be read adds its bytes and no time.
    #[test]
    fn a_late_batch_counts_and_its_time_does_not_count_twice() {
        let mut meter = LoadMeter::new(None);
        run(&mut meter, 0, 300, |second| taken(1000.0 * second, 0.0));
        let idle = run(&mut meter, 303, 57, |_| taken(300_000.0, 0.0));
        let late = run(&mut meter, 363, 0, |_| taken(303_000.0, 60.0));
        assert!(late > idle, "{idle:?}, then {late:?}");
    }

    #[test]
    fn half_of_what_a_shard_carried_is_forgotten_in_half_a_minute() {
        let known = Throughput {
            bytes: 1000,
            records: 10,
        };
        let mut meter = LoadMeter::new(Some(known));
        let idle = |_: f64| taken(0.0, 0.0);
        assert_eq!(
            meter.measure(Intake::default(), at(0.0), false),
            Some(known)
        );
        assert_eq!(run(&mut meter, 0, 30, idle), Some(491));
        assert_eq!(run(&mut meter, 33, 600, idle), Some(0));
    }

    /// A shard of which the owner before has measured 1,000 bytes a second is read again from its
    /// beginning, when five times as much arrived. After that, 2,000 bytes a second arrive.
    #[test]
    fn what_is_read_again_after_a_move_counts_for_nothing() {
        let mut meter = LoadMeter::new(Some(Throughput {
            bytes: 1000,
            records: 10,
        }));
        let again = run(&mut meter, 0, 57, |second| {
            taken(100_000.0 * second, 1200.0 - 20.0 * second)
        });
        assert_eq!(again, Some(1000));
        let read = |second: f64| taken(6_000_000.0 + 2000.0 * (second - 60.0), 0.0);
        assert_eq!(run(&mut meter, 60, 0, read), Some(1000));
        assert_eq!(run(&mut meter, 63, 600, read), Some(2000));
    }

    /// It waits for its parents: nothing is read, and nothing is known.
    #[test]
    fn a_shard_that_is_not_read_yet_is_not_idle() {
        let mut meter = LoadMeter::new(None);
        for second in 0..60 {
            let rate = meter.measure(Intake::default(), at(f64::from(second)), false);
            assert_eq!(rate, None);
        }
    }
}
