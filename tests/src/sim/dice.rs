use std::fmt;

/// Seeded chance. Each part of a world has dice of its own, so that a part that is switched off
/// does not change what the others draw.
#[derive(Clone)]
pub struct Dice(fastrand::Rng);

impl Dice {
    /// The dice of the part that is called `part`, in the world of this seed.
    #[must_use]
    pub fn new(seed: u64, part: &str) -> Self {
        // FNV-1a: stable over versions of the toolchain, unlike the hashers of std.
        let name = part.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(fastrand::Rng::with_seed(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name,
        ))
    }

    /// True so often of 1.
    pub(crate) fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.0.f64() < chance
    }

    /// A number of the range, both ends included.
    pub(crate) fn range(&mut self, from: u64, to: u64) -> u64 {
        if from >= to {
            from
        } else {
            self.0.u64(from..=to)
        }
    }

    /// A number of the range whose logarithm is drawn evenly: small ones are as likely as large
    /// ones.
    pub(crate) fn log(&mut self, from: f64, to: f64) -> f64 {
        (from.ln() + self.0.f64() * (to.ln() - from.ln())).exp()
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())]
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        if len == 0 { 0 } else { self.0.usize(..len) }
    }

    /// A waiting time of this mean, exponentially distributed, at most eight times the mean.
    pub(crate) fn wait(&mut self, mean: u64) -> u64 {
        let factor = (-(1.0 - self.0.f64()).ln()).min(8.0);
        (mean as f64 * factor) as u64
    }

    /// Nothing, or a rate between the two: a fault that is off in some worlds.
    pub(crate) fn rate(&mut self, on: f64, from: f64, to: f64) -> f64 {
        if self.chance(on) {
            self.log(from, to)
        } else {
            0.0
        }
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dice")
    }
}
