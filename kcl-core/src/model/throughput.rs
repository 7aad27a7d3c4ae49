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

    /// Whether what is stored of a shard misleads those who balance by it: it is more than twice or
    /// less than half of what the shard carries `now`, and by more than 1 KiB a second, where a record
    /// counts as one KiB. Many shards that are quiet by now would together pass for a load otherwise.
    pub(crate) fn differs_much(stored: Option<Self>, now: Option<Self>) -> bool {
        let Some(now) = now else {
            return false;
        };
        let weight = |of: Self| of.bytes.saturating_add(of.records.saturating_mul(1024));
        let (stored, now) = (stored.map_or(0, weight), weight(now));
        let (less, more) = (stored.min(now), stored.max(now));
        more / 2 > less && more - less > 1024
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
    fn only_a_load_that_halves_or_doubles_is_worth_a_write() {
        let load = |kib: u64| {
            Some(Throughput {
                bytes: kib * 1024,
                records: 0,
            })
        };
        let differs = Throughput::differs_much;
        assert!(differs(load(1000), load(400)) && differs(load(0), load(100)));
        assert!(!differs(load(1000), load(600)) && !differs(load(1), load(0)));
        assert!(differs(None, load(100)) && !differs(load(100), None));
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
