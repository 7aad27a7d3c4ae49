//! What a step makes of a state.

use kcl_core::lease::{Edits, Error, Expect, Match};
use kcl_core::model::Lease;
use kcl_core::testing::internals::{Settled, settle};

use super::row::{Name, ProcessId, Row, WriteKind, token};
use super::state::{Defect, Held, Late, ModelBounds, ModelState, Worker};
use super::step::{Age, ModelStep, WriteFate};

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
                            "{process} believes {records} records to be stored, and {stored} are \
                             (I15)"
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
