use std::fmt;

use super::InvalidValue;

/// How much a worker can carry, compared with the other workers of its fleet: the number of its
/// processor cores, or a number that the application gives. Only ratios mean anything: a worker
/// with twice the capacity gets twice the load.
///
/// In thousandths, so that rows that hold it can be compared.
///
/// ```
/// use kcl_core::model::Capacity;
///
/// let half_a_core = Capacity::new(0.5)?;
/// assert!(half_a_core < Capacity::of_cores(2));
/// assert_eq!(half_a_core.to_string(), "0.5");
/// assert!(Capacity::new(0.0).is_err());
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capacity(u32);

impl Capacity {
    /// The smallest capacity, a thousandth.
    pub const LEAST: Self = Self(1);
    /// The greatest capacity, one million.
    pub const MOST: Self = Self(1_000_000_000);

    /// # Errors
    /// A number below 0.001 or above 1,000,000, or none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in the range of the type"
    )]
    pub fn new(capacity: f64) -> Result<Self, InvalidValue> {
        if (0.001..=1_000_000.0).contains(&capacity) {
            Ok(Self((capacity * 1000.0).round() as u32))
        } else {
            Err(InvalidValue::new(
                "capacity",
                capacity.to_string(),
                "a number from 0.001 to 1,000,000",
            ))
        }
    }

    /// The capacity of so many processor cores, at least of one.
    #[must_use]
    pub fn of_cores(cores: usize) -> Self {
        let cores = u32::try_from(cores.clamp(1, 1_000_000)).unwrap_or(1_000_000);
        Self(cores * 1000)
    }

    /// The capacity of so many thousandths, as it is stored. What is out of the range is nonsense,
    /// and becomes the nearest that is not.
    #[must_use]
    pub fn of_thousandths(thousandths: u64) -> Self {
        let most = u64::from(Self::MOST.0);
        Self(u32::try_from(thousandths.clamp(1, most)).unwrap_or(Self::MOST.0))
    }

    /// In thousandths.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Capacity {
    /// Writes `4` or `0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_capacity_is_refused() {
        for capacity in [0.0, -1.0, 0.0009, 1_000_001.0, f64::NAN, f64::INFINITY] {
            let error = Capacity::new(capacity).unwrap_err().to_string();
            assert!(error.contains("0.001 to 1,000,000"), "{error}");
        }
        assert_eq!(Capacity::new(0.001), Ok(Capacity::LEAST));
        assert_eq!(Capacity::new(1_000_000.0), Ok(Capacity::MOST));
    }

    #[test]
    fn nonsense_in_a_row_becomes_the_nearest_capacity() {
        assert_eq!(Capacity::of_thousandths(0), Capacity::LEAST);
        assert_eq!(Capacity::of_thousandths(u64::MAX), Capacity::MOST);
        assert_eq!(Capacity::of_cores(0), Capacity::of_cores(1));
        assert_eq!(Capacity::of_cores(usize::MAX), Capacity::MOST);
    }
}
