//! Fleets with loads: they come to rest, in a state in which no worker carries much more than the
//! others, with few moves; and noise does not move them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fleet_test::TestFleet;
use super::load::{LIGHT, Share};
use crate::model::Capacity;

const SEEDS: u64 = 2;
const KIB: u64 = 1024;

/// The load of each of so many shards: the greatest is `most` bytes a second, and the one of rank k is
/// that over k to the power of 1.1. In an order of no meaning.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates"
)]
fn zipf(shards: usize, most: u64) -> Vec<u64> {
    let of_rank = |rank: usize| (most as f64 / (rank as f64).powf(1.1)) as u64;
    // 37 has no factor in common with 64 or 512.
    (0..shards)
        .map(|shard| of_rank(shard * 37 % shards + 1))
        .collect()
}

/// What a fleet has come to.
#[derive(Debug)]
struct FleetOutcome {
    /// What the busiest worker carries over its capacity, in relation to what all carry over all
    /// capacities.
    ratio: f64,
    /// How many leases were handed over.
    moves: usize,
}

fn outcome(fleet: &TestFleet, capacities: &BTreeMap<&str, f64>) -> FleetOutcome {
    let carried = fleet.carried();
    let all: u64 = carried.values().sum();
    let mean = all as f64 / capacities.values().sum::<f64>();
    let relative = carried
        .iter()
        .map(|(id, load)| *load as f64 / capacities[id.as_str()] / mean);
    FleetOutcome {
        ratio: relative.fold(0.0, f64::max),
        moves: fleet.moves(),
    }
}

/// A fleet of workers with these capacities that has run for so many seconds.
fn settled<'a>(
    loads: Vec<u64>,
    capacities: &[(&'a str, f64)],
    by_load: bool,
    seed: u64,
    seconds: u64,
) -> (TestFleet, BTreeMap<&'a str, f64>) {
    let mut fleet = TestFleet::with_loads(loads, seed);
    for (id, capacity) in capacities {
        let declared = Capacity::new(*capacity).ok().filter(|_| by_load);
        fleet.joins_declaring(id, declared);
    }
    fleet.run(seconds);
    (fleet, capacities.iter().copied().collect())
}

const FOUR: [(&str, f64); 4] = [("w0", 1.0), ("w1", 1.0), ("w2", 1.0), ("w3", 1.0)];

/// Zipf loads over 64 and 512 shards. Of 64, the first carries a quarter of all, which is all that
/// one of four workers should have. The same by count, for comparison.
#[test]
fn zipf_loads_are_evened_with_few_moves() {
    for (shards, most_moves) in [(64, 60), (512, 420)] {
        for seed in 0..SEEDS {
            let loads = || zipf(shards, 1000 * KIB);
            let (fleet, capacities) = settled(loads(), &FOUR, true, seed, 300);
            let by_load = outcome(&fleet, &capacities);
            fleet.assert_all_held();
            let (fleet, _) = settled(loads(), &FOUR, false, seed, 300);
            let by_count = outcome(&fleet, &capacities);
            println!("{shards} shards, seed {seed}: {by_load:?}, by count {by_count:?}");
            assert!(by_load.ratio <= 1.15, "{shards} shards: {by_load:?}");
            assert!(by_load.moves <= most_moves, "{shards} shards: {by_load:?}");
            assert!(by_count.ratio > 1.2, "{shards} shards: {by_count:?}");
        }
    }
}

#[test]
fn unlike_workers_carry_what_they_can() {
    let unlike = [("w0", 1.0), ("w1", 2.0), ("w2", 4.0), ("w3", 1.0)];
    for seed in 0..SEEDS {
        // From 10 to 200 KiB a second: the greatest is a fortieth of what the smallest worker should
        // have.
        let loads = (0..512)
            .map(|shard| (10 + shard * 37 % 191) * KIB)
            .collect();
        let (mut fleet, capacities) = settled(loads, &unlike, true, seed, 300);
        let outcome = outcome(&fleet, &capacities);
        println!("unlike workers, seed {seed}: {outcome:?}");
        assert!(outcome.ratio <= 1.15, "{outcome:?}");
        fleet.assert_calm(&format!("unlike workers, seed {seed}"));
    }
}

/// Each renewal measures up to 20 % more or less than what arrives. Once the noise is part of what
/// the fleet has come to rest with, nothing moves for half an hour.
#[test]
fn noise_moves_nothing() {
    for seed in 0..SEEDS {
        let mut fleet = TestFleet::with_loads(zipf(64, 1000 * KIB), seed);
        fleet.noise = 20;
        for (id, _) in FOUR {
            fleet.joins_declaring(id, Some(Capacity::of_cores(1)));
        }
        let mut moves = Vec::new();
        for _ in 0..8 {
            fleet.run(300);
            moves.push(fleet.moves());
        }
        let outcome = outcome(&fleet, &FOUR.into());
        println!("noise, seed {seed}: {outcome:?}, moves each 5 min {moves:?}");
        assert!(moves[7] - moves[1] <= 2, "{moves:?}");
        assert!(outcome.ratio <= 1.15, "{outcome:?}");
    }
}

/// A worker that says of all its shards that they carry ten times as much, or nothing.
#[test]
fn a_worker_that_reports_nonsense_does_not_break_the_fleet() {
    for (lies, seed) in [(1000, 0), (0, 1), (u64::MAX, 2)] {
        let mut fleet = TestFleet::with_loads(zipf(64, 1000 * KIB), seed);
        for (id, _) in FOUR {
            fleet.joins_declaring(id, Some(Capacity::of_cores(1)));
        }
        fleet.joins_declaring("liar", Some(Capacity::MOST));
        fleet.lies("liar", lies);
        fleet.run(600);
        fleet.assert_all_held();
        let honest = fleet.carried();
        println!("lies {lies}: {honest:?}, {} moves", fleet.moves());
        let moves = fleet.moves();
        fleet.run(600);
        assert!(fleet.moves() - moves <= 4, "{} then {moves}", fleet.moves());
    }
}

/// Loads that wander: each shard's goes up and down by a half within minutes.
#[test]
fn loads_that_wander_are_followed_at_a_pace() {
    for seed in 0..SEEDS {
        let (mut fleet, capacities) = settled(zipf(64, 400 * KIB), &FOUR, true, seed, 300);
        let before = fleet.moves();
        let mut worst: f64 = 0.0;
        for minute in 0..20 {
            fleet.wander(50);
            fleet.run(60);
            if minute > 5 {
                worst = worst.max(outcome(&fleet, &capacities).ratio);
            }
        }
        let moves = fleet.moves() - before;
        println!("wander, seed {seed}: at worst {worst}, {moves} moves in 20 min");
        assert!(worst <= 1.6, "{worst}");
        assert!(moves <= 100, "{moves}");
    }
}

fn share() -> impl Strategy<Value = Share> {
    (
        prop::collection::vec(prop_oneof![Just(0), 0..70_000_u64, 0..2_000_000_u64], 0..12),
        prop_oneof![Just(1.0), 0.1..10.0_f64],
    )
        .prop_map(|(loads, weight)| Share {
            count: loads.len(),
            load: loads.iter().sum(),
            to_come: 0,
            load_to_come: 0,
            weight,
        })
}

/// What a worker carries, as far as the argument that moves end goes.
fn heavy(share: &Share) -> f64 {
    Some(share.relative())
        .filter(|carries| *carries > LIGHT)
        .unwrap_or_default()
}

proptest! {
    /// The two numbers of the argument that moves end, for the two workers that a move concerns: a
    /// relief lowers the greater load, and a spread lowers the squares of the counts and raises no
    /// load.
    #[test]
    fn every_move_lowers_what_cannot_fall_for_ever(
        from in share(), to in share(), part in 0.0..=1.0_f64,
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part")]
        let load = (from.load as f64 * part) as u64;
        prop_assume!(from.count > 0);
        let after = [
            Share { count: from.count - 1, load: from.load - load, ..from },
            Share { count: to.count + 1, load: to.load + load, ..to },
        ];
        let greatest = |shares: &[Share]| shares.iter().map(heavy).fold(0.0, f64::max);
        let squares = |shares: &[Share]| shares.iter().map(|share| share.count.pow(2)).sum::<usize>();
        if from.is_relieved_by(&to, load) {
            prop_assert!(greatest(&after) < heavy(&from));
        }
        if from.is_spread_to(&to, load) {
            prop_assert!(squares(&after) < squares(&[from, to]));
            prop_assert!(heavy(&after[0]) <= heavy(&from));
            prop_assert!(load == 0 || heavy(&after[1]) == 0.0);
        }
    }
}
