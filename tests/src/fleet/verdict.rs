use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kcl_core::model::{SequenceNumber, ShardId, Timestamp};

use super::deed::{Deed, What};
use super::history::{DeliveredTenancy, DeliveryHistory};

/// What was put: of each shard the sequence numbers.
pub type PutLog = BTreeMap<ShardId, Vec<SequenceNumber>>;

/// The parents of each shard that has some.
pub type ShardParents = BTreeMap<ShardId, Vec<ShardId>>;

/// Why a record was handed out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// This process was killed between the record and its checkpoint.
    Killed(usize),
    /// This process was frozen for longer than the failover time.
    Frozen(usize),
    /// The requests of this process to its lease table were harmed, so that it could not keep its
    /// lease or store how far it was.
    Harmed(usize),
    /// Nothing that was done explains it.
    Unexplained,
}

/// What was put against what was handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that were put.
    pub put: u64,
    /// Records that were handed out, each counted once.
    pub given: u64,
    /// Records that were put and never handed out.
    pub lost: u64,
    /// Records that came before one that was put before them in their shard.
    pub out_of_order: u64,
    /// Child shards of which a record came before all of their parents' had.
    pub early_children: u64,
    /// Records that were handed out and that nobody put.
    pub unknown: u64,
    /// Records that were handed out again, by cause.
    pub duplicates: BTreeMap<Cause, u64>,
    /// Stored checkpoints that went back, in words.
    pub went_back: Vec<String>,
    /// Shards that were split.
    pub splits: u64,
    /// Pairs of shards that were merged.
    pub merges: u64,
    /// What else is wrong, in words.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Judges. Pure: the same history and deeds give the same verdict.
    #[must_use]
    pub fn of(
        history: &DeliveryHistory,
        put: &PutLog,
        parents: &ShardParents,
        deeds: &[Deed],
    ) -> Self {
        let mut verdict = Self::default();
        let nobody = Vec::new();
        for shard in put.keys().chain(
            history
                .shards()
                .keys()
                .filter(|shard| !put.contains_key(*shard)),
        ) {
            let put = put.get(shard).unwrap_or(&nobody);
            let tenancies = history
                .shards()
                .get(shard)
                .map_or(&[] as &[DeliveredTenancy], Vec::as_slice);
            verdict.judge_shard(shard, put, tenancies, deeds);
        }
        // A split has two children, of one parent each.
        verdict.merges = parents.values().filter(|parents| parents.len() > 1).count() as u64;
        verdict.splits = (parents.len() as u64 - verdict.merges) / 2;
        for (child, parents) in parents {
            let Some(first) = firsts(history, child).min() else {
                continue;
            };
            for parent in parents {
                // A record that comes once more, later, was known before.
                if let Some(late) = last_new(history, parent).filter(|last| *last > first) {
                    verdict.early_children += 1;
                    verdict.faults.push(format!(
                        "{child}: received a record at {first}, before a new record of its parent \
                         {parent} at {late}"
                    ));
                }
            }
        }
        verdict
    }

    fn judge_shard(
        &mut self,
        shard: &ShardId,
        put: &[SequenceNumber],
        tenancies: &[DeliveredTenancy],
        deeds: &[Deed],
    ) {
        let mut put = put.to_vec();
        put.sort_unstable();
        let mut given: Vec<(Timestamp, usize, &SequenceNumber)> = Vec::new();
        for (place, tenancy) in tenancies.iter().enumerate() {
            given.extend(
                tenancy
                    .given
                    .iter()
                    .map(|(at, sequence)| (*at, place, sequence)),
            );
        }
        // Stable: what one tenancy was given in the same millisecond stays in its order.
        given.sort_by_key(|(at, place, _)| (*at, *place));
        // Who was given each record last.
        let mut seen: Vec<Option<usize>> = vec![None; put.len()];
        // Of each two tenancies, since many records share them.
        let mut causes: BTreeMap<(usize, usize), Cause> = BTreeMap::new();
        // Every record before this one has come.
        let mut next = 0;
        for (at, place, sequence) in given {
            let Ok(index) = put.binary_search(sequence) else {
                self.unknown += 1;
                self.faults
                    .push(format!("{shard}: {sequence} at {at} was never put"));
                continue;
            };
            match seen[index].replace(place) {
                Some(before) => {
                    let found = || cause(&tenancies[before], &tenancies[place], deeds);
                    let cause = *causes.entry((before, place)).or_insert_with(found);
                    *self.duplicates.entry(cause).or_default() += 1;
                    if cause == Cause::Unexplained {
                        let (first, again) = (tenancies[before].member, tenancies[place].member);
                        self.faults.push(format!(
                            "{shard}: {sequence} delivered again at {at}: to \
                                process {first}, then to {again}"
                        ));
                    }
                }
                None if index == next => {}
                None => {
                    self.out_of_order += 1;
                    self.faults
                        .push(format!("{shard}: {sequence} at {at}, before {}", put[next]));
                }
            }
            while seen.get(next).is_some_and(Option::is_some) {
                next += 1;
            }
        }
        let missing: Vec<_> = put
            .iter()
            .zip(&seen)
            .filter(|(_, seen)| seen.is_none())
            .map(|(sequence, _)| sequence)
            .collect();
        self.put += put.len() as u64;
        self.given += (put.len() - missing.len()) as u64;
        self.lost += missing.len() as u64;
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            self.faults.push(format!(
                "{shard}: {} records were never delivered, from {first} to {last}",
                missing.len()
            ));
        }
    }

    /// Duplicates without a cause.
    #[must_use]
    pub fn unexplained(&self) -> u64 {
        self.duplicates
            .get(&Cause::Unexplained)
            .copied()
            .unwrap_or(0)
    }

    /// Whether everything was handed out in order, and again only for a cause.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let Self {
            lost,
            unknown,
            out_of_order,
            early_children,
            went_back,
            ..
        } = self;
        [lost, unknown, out_of_order, early_children]
            .iter()
            .all(|count| **count == 0)
            && went_back.is_empty()
            && self.unexplained() == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            put,
            given,
            lost,
            out_of_order,
            early_children,
            unknown,
            duplicates,
            ..
        } = self;
        write!(
            f,
            "{put} put, {given} delivered, {lost} lost, {out_of_order} out of order, {early_children} early children, \
             {unknown} unknown, duplicates {duplicates:?}"
        )
    }
}

/// When each record of a shard came for the first time in each tenancy.
fn firsts<'a>(
    history: &'a DeliveryHistory,
    shard: &ShardId,
) -> impl Iterator<Item = Timestamp> + 'a {
    history
        .shards()
        .get(shard)
        .into_iter()
        .flatten()
        .filter_map(|tenancy| tenancy.given.first())
        .map(|(at, _)| *at)
}

/// When the last record of a shard that had not come before came.
fn last_new(history: &DeliveryHistory, shard: &ShardId) -> Option<Timestamp> {
    let mut first: BTreeMap<&SequenceNumber, Timestamp> = BTreeMap::new();
    for (at, sequence) in history
        .shards()
        .get(shard)?
        .iter()
        .flat_map(|tenancy| &tenancy.given)
    {
        first
            .entry(sequence)
            .and_modify(|first| *first = (*first).min(*at))
            .or_insert(*at);
    }
    first.into_values().max()
}

fn later(at: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_millis(
        at.as_millis()
            .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
    )
}

/// How long after a harm a request may wait for its answer, besides the time for which links hold
/// it back.
const LATE: Duration = Duration::from_secs(10);

/// What explains that a record came in one tenancy and again in another one.
fn cause(before: &DeliveredTenancy, again: &DeliveredTenancy, deeds: &[Deed]) -> Cause {
    let of = |tenancy: &DeliveredTenancy, what| {
        let member = tenancy.member;
        deeds
            .iter()
            .filter(move |deed| deed.member == member && deed.what == what)
            .map(|deed| deed.at)
    };
    let killed = |tenancy: &DeliveredTenancy| {
        of(tenancy, What::Killed).any(|at| tenancy.begun <= at && tenancy.over.is_none())
    };
    // What was in flight at the freeze may be handed out after it; what wakes up may be long over for
    // everybody else.
    let frozen = |tenancy: &DeliveredTenancy| {
        of(tenancy, What::Frozen)
            .any(|at| tenancy.begun <= at && tenancy.over.is_none_or(|over| over >= at))
    };
    if before.member != again.member && killed(before) {
        return Cause::Killed(before.member);
    }
    if let Some(frozen) = [before, again].into_iter().find(|tenancy| frozen(tenancy)) {
        return Cause::Frozen(frozen.member);
    }
    let harmed = |tenancy: &DeliveredTenancy| {
        let own = deeds.iter().filter(|deed| deed.member == tenancy.member);
        own.filter_map(|deed| match deed.what {
            What::TableHarmed(span) => Some((deed.at, later(deed.at, span * 2 + LATE))),
            _ => None,
        })
        .any(|(from, to)| tenancy.begun <= to && tenancy.over.is_none_or(|over| over >= from))
    };
    // Who could not store how far it was, not who comes after it.
    if harmed(before) {
        Cause::Harmed(before.member)
    } else {
        Cause::Unexplained
    }
}
