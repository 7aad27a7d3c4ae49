use std::fmt;

/// What a shard carries: the user data and the user records that arrive in it, per second.
///
/// Its owner measures it while it reads, and stores it in the row of the lease, so that all workers
/// can balance by it. Whole numbers, because rows are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throughput {
    /// The data of the records, in bytes per second.
    pub bytes: u64,
    /// User records per second, those within aggregates included.
    pub records: u64,
}

impl Throughput {
    /// The KCL's `throughputKBps`: the bytes in units of 1,024, as a decimal number with six places.
    #[must_use]
    pub fn kib_per_second(self) -> String {
        // A 1,024th has ten decimal places; six are enough to come back to the same whole number.
        let millionths = u128::from(self.bytes) * 1_000_000 / 1024;
        let rest = u128::from(self.bytes) * 1_000_000 % 1024;
        let rounded = millionths + u128::from(rest >= 512);
        format!("{}.{:06}", rounded / 1_000_000, rounded % 1_000_000)
    }

    /// What it weighs, in bytes per second: a record weighs as much as 1 KiB besides its bytes. Kinesis
    /// takes 1 MB or 1,000 records a second for a full shard, and a record costs a worker about as much
    /// as its copying, whatever its size.
    pub(crate) const fn weight(self) -> u64 {
        self.bytes.saturating_add(self.records.saturating_mul(1024))
    }

    /// The bytes per second of a `throughputKBps`, rounded. `None` if it is no such number: then
    /// nothing is known, and a worker that wrote nonsense does no more harm than one that wrote
    /// nothing.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and above the range the greatest number is as good"
    )]
    pub fn bytes_of(kib_per_second: &str) -> Option<u64> {
        let kib: f64 = kib_per_second.parse().ok()?;
        (kib.is_finite() && kib >= 0.0).then(|| (kib * 1024.0).round() as u64)
    }
}

impl fmt::Display for Throughput {
    /// Writes `12.5 KiB/s, 30 records/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (u128::from(self.bytes) * 10 + 512) / 1024;
        let (kib, tenth) = (tenths / 10, tenths % 10);
        write!(f, "{kib}.{tenth} KiB/s, {} records/s", self.records)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: u64) -> Throughput {
        Throughput { bytes, records: 3 }
    }

    #[test]
    fn it_is_written_in_the_kcls_unit() {
        let written = [0, 1, 1024, 1536, 1_048_575].map(|bytes| of(bytes).kib_per_second());
        let expected = [
            "0.000000",
            "0.000977",
            "1.000000",
            "1.500000",
            "1023.999023",
        ];
        assert_eq!(written, expected);
        assert_eq!(of(1536).to_string(), "1.5 KiB/s, 3 records/s");
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "-1", "NaN", "inf", "1e999", "12 kB"] {
            assert_eq!(Throughput::bytes_of(text), None, "{text}");
        }
        assert_eq!(Throughput::bytes_of("1E+2"), Some(102_400));
        assert_eq!(Throughput::bytes_of("1e125"), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn it_comes_back_as_it_was_written(bytes in 0_u64..1 << 40) {
            let written = of(bytes).kib_per_second();
            prop_assert_eq!(Throughput::bytes_of(&written), Some(bytes));
        }
    }
}
