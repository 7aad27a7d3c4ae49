use crate::model::{LeaseKey, WorkerId};

use super::{EMPTY, END, add, add_byte, finish};

/// How many scores are computed side by side: a multiplication takes as long as it takes to begin
/// three or four, and twice that hides the rest of a step too.
const LANES: usize = 8;

/// The workers of a fleet, arranged so that many scores are computed at a time.
///
/// Each byte of a text is a multiplication that waits for the one before, so it takes long to score
/// thousands of leases for hundreds of workers one by one. Scores that are computed side by side do
/// not wait for each other, and what all names begin with is hashed once a lease. The scores are
/// exactly those of [`lease_score`](super::lease_score).
#[derive(Clone, Debug, Default)]
pub(in crate::decide) struct ScoredWorkers {
    /// What the names of all workers begin with.
    prefix: Vec<u8>,
    /// The rest of each name, with the byte that ends it; by the places of the workers.
    rests: Vec<Vec<u8>>,
    groups: Vec<WorkerLanes>,
}

/// The hash of a lease's key and of what the names of all workers begin with.
#[derive(Clone, Copy, Debug)]
pub(in crate::decide) struct LeaseHash(u64);

/// Workers whose names are equally long, at most one a lane.
#[derive(Clone, Debug)]
struct WorkerLanes {
    places: Vec<usize>,
    /// The rests of their names, byte by byte.
    bytes: Vec<[u8; LANES]>,
}

impl ScoredWorkers {
    #[must_use]
    pub(in crate::decide) fn new(workers: &[WorkerId]) -> Self {
        let names: Vec<&[u8]> = workers
            .iter()
            .map(|worker| worker.as_str().as_bytes())
            .collect();
        let Some(first) = names.first() else {
            return Self::default();
        };
        let shared_with = |name: &&[u8]| {
            let pairs = first.iter().zip(name.iter());
            pairs.take_while(|(one, other)| one == other).count()
        };
        let shared = names.iter().map(shared_with).min().unwrap_or_default();
        let rests: Vec<Vec<u8>> = names
            .iter()
            .map(|name| name[shared..].iter().copied().chain([END]).collect())
            .collect();
        let mut by_length: Vec<usize> = (0..rests.len()).collect();
        by_length.sort_by_key(|place| rests[*place].len());
        let groups = by_length
            .chunk_by(|one, other| rests[*one].len() == rests[*other].len())
            .flat_map(|same| same.chunks(LANES))
            .map(|places| WorkerLanes::new(places, &rests))
            .collect();
        Self {
            prefix: first[..shared].to_vec(),
            rests,
            groups,
        }
    }

    #[must_use]
    pub(in crate::decide) fn hash(&self, lease: &LeaseKey) -> LeaseHash {
        let stream = lease.stream.as_deref().unwrap_or_default();
        let lease = add(add(EMPTY, stream), lease.shard.as_str());
        LeaseHash(self.prefix.iter().copied().fold(lease, add_byte))
    }

    /// The scores of all workers for one lease, by their places.
    pub(in crate::decide) fn score_workers(&self, lease: LeaseHash, scores: &mut Vec<u64>) {
        scores.resize(self.rests.len(), 0);
        for group in &self.groups {
            let mut hashes = [lease.0; LANES];
            for bytes in &group.bytes {
                for (hash, byte) in hashes.iter_mut().zip(bytes) {
                    *hash = add_byte(*hash, *byte);
                }
            }
            for (place, hash) in group.places.iter().zip(hashes) {
                scores[*place] = finish(hash);
            }
        }
    }

    /// The scores of the worker in this place for many leases, in their order.
    pub(in crate::decide) fn score_leases(
        &self,
        place: usize,
        leases: &[LeaseHash],
        scores: &mut Vec<u64>,
    ) {
        scores.clear();
        let rest = &self.rests[place];
        for leases in leases.chunks(LANES) {
            let mut hashes = [EMPTY; LANES];
            for (hash, lease) in hashes.iter_mut().zip(leases) {
                *hash = lease.0;
            }
            for byte in rest {
                for hash in &mut hashes {
                    *hash = add_byte(*hash, *byte);
                }
            }
            scores.extend(hashes.into_iter().take(leases.len()).map(finish));
        }
    }
}

impl WorkerLanes {
    fn new(places: &[usize], rests: &[Vec<u8>]) -> Self {
        let length = places.first().map_or(0, |place| rests[*place].len());
        let bytes = (0..length).map(|position| {
            let mut bytes = [0; LANES];
            for (byte, place) in bytes.iter_mut().zip(places) {
                *byte = rests[*place][position];
            }
            bytes
        });
        Self {
            places: places.to_vec(),
            bytes: bytes.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lease_score;
    use super::*;

    fn worker() -> impl Strategy<Value = WorkerId> {
        prop_oneof!["worker-[0-9]{1,3}", "[a-zé-]{0,12}"].prop_map(|name| name.as_str().into())
    }

    proptest! {
        #[test]
        fn scores_side_by_side_are_those_one_by_one(
            workers in prop::collection::vec(worker(), 0..40),
            shards in prop::collection::vec("shardId-[0-9]{0,12}", 0..20),
            stream in prop::option::of("[0-9:a-z]{0,30}"),
        ) {
            let leases: Vec<LeaseKey> = shards
                .iter()
                .map(|shard| LeaseKey {
                    stream: stream.as_deref().map(Into::into),
                    ..LeaseKey::single(shard.as_str())
                })
                .collect();
            let scored = ScoredWorkers::new(&workers);
            let hashes: Vec<_> = leases.iter().map(|lease| scored.hash(lease)).collect();
            let mut scores = Vec::new();
            for (lease, hash) in leases.iter().zip(&hashes) {
                scored.score_workers(*hash, &mut scores);
                let expected: Vec<_> = workers.iter().map(|id| lease_score(lease, id)).collect();
                prop_assert_eq!(&scores, &expected);
            }
            for (place, id) in workers.iter().enumerate() {
                scored.score_leases(place, &hashes, &mut scores);
                let expected: Vec<_> = leases.iter().map(|lease| lease_score(lease, id)).collect();
                prop_assert_eq!(&scores, &expected);
            }
        }
    }
}
