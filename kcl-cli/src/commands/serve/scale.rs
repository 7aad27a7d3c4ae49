//! How many workers a fleet should have. A pure function: no clock, no table.
//!
//! ```text
//!  weight of a readable lease    1, or 1 + (behind - tolerated) / catch_up_within, at most a whole worker
//!  workers                       sum of the weights / shards_per_worker, rounded up
//!                                at most one per readable lease, within min and max
//! ```
//!
//! With 8 shards per worker, 16 leases that keep pace want 2 workers. If one of them is 10 minutes
//! behind what is tolerated and has 10 minutes to catch up, it weighs 2, and the fleet wants 3.
//!
//! KEDA asks every few seconds and does what it is told, so the answer must not swing: it depends
//! on the number of leases and on lags of minutes, not on the last second's traffic.

use std::time::Duration;

use serde::Serialize;

/// What the operator wants of a fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScaleRules {
    /// How many shards one worker reads with ease.
    pub(super) shards_per_worker: f64,
    /// A lease that is less far behind than this asks for nothing.
    pub(super) tolerated: Duration,
    /// The time in which a lease that is further behind should have caught up.
    pub(super) catch_up_within: Duration,
    /// Never fewer workers.
    pub(super) min: usize,
    /// Never more.
    pub(super) max: usize,
}

/// How far behind a lease is that can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// The age of its first record that is not done.
    pub(super) behind: Duration,
    /// Whether it may be less far behind: its worker names others that are further behind.
    pub(super) at_most: bool,
    /// How many seconds of the stream it gets through in a second: 1 keeps pace with the producers,
    /// 0 stands still. Nothing before it has been measured.
    pub(super) speed: Option<f64>,
}

/// What a fleet has to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Demand {
    /// The workers that are not known to be dead or leaving.
    pub(super) workers: usize,
    /// The leases that can be read now: neither finished nor waiting for a parent.
    pub(super) readable: usize,
    /// Those of which it is known how far behind they are; nothing where the stream is not asked.
    pub(super) paces: Option<Vec<Pace>>,
    /// What a worker has been seen to get through when it had more to do than it could: see
    /// [`measured`].
    pub(super) measured: Option<f64>,
}

/// How many workers a fleet should have, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Wanted {
    /// What KEDA takes as the number of replicas.
    pub(super) wanted_workers: usize,
    /// How many there are now.
    pub(super) workers: usize,
    /// How many leases can be read now.
    pub(super) readable_leases: usize,
    /// Further behind than is tolerated, and moving.
    pub(super) behind_leases: usize,
    /// Further behind than is tolerated, and standing still: another worker would stand still there
    /// too, so they ask for none.
    pub(super) standing_leases: usize,
    /// What a worker is taken to get through, in shards at the pace of their producers.
    pub(super) shards_per_worker: f64,
    /// The rule that decided, as a sentence.
    pub(super) why: String,
}

/// Slower than this is standing still: a twentieth of the producers' pace.
const STANDING: f64 = 0.05;

/// The workers that are wanted.
///
/// Each readable lease weighs one shard; one that is behind weighs as much more as it must read
/// faster than its producers write to have caught up in time. The sum is divided by what a worker
/// gets through. One shard is read by one worker, however far behind it is, so that no lease weighs
/// more than a whole worker, and there are never more workers than readable leases.
pub(super) fn wanted(demand: &Demand, rules: &ScaleRules) -> Wanted {
    let per_worker = demand
        .measured
        .map_or(rules.shards_per_worker, |seen| {
            seen.min(rules.shards_per_worker)
        })
        .max(1.0);
    let (mut weight, mut behind, mut standing) = (demand.readable as f64, 0, 0);
    for pace in demand.paces.iter().flatten() {
        let over = pace.behind.saturating_sub(rules.tolerated);
        // A bound says of no single lease that it is late. The stream is asked where it is vague, so
        // that this is so only without the stream.
        if over.is_zero() || pace.at_most {
            continue;
        }
        if pace.speed.is_some_and(|speed| speed < STANDING) {
            standing += 1;
            continue;
        }
        behind += 1;
        let more = over.as_secs_f64() / rules.catch_up_within.as_secs_f64().max(1.0);
        weight += more.min(per_worker - 1.0);
    }
    let needed = ceil(weight / per_worker);
    let capped = needed.min(demand.readable);
    let workers = capped.clamp(rules.min, rules.max.max(rules.min));
    let why = match () {
        () if demand.readable == 0 => "no lease can be read now".to_owned(),
        () if workers > capped => "the least that is allowed".to_owned(),
        () if workers < capped => "the most that is allowed".to_owned(),
        () if capped < needed => "one for each lease: more would have nothing to read".to_owned(),
        () if demand.paces.is_none() => {
            "by the number of leases alone: lag is not measured".to_owned()
        }
        () if behind > 0 => format!("{behind} of {} leases are behind", demand.readable),
        () if standing > 0 => {
            format!("{standing} leases stand still, which more workers do not mend")
        }
        () => "nothing is behind".to_owned(),
    };
    Wanted {
        wanted_workers: workers,
        workers: demand.workers,
        readable_leases: demand.readable,
        behind_leases: behind,
        standing_leases: standing,
        shards_per_worker: per_worker,
        why,
    }
}

/// What one worker gets through, in shards at the pace of their producers, where that can be seen:
/// at least half of the leases are behind and move, so that the workers have all that they can do.
///
/// A fleet that keeps up shows nothing: its workers may be idle most of the time.
pub(super) fn measured(demand: &Demand, rules: &ScaleRules) -> Option<f64> {
    let paces = demand.paces.as_ref()?;
    let known: Vec<(Duration, f64)> = paces
        .iter()
        .filter(|pace| !pace.at_most)
        .filter_map(|pace| Some((pace.behind, pace.speed?)))
        .collect();
    let is_late =
        |(behind, speed): &&(Duration, f64)| *behind > rules.tolerated && *speed >= STANDING;
    let late = known.iter().filter(is_late).count();
    if demand.workers == 0 || late == 0 || late * 2 < demand.readable {
        return None;
    }
    Some(known.iter().map(|(_, speed)| speed).sum::<f64>() / demand.workers as f64)
}

/// Rounds up to a count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of workers: a float that is too large saturates"
)]
fn ceil(number: f64) -> usize {
    number.max(0.0).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ScaleRules = ScaleRules {
        shards_per_worker: 8.0,
        tolerated: Duration::from_secs(60),
        catch_up_within: Duration::from_secs(600),
        min: 1,
        max: 100,
    };

    fn demand(workers: usize, readable: usize, paces: &[(u64, f64)]) -> Demand {
        let pace = |(behind, speed): &(u64, f64)| Pace {
            behind: Duration::from_secs(*behind),
            at_most: false,
            speed: Some(*speed),
        };
        Demand {
            workers,
            readable,
            paces: Some(paces.iter().map(pace).collect()),
            measured: None,
        }
    }

    fn count(demand: &Demand) -> usize {
        wanted(demand, &RULES).wanted_workers
    }

    #[test]
    fn a_fleet_that_keeps_pace_has_a_worker_for_each_so_many_shards() {
        let fresh = |shards: usize| count(&demand(3, shards, &vec![(2, 1.0); shards]));
        assert_eq!((fresh(1), fresh(8), fresh(9), fresh(80)), (1, 1, 2, 10));
    }

    #[test]
    fn what_is_behind_asks_for_as_many_as_catch_up_in_time() {
        // 16 shards, 11 minutes behind: each has to read twice as fast as its producers write.
        let late = demand(2, 16, &[(660, 1.0); 16]);
        let said = wanted(&late, &RULES);
        assert_eq!((said.wanted_workers, said.behind_leases), (4, 16));
        assert_eq!(said.why, "16 of 16 leases are behind");
    }

    #[test]
    fn what_is_tolerated_asks_for_nothing() {
        assert_eq!(count(&demand(2, 16, &[(60, 0.0); 16])), 2);
    }

    #[test]
    fn one_shard_never_asks_for_more_than_a_worker() {
        let mut paces = vec![(0, 1.0); 7];
        paces.push((1_000_000, 1.0));
        assert_eq!(count(&demand(1, 8, &paces)), 2);
        assert_eq!(count(&demand(1, 1, &[(1_000_000, 1.0)])), 1);
    }

    #[test]
    fn a_shard_that_stands_still_asks_for_no_worker() {
        let stuck = demand(1, 8, &[(7200, 0.0); 8]);
        let said = wanted(&stuck, &RULES);
        assert_eq!((said.wanted_workers, said.standing_leases), (1, 8));
        assert!(said.why.contains("stand still"), "{}", said.why);
    }

    #[test]
    fn a_bound_asks_for_no_worker() {
        let mut late = demand(1, 8, &[(660, 1.0); 8]);
        assert_eq!(count(&late), 2);
        late.paces
            .as_mut()
            .unwrap()
            .iter_mut()
            .for_each(|it| it.at_most = true);
        assert_eq!((count(&late), measured(&late, &RULES)), (1, None));
    }

    #[test]
    fn a_lag_whose_speed_is_not_known_yet_counts() {
        let mut late = demand(1, 4, &[(6060, 1.0); 4]);
        late.paces
            .as_mut()
            .unwrap()
            .iter_mut()
            .for_each(|it| it.speed = None);
        assert_eq!(count(&late), 4);
    }

    #[test]
    fn what_was_measured_replaces_what_was_declared() {
        // One worker reads 8 shards at half the pace of their producers.
        let mut late = demand(1, 8, &[(660, 0.5); 8]);
        assert_eq!(count(&late), 2);
        late.measured = measured(&late, &RULES);
        assert_eq!(late.measured, Some(4.0));
        assert_eq!(count(&late), 4);
        // It is remembered when all have caught up, or the fleet would fall behind again.
        let mut fresh = demand(4, 8, &[(1, 1.0); 8]);
        assert_eq!(measured(&fresh, &RULES), None);
        fresh.measured = Some(4.0);
        assert_eq!(count(&fresh), 2);
        // More than was declared is not believed: a short rush is no rate.
        fresh.measured = Some(50.0);
        assert_eq!(count(&fresh), 1);
    }

    #[test]
    fn nothing_is_measured_of_workers_that_have_time_to_spare() {
        let mut paces = vec![(0, 1.0); 7];
        paces.push((660, 0.5));
        assert_eq!(measured(&demand(1, 8, &paces), &RULES), None);
        assert_eq!(measured(&demand(0, 1, &[(660, 1.0)]), &RULES), None);
    }

    #[test]
    fn the_bounds_hold_and_say_so() {
        let none = wanted(&demand(0, 0, &[]), &RULES);
        assert_eq!(
            (none.wanted_workers, none.why.as_str()),
            (1, "no lease can be read now")
        );
        let zero = ScaleRules { min: 0, ..RULES };
        assert_eq!(wanted(&demand(0, 0, &[]), &zero).wanted_workers, 0);
        let few = ScaleRules { max: 3, ..RULES };
        let said = wanted(&demand(1, 80, &[]), &few);
        assert_eq!(
            (said.wanted_workers, said.why.as_str()),
            (3, "the most that is allowed")
        );
        let many = ScaleRules { min: 5, ..RULES };
        let said = wanted(&demand(1, 8, &[]), &many);
        assert_eq!(
            (said.wanted_workers, said.why.as_str()),
            (5, "the least that is allowed")
        );
    }

    #[test]
    fn without_a_lag_the_leases_are_counted() {
        let mut unknown = demand(2, 20, &[]);
        unknown.paces = None;
        let said = wanted(&unknown, &RULES);
        assert_eq!(said.wanted_workers, 3);
        assert!(said.why.contains("not measured"), "{}", said.why);
    }
}
