use std::collections::{BTreeMap, BTreeSet};

use kcl_core::lease::Change;
use kcl_core::model::{Checkpoint, Lease, LeaseKey, WorkerId};

use crate::sim::history::{
    Asked, Call, Entry, Event, LifeId, Over, ProcessorId, Returned, Said, Written,
};
use crate::sim::runtime::At;

use super::fold::See;
use super::states::{RareState, States};

/// Finds the states in a history.
#[derive(Debug, Default)]
pub(super) struct Finder {
    pub(super) found: States,
    frozen: BTreeSet<LifeId>,
    /// Processes that have lost their way to the stream.
    out_of_reach: BTreeSet<LifeId>,
    freed: BTreeMap<LeaseKey, At>,
    passed_on: BTreeMap<LeaseKey, WorkerId>,
    ended_by: BTreeMap<LeaseKey, WorkerId>,
    inside: BTreeMap<ProcessorId, &'static str>,
    /// Processes that lost a lease while they stood still.
    robbed: BTreeSet<LifeId>,
    /// The last write on each lease that moved its counter.
    moved: BTreeMap<LeaseKey, At>,
    /// Leases whose rows could not be read and were repaired.
    repaired: BTreeSet<LeaseKey>,
    /// Shards whose end a process was told when it asked by polling.
    end_polled: BTreeSet<(LifeId, usize)>,
    /// Streams that a process was told to read no more, and whether it was told to read them again
    /// since.
    removed: BTreeMap<(LifeId, usize), bool>,
}

impl Finder {
    pub(super) fn on(&mut self, entry: &Entry, see: &See<'_>) {
        match &entry.event {
            Event::Frozen { life, .. } => drop(self.frozen.insert(*life)),
            Event::Thawed { life } => {
                self.frozen.remove(life);
                if self.robbed.remove(life) {
                    self.found.add(RareState::FrozenOverDeadline);
                }
            }
            Event::Crashed { life } => drop(self.frozen.remove(life)),
            Event::Cut {
                life,
                service: "stream, for long",
                ..
            } => drop(self.out_of_reach.insert(*life)),
            Event::Said {
                life,
                said: Said::Unreadable(_),
            } if self.out_of_reach.contains(life) => {
                self.found.add(RareState::LeftToOthers);
            }
            Event::Spoiled { key, on: false } => drop(self.repaired.insert(key.clone())),
            Event::Said {
                said: Said::Replaced,
                ..
            } => self.found.add(RareState::ReadAnew),
            Event::Stopped {
                error: Some(error), ..
            } if error.contains("was deleted and created again") => {
                self.found.add(RareState::EndedReplaced);
            }
            Event::Said {
                said: Said::EndRefused(key),
                ..
            } if see
                .stream
                .leased(key)
                .is_some_and(|(_, shard)| shard.is_open()) =>
            {
                self.found.add(RareState::EndNotBelieved);
            }
            Event::FalseEnd { shard, .. } if !see.stream.shards()[*shard].is_open() => {
                self.found.add(RareState::ToldTooSoon);
            }
            Event::Stopped {
                error: Some(error), ..
            } if error.contains("already in use by another live process") => {
                self.found.add(RareState::TwinFound);
            }
            Event::Written(written) => self.on_written(entry, written, see),
            Event::WorkerRow {
                row: Some(_),
                accepted: false,
                ..
            } => self.found.add(RareState::WorkerRowRefused),
            Event::Reads { life, stream, on } => drop(self.removed.insert((*life, *stream), *on)),
            Event::Said {
                said: Said::LeftUnread(_),
                ..
            } => self.found.add(RareState::LeftForWantOfRoom),
            Event::WorkerRow {
                row: Some(row),
                accepted: true,
                ..
            } if row.leaving => self.found.add(RareState::WorkerLeft),
            Event::Called { processor, call } => self.on_call(*processor, call, see),
            Event::Returned {
                processor,
                returned,
            } => self.on_returned(*processor, *returned),
            Event::Checkpointed {
                error: Some("lease lost"),
                ..
            } => self.found.add(RareState::CheckpointAfterLoss),
            Event::Said {
                said: Said::Gap(..),
                ..
            } => self.found.add(RareState::GapReported),
            Event::Said {
                said: Said::Skipped(..),
                ..
            } => self.found.add(RareState::SkippedRecord),
            Event::Opened { parents, .. } => {
                let behind = |parent: &usize| {
                    let len = see.stream.shards()[*parent].len();
                    see.board
                        .progress_of(*parent)
                        .first_not_done(0, len)
                        .is_some()
                };
                if parents.iter().any(behind) {
                    self.found.add(RareState::ResharedWhileBehind);
                }
            }
            Event::Trimmed {
                shard, left: true, ..
            } => {
                let key = &see.stream.shards()[*shard].key;
                if !see.board.made.contains_key(key) {
                    self.found.add(RareState::LeftUnread);
                }
            }
            Event::SubscriptionOver {
                how: Over::Taken, ..
            } => self.found.add(RareState::SubscriptionTakenOver),
            Event::SubscriptionOver {
                unused: true,
                how: Over::Ended | Over::Reset,
                ..
            } => {
                self.found.add(RareState::SubscriptionUnused);
            }
            Event::EndPolled { life, shard } => drop(self.end_polled.insert((*life, *shard))),
            Event::EndPushed { .. } => self.found.add(RareState::EndPushed),
            Event::Overtaken { .. } => self.found.add(RareState::CursorOvertaken),
            _ => {}
        }
    }

    fn on_call(&mut self, processor: ProcessorId, call: &Call, see: &See<'_>) {
        let kind = match call {
            Call::Initialize {
                checkpoint,
                pending,
                attempt,
                ..
            } => {
                if *pending {
                    self.found.add(RareState::PendingFound);
                }
                if *attempt == 1 && *checkpoint == Checkpoint::TrimHorizon {
                    self.on_child(processor, see);
                }
                "initialize"
            }
            Call::Process { attempt, .. } => {
                if *attempt > 1 {
                    self.found.add(RareState::BatchRetried);
                }
                "process"
            }
            Call::ShardEnded { .. } => "end",
            Call::Idle | Call::LeaseLost(_) | Call::ShutdownRequested => "other",
        };
        self.inside.insert(processor, kind);
    }

    fn on_child(&mut self, processor: ProcessorId, see: &See<'_>) {
        let info = see.board.processor(processor);
        let Some(shard) = see.stream.shards().get(info.shard) else {
            return;
        };
        let me = see.board.lives.get(&info.life).map(|life| &life.worker);
        let ended = |parent: &kcl_core::model::ShardId| {
            self.ended_by.get(&info.key.sibling(parent.clone()))
        };
        let enders: Vec<_> = shard.shard.parents.iter().filter_map(ended).collect();
        if enders.iter().any(|ender| Some(*ender) != me) {
            self.found.add(RareState::ChildElsewhere);
        }
        if let [one, other] = enders[..] {
            self.found.add(if one == other {
                RareState::MergeEndedByOne
            } else {
                RareState::MergeEndedByTwo
            });
        }
    }

    fn on_returned(&mut self, processor: ProcessorId, returned: Returned) {
        match (self.inside.remove(&processor), returned) {
            (_, Returned::Done) => {}
            (Some("initialize"), _) => self.found.add(RareState::InitializeFailed),
            (Some("end"), _) => self.found.add(RareState::EndFailed),
            _ => {}
        }
    }

    fn on_written(&mut self, entry: &Entry, written: &Written, see: &See<'_>) {
        if written.late {
            self.found.add(if written.accepted {
                RareState::LateWriteLanded
            } else {
                RareState::LateWriteRefused
            });
        }
        match &written.asked {
            Asked::Create(_) if written.accepted && written.late => {
                self.found.add(RareState::LateCreateLanded);
            }
            Asked::Delete(_) if written.accepted => self.found.add(RareState::RowDeleted),
            Asked::Update(expect, change) => match &written.before {
                Some(before) if written.accepted => {
                    self.on_accepted(entry, written, change, before, see);
                }
                Some(before) => {
                    let mine = matches!(&expect.token, kcl_core::lease::Match::Is(token) if before.token.as_ref() == Some(token));
                    let moved = expect
                        .counter
                        .is_some_and(|counter| before.counter > counter);
                    match change {
                        Change::Take { .. } => self.found.add(RareState::TakeLost),
                        Change::Request { .. } if before.checkpoint_owner.is_some() => {
                            self.found.add(RareState::RequestLost);
                        }
                        _ if mine && moved && change.is_held_by(before) => {
                            self.found.add(RareState::SettledByConflict);
                        }
                        _ if mine && moved => self.found.add(RareState::OvertakenByOwnWrite),
                        _ if change.moves_checkpoint() && before.token.is_some() && !mine => {
                            self.found.add(RareState::LateCheckpointRefused);
                        }
                        _ => {}
                    }
                }
                None => {}
            },
            _ => {}
        }
    }

    fn on_accepted(
        &mut self,
        entry: &Entry,
        written: &Written,
        change: &Change,
        before: &Lease,
        see: &See<'_>,
    ) {
        let key = &written.key;
        self.on_moved(entry, written, before, see);
        let worker = see
            .board
            .lives
            .get(&written.life)
            .map(|life| life.worker.clone());
        let in_call = |life: LifeId| {
            let of = see
                .board
                .processors
                .iter()
                .rev()
                .find(|info| info.life == life && info.key == *key);
            of.is_some_and(|info| info.processing)
        };
        match change {
            Change::Take { .. } => {
                self.on_taken(written, see);
                if self.repaired.remove(key) {
                    self.found.add(RareState::ReadAfterRepair);
                }
                let former = before
                    .token
                    .as_ref()
                    .and_then(|token| see.board.tenancy_with(key, token));
                if let Some(former) = former {
                    let alive = see
                        .board
                        .lives
                        .get(&former.life)
                        .is_some_and(|life| life.alive);
                    if self.frozen.contains(&former.life) {
                        self.found.add(RareState::TakenFromFrozen);
                        self.robbed.insert(former.life);
                    } else if !alive {
                        self.found.add(RareState::TakenFromCrashed);
                    } else if former.life != written.life {
                        self.found.add(RareState::TakenFromLiving);
                    }
                    if former.life != written.life && Some(&former.worker) == worker.as_ref() {
                        self.found.add(RareState::TakenFromTwin);
                    }
                    if alive && in_call(former.life) {
                        self.found.add(RareState::TakenWhileInCall);
                    }
                }
                if before.checkpoint_owner.is_some() {
                    self.found.add(RareState::TakenInHandOver);
                }
                if self
                    .passed_on
                    .remove(key)
                    .is_some_and(|to| Some(to) != worker)
                {
                    self.found.add(RareState::PassedOnTaken);
                }
                if self
                    .freed
                    .remove(key)
                    .is_some_and(|at| entry.at.since(at) <= 1000)
                {
                    self.found.add(RareState::FreedThenTaken);
                }
                if written.late {
                    self.found.add(RareState::LateTakeLanded);
                }
            }
            Change::Release { checkpoint, .. } => {
                self.freed.insert(key.clone(), entry.at);
                let stream = see.stream.leased(key).map_or(0, |(_, shard)| shard.stream);
                if self.removed.get(&(written.life, stream)) == Some(&false) {
                    self.found.add(RareState::StreamGivenUp);
                }
                if before.token.is_none() {
                    self.passed_on.remove(key);
                    self.found.add(RareState::GivenBack);
                } else if checkpoint.is_some() {
                    self.found.add(RareState::ReleasedWithCheckpoint);
                } else if in_call(written.life) {
                    self.found.add(RareState::ReleasedByBudget);
                }
            }
            Change::Request { .. } => self.found.add(RareState::Requested),
            Change::PassOn { .. } => {
                self.passed_on
                    .extend(before.owner.clone().map(|to| (key.clone(), to)));
                self.found.add(RareState::PassedOn);
            }
            Change::Claim { .. } => {
                self.passed_on.remove(key);
                self.found.add(RareState::Claimed);
            }
            Change::Refuse { .. } => self.found.add(RareState::Refused),
            Change::Withdraw { .. } => self.found.add(RareState::Withdrawn),
            Change::End { .. } => {
                self.ended_by
                    .extend(worker.map(|worker| (key.clone(), worker)));
                if before.checkpoint_owner.is_some() {
                    self.found.add(RareState::EndedWhileAsked);
                }
                let shard = see.stream.leased(key);
                if shard.is_some_and(|(_, shard)| shard.len() == 0) {
                    self.found.add(RareState::EmptyEnded);
                }
                if shard.is_some_and(|(index, _)| self.end_polled.contains(&(written.life, index)))
                {
                    self.found.add(RareState::EndedByAsking);
                }
            }
            _ => {}
        }
    }

    /// Whether an owner shows life that a worker with a shorter failover time has missed for long.
    fn on_moved(&mut self, entry: &Entry, written: &Written, before: &Lease, see: &See<'_>) {
        let Some(after) = written
            .after
            .as_ref()
            .filter(|after| after.counter > before.counter)
        else {
            return;
        };
        let silent = self
            .moved
            .insert(written.key.clone(), entry.at)
            .map_or(0, |at| entry.at.since(at));
        let same = after.token.is_some() && after.token == before.token;
        if see.world.fleet.failovers_ms.is_empty() || !same {
            return;
        }
        let others = see
            .board
            .lives
            .iter()
            .filter(|(life, info)| info.alive && **life != written.life);
        if others
            .map(|(_, info)| see.world.fleet.failover_of(info.slot))
            .any(|failover| silent > failover)
        {
            self.found.add(RareState::OutlivedShorter);
        }
    }

    fn on_taken(&mut self, written: &Written, see: &See<'_>) {
        let Some((_, shard)) = see.stream.leased(&written.key) else {
            return;
        };
        if self.removed.get(&(written.life, shard.stream)) == Some(&true) {
            self.found.add(RareState::StreamTakenUp);
        }
        if see.world.fleet.caps.is_empty() {
            return;
        }
        let mut held: BTreeMap<LifeId, usize> = BTreeMap::new();
        for tenancy in see
            .board
            .current
            .keys()
            .filter_map(|key| see.board.current_of(key))
        {
            *held.entry(tenancy.life).or_default() += 1;
        }
        let count = |life: &LifeId| held.get(life).copied().unwrap_or(0);
        let mine = count(&written.life);
        let mut others = see
            .board
            .lives
            .iter()
            .filter(|(life, info)| info.alive && **life != written.life);
        if others.any(|(life, info)| {
            count(life) >= see.world.fleet.cap_of(info.slot) && count(life) < mine
        }) {
            self.found.add(RareState::TakenForTheFull);
        }
    }
}
