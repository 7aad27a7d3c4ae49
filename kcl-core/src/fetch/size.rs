//! How many records to ask for, so that the answer fits into the memory at hand.
//!
//! `GetRecords` takes a number of records and not of bytes, and an answer may have up to 10 MiB. So
//! the size of the records is learned from the pages before.

use super::budget::LARGEST_PAGE;

/// How large the records of a shard are, and so how many to ask for.
///
/// Nothing is known before the first page: a record may then be as large as the service takes by
/// default, 1 MiB, so the first request of a shard is a small one and shows what its records are
/// like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecordSize {
    /// Bytes a record: the larger of the last page's mean and a slow mean of the pages before.
    estimate: Option<f64>,
    /// What a page of aggregates takes when it has been taken apart, against what it took before:
    /// found like the estimate.
    growth: Option<f64>,
}

/// What one record takes at the most, by the default limit of the service.
const LARGEST_RECORD: f64 = 1024.0 * 1024.0;
/// The share of the last page in the slow mean: a quarter, so after some ten pages of another kind
/// the estimate has followed.
const WEIGHT: f64 = 0.25;
/// Pages differ: what is asked for is a tenth less than what would fit.
const HEADROOM: f64 = 1.1;

impl RecordSize {
    /// The memory that a request for `limit` records needs, when a page takes `factor` times its
    /// size while it is received.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes, bounded by a page"
    )]
    pub(crate) fn request(self, limit: u32, factor: f64) -> usize {
        let page = (f64::from(limit) * self.bytes()).min(LARGEST_PAGE as f64 * HEADROOM);
        (page * factor) as usize
    }

    /// How many records to ask for with this much memory: at least one, or nothing would ever move.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the limit"
    )]
    pub(crate) fn limit(self, bytes: usize, most: u32, factor: f64) -> u32 {
        // A whole page's memory is enough for any number of records.
        if bytes as f64 >= LARGEST_PAGE as f64 * factor {
            return most;
        }
        ((bytes as f64 / factor / self.bytes()) as u32).clamp(1, most)
    }

    /// Takes in a page of this many records and bytes.
    pub(crate) fn observe(&mut self, records: usize, bytes: usize) {
        if records > 0 {
            self.estimate = Some(follow(self.estimate, bytes as f64 / records as f64));
        }
    }

    /// Takes in what a page took before and after it was taken apart.
    ///
    /// An aggregate that compresses poorly hardly grows; one with thousands of tiny records grows
    /// manifold, because every user record has a size of its own in memory.
    pub(crate) fn observe_growth(&mut self, before: usize, after: usize) {
        if before > 0 && after > 0 {
            self.growth = Some(follow(self.growth, after as f64 / before as f64));
        }
    }

    /// How many times its size a page takes when it has been taken apart; at least 1.
    pub(crate) fn growth(self) -> f64 {
        self.growth.unwrap_or(1.0).max(1.0)
    }

    /// The size of one record in memory, as far as pages have shown it.
    fn bytes(self) -> f64 {
        self.estimate
            .map_or(LARGEST_RECORD, |estimate| estimate * HEADROOM)
    }
}

/// The larger of the last value and a slow mean: growth is believed at once, shrinking slowly.
fn follow(mean: Option<f64>, last: f64) -> f64 {
    mean.map_or(last, |mean| mean + (last - mean) * WEIGHT)
        .max(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes, bounded by a page"
    )]
    fn a_request_needs_room_for_its_records_and_for_a_page_at_most() {
        let size = RecordSize::default();
        assert_eq!(size.request(2, 2.5), 5 * MIB);
        assert_eq!(
            size.request(10_000, 2.0),
            (10.0 * MIB as f64 * HEADROOM * 2.0) as usize
        );
    }

    #[test]
    fn a_page_without_records_says_nothing_of_them() {
        let mut size = RecordSize::default();
        size.observe(0, 0);
        assert_eq!(size.request(1, 1.0), MIB);
        size.observe_growth(0, 5);
        assert!((1.0..=1.0).contains(&size.growth()), "{}", size.growth());
        size.observe_growth(1, 100);
        size.observe_growth(5, 0);
        assert!(
            (100.0..=100.0).contains(&size.growth()),
            "{}",
            size.growth()
        );
    }

    #[test]
    fn the_first_request_fits_records_of_the_largest_size() {
        let size = RecordSize::default();
        assert_eq!(size.limit(16 * MIB / 2, 10_000, 1.0), 8);
        assert_eq!(size.limit(1000, 10_000, 1.0), 1);
    }

    #[test]
    fn small_records_are_requested_in_thousands_after_one_page() {
        let mut size = RecordSize::default();
        size.observe(4, 4 * 1100);
        let limit = size.limit(4 * MIB, 10_000, 2.5);
        assert!((1000..2000).contains(&limit), "{limit}");
    }

    #[test]
    fn growing_records_count_at_once_and_shrinking_ones_slowly() {
        let mut size = RecordSize::default();
        size.observe(100, 100 * 1000);
        size.observe(10, 10 * 100_000);
        assert!(size.request(1, 1.0) > 100_000);
        size.observe(100, 100 * 1000);
        assert!(size.request(1, 1.0) > 70_000);
    }

    #[test]
    fn aggregates_that_expand_make_the_next_request_smaller() {
        let mut size = RecordSize::default();
        size.observe(10, 10 * MIB);
        let before = size.limit(64 * MIB, 10_000, 2.5_f64.max(size.growth()));
        size.observe_growth(10 * MIB, 200 * MIB);
        let after = size.limit(64 * MIB, 10_000, 2.5_f64.max(size.growth()));
        assert_eq!((before, after), (10_000, 2));
        size.observe_growth(10 * MIB, 5 * MIB);
        assert!((15.0..16.0).contains(&size.growth()), "{}", size.growth());
    }
}
