//! What mutants do to the calls on the lease table.

use kcl_core::lease::{Change, Error, Expect, KeepAlive, Match, WorkerRow};
use kcl_core::model::{Checkpoint, Lease, Position, Token, WorkerId};

use crate::sim::link::Life;
use crate::sim::mutant::Mutant;
use crate::sim::runtime::At;
use crate::sim::state::WorldState;
use crate::sim::truth::wall;

/// The condition that reaches the table: the worker's, unless a mutant has weakened it.
pub(super) fn expectation(life: &Life, expect: &Expect, change: &Change) -> Expect {
    let mut weak = Expect::default();
    match life.sim.mutant() {
        Some(Mutant::CheckpointWithoutCondition) if change.moves_checkpoint() => weak,
        Some(Mutant::CheckpointByOwner) if change.moves_checkpoint() => {
            weak.owner = Match::Is(life.worker.clone());
            weak
        }
        Some(Mutant::TakeWithoutCondition) if matches!(change, Change::Take { .. }) => weak,
        Some(Mutant::OwnById) if is_owners(change) => {
            weak.owner = Match::Is(life.worker.clone());
            weak
        }
        _ => expect.clone(),
    }
}

fn is_owners(change: &Change) -> bool {
    matches!(
        change,
        Change::Renew | Change::Checkpoint { .. } | Change::Prepare { .. }
    )
}

/// The change that reaches the table.
pub(super) fn change(life: &Life, change: &Change) -> Change {
    match (life.sim.mutant(), change) {
        (Some(Mutant::CheckpointGoesBack), Change::Checkpoint { .. })
            if life.sim.state().dice.chance(0.2) =>
        {
            Change::Checkpoint {
                to: Checkpoint::TrimHorizon,
                facts: None,
            }
        }
        (
            Some(Mutant::SubSequenceIgnored),
            Change::Checkpoint {
                to: Checkpoint::At(position),
                facts,
            },
        ) => Change::Checkpoint {
            to: Position::new(position.sequence.clone(), u64::from(u32::MAX)).into(),
            facts: facts.clone(),
        },
        (Some(Mutant::EndNotStored), Change::End { .. }) => Change::Release {
            checkpoint: None,
            facts: None,
        },
        _ => change.clone(),
    }
}

/// Whether the write is not sent at all, and counts as carried out.
pub(super) fn is_unsent(life: &Life, change: &Change) -> bool {
    matches!(
        (life.sim.mutant(), change),
        (Some(Mutant::StartOnSight), Change::Claim { .. })
            | (Some(Mutant::RenewalNotSent), Change::Renew)
    )
}

/// Whether the row of another worker is not killed, and counts as killed.
pub(super) fn is_kill_unsent(life: &Life, row: Option<&WorkerRow>) -> bool {
    life.sim.mutant() == Some(Mutant::TakeWithoutKill)
        && row.is_some_and(|row| row.keep_alive == KeepAlive::Killed && row.worker != life.worker)
}

/// The row of a worker that a write of it expects.
pub(super) fn seen_worker(
    life: &Life,
    state: &WorldState,
    worker: &WorkerId,
    seen: Option<WorkerRow>,
) -> Option<WorkerRow> {
    let is_own = life.sim.mutant() == Some(Mutant::BeatWithoutCondition) && *worker == life.worker;
    if is_own {
        state.table.worker(worker).cloned()
    } else {
        seen
    }
}

/// The row of a worker as it is read by itself.
pub(super) fn read_worker(life: &Life, state: &WorldState, worker: &WorkerId) -> Option<WorkerRow> {
    let is_stale = life.sim.mutant() == Some(Mutant::TakeWithoutKill) && *worker != life.worker;
    if !is_stale {
        let row = state.table.worker(worker).cloned();
        // Its own row has to be as it is, or no heartbeat would be stored any more.
        return if *worker == life.worker {
            row
        } else {
            row.map(|row| listed(life, row))
        };
    }
    let before = At(life.sim.now().0.saturating_sub(3_000));
    let mut rows = state.table.workers_at(before).into_iter();
    rows.find(|row| row.worker == *worker)
}

/// The row of a worker as a snapshot shows it.
pub(super) fn listed(life: &Life, mut row: WorkerRow) -> WorkerRow {
    if life.sim.mutant() == Some(Mutant::DrainOverlooked) {
        row.drains = row.drains.map(|drains| drains & !1);
    }
    row
}

/// The row as a worker would see it whose write was carried out.
pub(super) fn as_if_done(
    life: &Life,
    expect: &Expect,
    change: &Change,
    row: Option<Lease>,
) -> Result<Lease, Error> {
    let Some(mut row) = row else {
        return Err(Error::conflict(None));
    };
    row.counter = expect.counter.unwrap_or(row.counter);
    if let Match::Is(token) = &expect.token {
        row.token = Some(token.clone());
        row.owner = Some(life.worker.clone());
        row.checkpoint_owner = None;
    }
    if let Some(checkpoint) = &expect.checkpoint {
        row.checkpoint = checkpoint.clone();
    }
    change.edits().apply(&mut row);
    Ok(row)
}

/// The answer that reaches the worker.
pub(super) fn answer(
    life: &Life,
    expect: &Expect,
    change: &Change,
    result: Result<Lease, Error>,
) -> Result<Lease, Error> {
    match (life.sim.mutant(), result) {
        (Some(Mutant::LostAnswerIsSuccess), Err(Error::Unknown { source })) => {
            let Some(counter) = expect.counter else {
                return Err(Error::Unknown { source });
            };
            let mut row = Lease::new(
                kcl_core::model::LeaseKey::single("unknown"),
                Checkpoint::TrimHorizon,
            );
            row.counter = counter;
            if is_owners(change) && expect.checkpoint.is_some() {
                as_if_done(life, expect, change, Some(row))
            } else {
                Err(Error::Unknown { source })
            }
        }
        (Some(Mutant::LoserKeepsGoing), Err(Error::Conflict { row: Some(row) }))
            if is_owners(change) =>
        {
            as_if_done(life, expect, change, Some(*row))
        }
        (Some(Mutant::SettledByCounter), Err(Error::Conflict { row: Some(row) }))
            if is_owners(change)
                && row.owner.as_ref() == Some(&life.worker)
                && Some(row.counter) == expect.counter.map(|counter| counter + 1) =>
        {
            Ok(*row)
        }
        (Some(Mutant::OwnById), Ok(mut row)) if is_owners(change) => {
            if let Match::Is(token) = &expect.token {
                row.token = Some(token.clone());
            }
            Ok(row)
        }
        (Some(Mutant::DeafOwner), Ok(row)) => Ok(deaf(life, row)),
        (Some(Mutant::ResumeTooEarly), Ok(mut row))
            if matches!(change, Change::Take { .. } | Change::Claim { .. }) =>
        {
            row.checkpoint = Checkpoint::TrimHorizon;
            Ok(row)
        }
        (Some(Mutant::SeekOverlooked), Ok(mut row))
            if matches!(change, Change::Take { .. } | Change::Claim { .. }) =>
        {
            if let Some(former) = life.sim.state().table.was_at(&row.key) {
                row.checkpoint = former;
            }
            Ok(row)
        }
        (_, result) => result,
    }
}

fn deaf(life: &Life, mut row: Lease) -> Lease {
    if row.checkpoint_owner.as_ref() == Some(&life.worker) {
        row.owner = row.checkpoint_owner.take();
    }
    row
}

/// A row as a consistent read shows it.
pub(super) fn read(life: &Life, state: &WorldState, mut row: Lease) -> Lease {
    let mine = row.owner.as_ref() == Some(&life.worker);
    match life.sim.mutant() {
        Some(Mutant::ChildWithoutParents) if !mine => row.checkpoint = Checkpoint::ShardEnd,
        Some(Mutant::MergeWaitsForOne) => {
            let shard = state.stream.leased(&row.key);
            let second = shard.is_some_and(|(_, shard)| {
                shard
                    .children
                    .iter()
                    .any(|child| child.parents.get(1) == Some(shard.id()))
            });
            if second {
                row.checkpoint = Checkpoint::ShardEnd;
            }
        }
        Some(Mutant::DeafOwner) => return deaf(life, row),
        _ => return looked(life, state, row),
    }
    row
}

/// A row as a snapshot shows it.
pub(super) fn looked(life: &Life, state: &WorldState, mut row: Lease) -> Lease {
    let now = life.sim.now();
    let mine = row.actual_owner() == Some(&life.worker);
    match life.sim.mutant() {
        Some(Mutant::LivingLooksFree)
            if !mine && row.owner.is_some() && now.0.is_multiple_of(16) =>
        {
            (row.owner, row.checkpoint_owner, row.token) = (None, None, None);
        }
        Some(Mutant::FreeLooksTaken) if row.owner.is_none() && !row.checkpoint.is_shard_end() => {
            row.owner = Some("somebody".into());
            row.counter += now.0;
        }
        Some(Mutant::PlansOscillate) if !mine && row.checkpoint_owner.is_none() => {
            let first = state
                .table
                .leases()
                .filter_map(|row| row.owner.clone())
                .find(|owner| *owner != life.worker);
            if row.owner.is_some() && row.token.is_some() {
                row.owner = first;
            }
        }
        Some(Mutant::EvidenceOfAnother) => {
            let holder = row
                .actual_owner()
                .and_then(|owner| state.table.worker(owner));
            let part = row
                .token
                .as_ref()
                .and_then(|token| token.as_str().split_once(':'));
            if let (Some(holder), Some((_, part))) = (holder, part) {
                row.token = Some(Token::of_tenancy(&holder.incarnation, &part.into()));
            }
        }
        Some(Mutant::PauseOverlooked) => row.paused_at = None,
        Some(Mutant::MoveOverlooked) => row.assigned_to = None,
        Some(Mutant::DeafOwner) => return deaf(life, row),
        _ => {}
    }
    row
}

/// Whether the row is not made, and counts as made.
pub(super) fn is_uncreated(life: &Life, lease: &Lease) -> bool {
    life.sim.mutant() == Some(Mutant::ChildNotMade) && !lease.parents.is_empty()
}

/// A row as it is made.
pub(super) fn created(life: &Life, lease: &Lease) -> Lease {
    let mut lease = lease.clone();
    if life.sim.mutant() == Some(Mutant::ChildAtLatest) && !lease.parents.is_empty() {
        lease.checkpoint = Checkpoint::Latest;
        lease.facts.start_at = Some(wall(life.sim.now()));
    }
    lease
}
