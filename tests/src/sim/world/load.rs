use crate::sim::dice::Dice;

/// What producers put, and what becomes of the stream's shards.
#[derive(Clone, Debug, PartialEq)]
pub struct SimLoad {
    /// How many milliseconds lie between two records of a busy shard, on average.
    pub every_ms: u64,
    /// The part of the shards that get no record at all.
    pub quiet: f64,
    /// The part of the puts that are a burst.
    pub burst: f64,
    /// The part of the records that are aggregates of several user records.
    pub aggregated: f64,
    /// How many milliseconds lie between two reshards, on average; 0 for none.
    pub reshard_every_ms: u64,
    /// How long records are kept, in milliseconds; 0 for ever.
    pub retention_ms: u64,
    /// How far behind a listing of shards may be, in milliseconds.
    pub listing_lag_ms: u64,
    /// Shards on one page of a listing.
    pub shards_a_page: usize,
}

impl SimLoad {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self {
            every_ms: dice.log(1_000.0, 15_000.0) as u64,
            quiet: dice.pick(&[0.0, 0.2, 0.5]),
            burst: dice.rate(0.5, 0.005, 0.1),
            aggregated: dice.pick(&[0.0, 0.0, 0.1, 0.5]),
            reshard_every_ms: if dice.chance(0.6) {
                dice.range(4_000, 60_000)
            } else {
                0
            },
            retention_ms: if dice.chance(0.3) {
                dice.range(15_000, 120_000)
            } else {
                0
            },
            listing_lag_ms: if dice.chance(0.4) {
                dice.range(100, 5_000)
            } else {
                0
            },
            shards_a_page: dice.pick(&[1000, 1000, 3]),
        }
    }
}
