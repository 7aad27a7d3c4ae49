//! The limits of a real shard, if they are switched on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const MIB: u64 = 1024 * 1024;
/// `GetRecords` calls per second and shard (Kinesis quota).
const READS_A_SECOND: u64 = 5;
/// Bytes per second and shard that `GetRecords` returns, or that a subscription pushes (Kinesis
/// quotas).
pub(super) const READ_BYTES_A_SECOND: u64 = 2 * MIB;
/// Records that can be put per second and shard (Kinesis quota).
const WRITES_A_SECOND: u64 = 1_000;
/// Bytes that can be put per second and shard (Kinesis quota).
const WRITE_BYTES_A_SECOND: u64 = MIB;

/// The time between two calls of `SubscribeToShard` for the same consumer and shard (Kinesis
/// quota).
pub(super) const SUBSCRIBE_EVERY: Duration = Duration::from_secs(1);

/// What a shard may do in a second, and how much of that is left.
///
/// Calls are counted in the second that begins with the first of them. Bytes are a debt that is
/// paid off at the shard's rate: a read is allowed if no earlier debt is left, and may be as large
/// as a page, so a page of 10 MiB blocks the shard for 5 seconds, as the service documents it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Calls in one second.
    calls: u64,
    /// Bytes in one second, the rate at which debt is paid off.
    bytes: u64,
    /// When the current second began.
    window_ms: u64,
    /// Calls in the current second.
    used: u64,
    /// In thousandths of a byte, so that a whole number of them is paid off per millisecond.
    debt: u64,
    /// Up to when debt has been paid off.
    debt_ms: u64,
}

impl Allowance {
    /// The allowance of a shard's readers.
    pub(super) fn reads() -> Self {
        Self::new(READS_A_SECOND, READ_BYTES_A_SECOND)
    }

    /// The allowance of a shard's writers.
    pub(super) fn writes() -> Self {
        Self::new(WRITES_A_SECOND, WRITE_BYTES_A_SECOND)
    }

    /// A shard that has done nothing yet.
    fn new(calls: u64, bytes: u64) -> Self {
        Self {
            calls,
            bytes,
            window_ms: 0,
            used: 0,
            debt: 0,
            debt_ms: 0,
        }
    }

    /// Counts a call at `now_ms`. Returns false if the shard has used up its calls for this second
    /// or still has debt to pay off.
    ///
    /// `up_to` is how many bytes may be owed before the call: none for a reader, which learns the
    /// size only afterwards, and for a writer the bytes of one second, minus those that are being
    /// put.
    pub(super) fn admit(&mut self, now_ms: u64, up_to: u64) -> bool {
        if now_ms.saturating_sub(self.window_ms) >= 1_000 {
            self.window_ms = now_ms;
            self.used = 0;
        }
        let paid = now_ms
            .saturating_sub(self.debt_ms)
            .saturating_mul(self.bytes);
        self.debt = self.debt.saturating_sub(paid);
        self.debt_ms = now_ms;
        let admitted = self.used < self.calls && self.debt <= up_to.saturating_mul(1_000);
        if admitted {
            self.used += 1;
        }
        admitted
    }

    /// Adds the bytes of an admitted call to the debt.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.debt = self.debt.saturating_add(
            u64::try_from(bytes)
                .unwrap_or(u64::MAX)
                .saturating_mul(1_000),
        );
    }
}

/// The allowances of all shards, by stream and shard index. If they are switched off, everything is
/// allowed.
///
/// A shard is known by its index, so a child begins with a fresh allowance, as in the service.
#[derive(Debug)]
pub(super) struct Limits {
    /// Makes the allowance of a shard that is seen for the first time.
    new: Option<fn() -> Allowance>,
    shards: Mutex<HashMap<(String, i64), Allowance>>,
}

impl Limits {
    /// Creates limits; `new` makes the allowance of a shard, and `None` switches limits off.
    pub(super) fn new(new: Option<fn() -> Allowance>) -> Self {
        Self {
            new,
            shards: Mutex::default(),
        }
    }

    /// Whether a shard may answer a read now.
    pub(super) fn admit_read(&self, stream: &str, shard: i64, now_ms: u64) -> bool {
        self.with(stream, shard, |allowance| allowance.admit(now_ms, 0))
            .unwrap_or(true)
    }

    /// Counts the bytes of an admitted read.
    pub(super) fn charge_read(&self, stream: &str, shard: i64, bytes: usize) {
        self.with(stream, shard, |allowance| allowance.charge(bytes));
    }

    /// Whether a shard may accept a record of `bytes` bytes now; counts it if so.
    pub(super) fn admit_write(&self, stream: &str, shard: i64, bytes: usize, now_ms: u64) -> bool {
        self.with(stream, shard, |allowance| {
            let room = allowance
                .bytes
                .saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
            let admitted = allowance.admit(now_ms, room);
            if admitted {
                allowance.charge(bytes);
            }
            admitted
        })
        .unwrap_or(true)
    }

    /// Removes the allowances of a deleted stream.
    pub(super) fn forget(&self, stream: &str) {
        self.shards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(name, _), _| name != stream);
    }

    /// Does something with the allowance of a shard, if limits are switched on.
    fn with<T>(
        &self,
        stream: &str,
        shard: i64,
        act: impl FnOnce(&mut Allowance) -> T,
    ) -> Option<T> {
        let new = self.new?;
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(shards
            .entry((stream.to_owned(), shard))
            .or_insert_with(new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_answers_five_reads_a_second() {
        let mut reads = Allowance::reads();
        let admitted: Vec<bool> = [0, 1, 2, 3, 999, 999, 1_000]
            .map(|at| reads.admit(10_000 + at, 0))
            .into();
        assert_eq!(admitted, [true, true, true, true, true, false, true]);
    }

    #[test]
    fn a_full_page_keeps_the_shard_busy_for_five_seconds() {
        let mut reads = Allowance::reads();
        assert!(reads.admit(10_000, 0));
        reads.charge(10 * 1024 * 1024);
        assert!(!reads.admit(14_900, 0));
        assert!(reads.admit(15_000, 0));
    }

    #[test]
    fn a_shard_takes_a_mebibyte_a_second() {
        let limits = Limits::new(Some(Allowance::writes));
        let put = |kib: usize, at: u64| limits.admit_write("s", 0, kib * 1024, 10_000 + at);
        assert!(put(1_000, 0));
        assert!(put(24, 0));
        assert!(!put(1, 0));
        assert!(put(1_000, 1_000));
    }

    #[test]
    fn a_shard_takes_a_thousand_records_a_second() {
        let limits = Limits::new(Some(Allowance::writes));
        assert!((0..1_000).all(|_| limits.admit_write("s", 0, 1, 10_000)));
        assert!(!limits.admit_write("s", 0, 1, 10_999));
        assert!(
            limits.admit_write("s", 1, 1, 10_999),
            "each shard has its own"
        );
        assert!(limits.admit_write("s", 0, 1, 11_000));
    }
}
