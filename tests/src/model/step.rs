use super::row::{Name, ProcessId, Row, WriteKind};
use super::state::{Defect, Held, ModelBounds, ModelState, Worker};

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
