//! Rendezvous hashing: every worker has a score for each item, and the highest score comes first.
//!
//! All workers compute the same order without communicating, a worker that joins or leaves does not
//! change the order of the others, and each item has its own order. The score is FNV-1a (64 bits)
//! of the texts, each followed by the byte `0xff` (which occurs in no UTF-8 text), passed through
//! the finalizer of SplitMix64. It must not change: during a rolling update, two versions of this
//! code order the same fleet.

use crate::model::{LeaseKey, WorkerId};

mod scored_workers;

pub(super) use scored_workers::{LeaseHash, ScoredWorkers};

/// The score of a worker for a lease.
#[must_use]
pub(super) fn lease_score(lease: &LeaseKey, worker: &WorkerId) -> u64 {
    let stream = lease.stream.as_deref().unwrap_or_default();
    score(&[stream, lease.shard.as_str(), worker.as_str()])
}

/// The score of some texts together.
#[must_use]
pub(super) fn score(texts: &[&str]) -> u64 {
    finish(texts.iter().fold(EMPTY, |hash, text| add(hash, text)))
}

/// FNV-1a of nothing.
const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// The byte that ends a text: none that UTF-8 uses.
const END: u8 = 0xff;

/// FNV-1a of one more text and the byte that ends it.
fn add(hash: u64, text: &str) -> u64 {
    add_byte(text.bytes().fold(hash, add_byte), END)
}

const fn add_byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x100_0000_01b3)
}

/// The finalizer of SplitMix64.
const fn finish(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_scores_are_the_same_in_every_version() {
        assert_eq!(score(&[]), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(
            score(&["shardId-000000000000", "worker-1"]),
            0xba49_ebf7_81e3_5f2a
        );
        assert_eq!(
            lease_score(
                &LeaseKey::single("shardId-000000000000"),
                &"worker-1".into()
            ),
            0xbf8a_e47b_6c58_f5af
        );
    }

    #[test]
    fn each_worker_comes_first_for_its_part_of_the_leases() {
        let mut firsts = BTreeMap::new();
        for shard in 0..4000 {
            let lease = LeaseKey::single(format!("shardId-{shard:012}"));
            let first =
                (0..8).max_by_key(|worker| lease_score(&lease, &format!("host-{worker}").into()));
            *firsts.entry(first).or_insert(0) += 1;
        }
        // 500 each; the standard deviation is 21.
        assert!(
            firsts.values().all(|first| (400..600).contains(first)),
            "{firsts:?}"
        );
    }
}
