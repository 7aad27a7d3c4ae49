use kcl_core::lease::{Edits, Error, Expect, Match};
use kcl_core::model::Lease;
use kcl_core::testing::{Settled, settle};

use super::row::{Name, ProcessId, Row, WriteKind, token};
use super::state::{Defect, Held, Late, ModelBounds, ModelState, Worker};

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ModelStep {
    /// A worker without the lease reads the row, or what it was before its last change.
    Look(ProcessId, Age),
    /// An owner reads it: it hears of a request.
    See(ProcessId),
    Send(ProcessId, WriteKind, WriteFate),
    /// A worker gives up what it has sent to begin a tenancy.
    GiveUp(ProcessId),
    /// The lease is begun without a write: a defect.
    Begin(ProcessId),
    HandOut(ProcessId),
    Return(ProcessId),
    /// Its own deadline passes.
    Lapse(ProcessId),
    /// A lapsed owner gives up.
    Drop(ProcessId),
    Crash(ProcessId),
    /// This one of the writes under way lands.
    Land(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Age {
    Now,
    Stale,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WriteFate {
    Answered,
    AnswerLost,
    Lost,
    Late,
    Twice,
}

const WAYS: [WriteFate; 5] = [
    WriteFate::Answered,
    WriteFate::AnswerLost,
    WriteFate::Lost,
    WriteFate::Late,
    WriteFate::Twice,
];

/// What can happen next.
pub(super) fn steps(state: &ModelState, bounds: &ModelBounds) -> Vec<ModelStep> {
    let mut steps = Vec::new();
    for process in 0..2 {
        steps_of(state, bounds, process, &mut steps);
    }
    steps.extend((0..state.late.len()).map(ModelStep::Land));
    steps
}

fn steps_of(
    state: &ModelState,
    bounds: &ModelBounds,
    process: ProcessId,
    steps: &mut Vec<ModelStep>,
) {
    let me = ModelState::name(bounds, process);
    let mut send = |kind: WriteKind| {
        let way = |way: &WriteFate| {
            !matches!(way, WriteFate::Late | WriteFate::Twice) || state.late.len() < bounds.late
        };
        steps.extend(
            WAYS.into_iter()
                .filter(way)
                .map(|way| ModelStep::Send(process, kind, way)),
        );
    };
    match state.workers[process] {
        Worker::Idle(seen) => {
            if let Some(row) = seen {
                kinds_of_idle(state, bounds, process, row)
                    .into_iter()
                    .for_each(&mut send);
                if bounds.defect == Some(Defect::StartOnSight)
                    && row.owner == Some(me)
                    && row.checkpoint_owner.is_none()
                {
                    steps.push(ModelStep::Begin(process));
                }
            }
            steps.extend([
                ModelStep::Look(process, Age::Now),
                ModelStep::Look(process, Age::Stale),
            ]);
        }
        Worker::Beginning { kind, .. } => {
            send(kind);
            steps.extend([ModelStep::GiveUp(process), ModelStep::Crash(process)]);
        }
        Worker::Holding(held) => {
            if !held.lapsed {
                kinds_of_owner(bounds, me, &held)
                    .into_iter()
                    .for_each(&mut send);
                if !held.inside && !held.leaving && held.done < bounds.records {
                    steps.push(ModelStep::HandOut(process));
                }
                steps.extend([ModelStep::See(process), ModelStep::Lapse(process)]);
            } else if !held.inside {
                steps.push(ModelStep::Drop(process));
            }
            if held.inside {
                steps.push(ModelStep::Return(process));
            }
            steps.push(ModelStep::Crash(process));
        }
    }
}

/// What a worker may send that has read this row and does not hold the lease.
fn kinds_of_idle(
    state: &ModelState,
    bounds: &ModelBounds,
    process: ProcessId,
    row: Row,
) -> Vec<WriteKind> {
    let me = ModelState::name(bounds, process);
    let mut kinds = Vec::new();
    let new = state.tenancies < bounds.tenancies;
    let holder = row.checkpoint_owner.or(row.owner);
    if new && (holder.is_none() || row.token.is_none() || may_expire(state, bounds, process, row)) {
        kinds.push(WriteKind::Take(state.tenancies));
    }
    if new && row.owner == Some(me) && row.checkpoint_owner.is_none() && row.token.is_none() {
        kinds.push(WriteKind::Claim(state.tenancies));
        kinds.push(WriteKind::Release(None));
    }
    let other = if me == Name::A { Name::B } else { Name::A };
    if !bounds.one_name
        && row.owner == Some(other)
        && row.checkpoint_owner.is_none()
        && row.token.is_some()
        && state.requests < bounds.requests
    {
        kinds.push(WriteKind::Request(other));
    }
    if !bounds.one_name && row.owner == Some(me) && row.checkpoint_owner == Some(other) {
        kinds.push(WriteKind::Withdraw(other));
    }
    kinds
}

/// Whether this worker may believe that the tenancy of the row it has seen is over: what is assumed
/// of the clocks. The owner's deadline counts from a write that it knows to be settled. Who has
/// seen a counter stand still for long enough has seen that deadline pass, unless the owner has
/// moved the counter since: then the take is refused.
fn may_expire(state: &ModelState, bounds: &ModelBounds, process: ProcessId, row: Row) -> bool {
    // Of two processes of one name each adopts what the other holds, after one renewal: earlier
    // than its deadline.
    bounds.one_name
        || bounds.defect == Some(Defect::EarlyTake)
        || match state.workers[1 - process] {
            Worker::Holding(held) => {
                held.lapsed || Some(held.token) != row.token || held.row.counter > row.counter
            }
            // What it has begun and is not told of is as good as held: its deadline counts from
            // when it was sent.
            Worker::Beginning {
                kind: WriteKind::Take(new) | WriteKind::Claim(new),
                ..
            } => row.token != Some(new),
            Worker::Idle(_) | Worker::Beginning { .. } => true,
        }
}

fn kinds_of_owner(bounds: &ModelBounds, me: Name, held: &Held) -> Vec<WriteKind> {
    let last = (held.done > held.row.checkpoint && bounds.defect != Some(Defect::NoLastCheckpoint))
        .then_some(held.done);
    let mut kinds = Vec::new();
    let asked = held
        .row
        .owner
        .filter(|_| held.row.checkpoint_owner == Some(me));
    if !held.inside {
        kinds.push(match asked {
            Some(asked) => WriteKind::PassOn(asked, last),
            None => WriteKind::Release(last),
        });
    }
    if !held.leaving || bounds.defect == Some(Defect::ResumeAfterPassOn) {
        kinds.push(WriteKind::Renew);
        kinds.extend(asked.map(WriteKind::Refuse));
        if held.done > held.row.checkpoint {
            kinds.push(WriteKind::Checkpoint(held.done));
        }
    }
    kinds
}

/// The state after a step, or what is wrong with it.
pub(super) fn after(
    state: &ModelState,
    bounds: &ModelBounds,
    step: ModelStep,
) -> Result<ModelState, String> {
    let mut next = state.clone();
    match step {
        ModelStep::Look(process, age) => {
            next.workers[process] = Worker::Idle(Some(if age == Age::Now {
                state.row
            } else {
                state.before
            }));
        }
        ModelStep::See(process) => {
            if let Worker::Holding(held) = &mut next.workers[process]
                && state.row.token == Some(held.token)
                && state.row.counter == held.row.counter
            {
                (held.row.owner, held.row.checkpoint_owner) =
                    (state.row.owner, state.row.checkpoint_owner);
            }
        }
        ModelStep::Send(process, kind, way) => send(&mut next, bounds, process, kind, way)?,
        ModelStep::GiveUp(process) | ModelStep::Drop(process) | ModelStep::Crash(process) => {
            next.workers[process] = Worker::Idle(None);
        }
        ModelStep::Begin(process) => {
            if let Worker::Idle(Some(row)) = state.workers[process] {
                next.workers[process] = Worker::Holding(Held::at(row));
            }
        }
        ModelStep::HandOut(process) => {
            if let Worker::Holding(held) = &mut next.workers[process] {
                held.inside = true;
                if !bounds.one_name && state.row.token != Some(held.token) {
                    return Err(format!(
                        "{process} hands a record out in a tenancy that is over (I4)"
                    ));
                }
            }
        }
        ModelStep::Return(process) => {
            if let Worker::Holding(held) = &mut next.workers[process] {
                (held.inside, held.done) = (false, held.done + 1);
                next.done = next.done.max(held.done);
            }
        }
        ModelStep::Lapse(process) => {
            if let Worker::Holding(held) = &mut next.workers[process] {
                held.lapsed = true;
            }
        }
        ModelStep::Land(number) => {
            let late = next.late.remove(number);
            // Nobody waits for the answer.
            let _ = carry_out(&mut next, bounds, &late)?;
        }
    }
    next.forget(bounds);
    Ok(next)
}

impl Held {
    const fn at(row: Row) -> Self {
        let token = match row.token {
            Some(token) => token,
            None => u8::MAX,
        };
        Self {
            row,
            token,
            done: row.checkpoint,
            inside: false,
            lapsed: false,
            leaving: false,
        }
    }
}

fn send(
    next: &mut ModelState,
    bounds: &ModelBounds,
    process: ProcessId,
    kind: WriteKind,
    way: WriteFate,
) -> Result<(), String> {
    let from = match next.workers[process] {
        Worker::Idle(seen) => seen.unwrap_or(next.row),
        Worker::Beginning { from, .. } => from,
        Worker::Holding(held) => held.row,
    };
    match (&mut next.workers[process], kind) {
        (worker @ Worker::Idle(_), WriteKind::Take(_) | WriteKind::Claim(_)) => {
            *worker = Worker::Beginning { from, kind };
            next.tenancies += 1;
        }
        (Worker::Idle(_), WriteKind::Request(_)) => next.requests += 1,
        (Worker::Holding(held), WriteKind::PassOn(..) | WriteKind::Release(_)) => {
            held.leaving = true;
        }
        _ => {}
    }
    let late = Late {
        by: process,
        from,
        kind,
    };
    let answer = match way {
        WriteFate::Lost => None,
        WriteFate::Late => {
            next.late.push(late);
            None
        }
        WriteFate::AnswerLost => {
            carry_out(next, bounds, &late)?.ok();
            None
        }
        WriteFate::Answered => Some(carry_out(next, bounds, &late)?),
        WriteFate::Twice => {
            let answer = carry_out(next, bounds, &late)?;
            next.late.push(late);
            Some(answer)
        }
    };
    next.late.sort_unstable();
    match answer {
        Some(answer) => hear(next, bounds, process, &late, answer),
        None => {
            unanswered(next, bounds, process, kind);
            Ok(())
        }
    }
}

/// The write comes to the table.
fn carry_out(
    next: &mut ModelState,
    bounds: &ModelBounds,
    late: &Late,
) -> Result<Result<Row, Row>, String> {
    let me = ModelState::name(bounds, late.by);
    let from = late.from.lease();
    let write = late.kind.write(&from, me);
    let expect = weakened(bounds, late.kind, me, write.expect);
    let mut row: Lease = next.row.lease();
    if !expect.holds(&row) {
        return Ok(Err(next.row));
    }
    let edits: Edits = write.change.edits();
    edits.apply(&mut row);
    let (before, now) = (next.row, Row::of(&row));
    (next.before, next.row) = (before, now);
    if now.checkpoint < before.checkpoint {
        return Err(format!(
            "{:?} of {} took the checkpoint from {} to {} (I1)",
            late.kind, late.by, before.checkpoint, now.checkpoint
        ));
    }
    if now.checkpoint > next.done {
        return Err(format!(
            "{:?} of {} stored {} records, and {} are done (I5)",
            late.kind, late.by, now.checkpoint, next.done
        ));
    }
    match late.kind {
        WriteKind::PassOn(..) | WriteKind::Release(_) if before.token.is_some() => {
            next.drained = done_of(next, late.by, before.token);
        }
        WriteKind::Take(_) | WriteKind::Claim(_) => {
            if let Some(done) = next.drained.take().filter(|done| now.checkpoint < *done) {
                return Err(format!(
                    "the lease was given up with {done} records done and is begun at {} (L4)",
                    now.checkpoint
                ));
            }
        }
        _ => {}
    }
    Ok(Ok(now))
}

/// What a worker has done in this tenancy, if it still is in it.
fn done_of(state: &ModelState, process: ProcessId, token: Option<u8>) -> Option<u8> {
    match state.workers[process] {
        Worker::Holding(held) if Some(held.token) == token => Some(held.done),
        _ => None,
    }
}

fn weakened(bounds: &ModelBounds, kind: WriteKind, me: Name, expect: Expect) -> Expect {
    let mut weak = Expect::default();
    match (bounds.defect, kind) {
        (Some(Defect::CheckpointWithoutCondition), WriteKind::Checkpoint(_))
        | (Some(Defect::TakeWithoutCondition), WriteKind::Take(_)) => weak,
        (Some(Defect::PassOnWithoutCounter), WriteKind::PassOn(to, _)) => {
            (weak.owner, weak.checkpoint_owner) = (Match::Is(to.id()), Match::Is(me.id()));
            weak
        }
        _ => expect,
    }
}

/// A write is answered: by the row that it made, or by the one that refused it.
fn hear(
    next: &mut ModelState,
    bounds: &ModelBounds,
    process: ProcessId,
    sent: &Late,
    answer: Result<Row, Row>,
) -> Result<(), String> {
    let me = ModelState::name(bounds, process);
    let from = sent.from.lease();
    let write = sent.kind.write(&from, me);
    let said = match answer {
        Ok(row) => Ok(row.lease()),
        Err(row) => Err(Error::conflict(Some(row.lease()))),
    };
    match next.workers[process] {
        // A request or its withdrawal: the row that came back is what it has seen.
        Worker::Idle(_) => {
            let (Ok(row) | Err(row)) = answer;
            next.workers[process] = Worker::Idle(Some(row));
        }
        Worker::Beginning { kind, .. } => {
            let (WriteKind::Take(new) | WriteKind::Claim(new)) = kind else {
                return Ok(());
            };
            next.workers[process] = match settle(&from, &write, said) {
                Settled::Stored(row) if row.token == Some(token(new)) => {
                    Worker::Holding(Held::at(Row::of(&row)))
                }
                _ => Worker::Idle(None),
            };
        }
        Worker::Holding(mut held) => {
            let lenient = bounds.defect == Some(Defect::SettledByCounter);
            let (Ok(row) | Err(row)) = answer;
            let settled = if lenient
                && answer.is_err()
                && row.owner == Some(me)
                && row.counter == held.row.counter + 1
            {
                Settled::Stored(write_of_defect(&held, sent.kind, row))
            } else {
                settle(&from, &write, said)
            };
            match settled {
                Settled::Stored(row) => {
                    held.row = Row::of(&row);
                    let stored = next.row.checkpoint;
                    if let WriteKind::Checkpoint(records) = sent.kind
                        && stored < records
                    {
                        return Err(format!(
                            "{process} believes {records} records to be stored, and {stored} are (I15)"
                        ));
                    }
                    let gone = matches!(sent.kind, WriteKind::PassOn(..) | WriteKind::Release(_));
                    next.workers[process] = if gone {
                        Worker::Idle(None)
                    } else {
                        Worker::Holding(held)
                    };
                }
                Settled::Adopt(row) => {
                    held.row = Row::of(&row);
                    next.workers[process] = Worker::Holding(held);
                }
                Settled::Edited(_) => {
                    return Err(format!(
                        "{process} takes its own checkpoint for somebody's edit"
                    ));
                }
                Settled::Lost(_) | Settled::Vanished => next.workers[process] = Worker::Idle(None),
                _ => return Err("an answer that nobody gave".to_owned()),
            }
        }
    }
    Ok(())
}

fn write_of_defect(held: &Held, kind: WriteKind, row: Row) -> Lease {
    let checkpoint = if let WriteKind::Checkpoint(records) = kind {
        records
    } else {
        held.row.checkpoint
    };
    Row {
        checkpoint,
        token: Some(held.token),
        ..row
    }
    .lease()
}

/// No answer came. What was sent may have happened, or may happen yet: the worker knows what it
/// knew, and sends the same again.
fn unanswered(next: &mut ModelState, bounds: &ModelBounds, process: ProcessId, kind: WriteKind) {
    match &mut next.workers[process] {
        // It looks anew before it does anything else.
        worker @ Worker::Idle(_) => *worker = Worker::Idle(None),
        Worker::Beginning { .. } => {}
        Worker::Holding(held) => {
            let resumes = bounds.defect == Some(Defect::ResumeAfterPassOn)
                && matches!(kind, WriteKind::PassOn(..));
            if resumes && next.row.counter == held.row.counter {
                held.leaving = false;
            }
        }
    }
}
