use super::row::{Name, ProcessId, Row, WriteKind};

/// How far the model goes.
#[derive(Clone, Copy, Debug)]
pub struct ModelBounds {
    /// Both processes work under one name.
    pub one_name: bool,
    /// Counters of the row.
    pub counter: u8,
    /// Tenancies that are begun, or tried to.
    pub tenancies: u8,
    /// Records of the shard.
    pub records: u8,
    /// Writes that are under way at the same time and that nobody waits for.
    pub late: usize,
    /// Requests that are sent.
    pub requests: u8,
    /// A defect that is built in.
    pub defect: Option<Defect>,
}

impl ModelBounds {
    /// Two workers and one lease, with a request: what a gate has the time for.
    pub const HAND_OVER: Self = Self {
        one_name: false,
        counter: 4,
        tenancies: 2,
        records: 1,
        late: 1,
        requests: 1,
        defect: None,
    };

    /// The same with more that is late and asked for, and fewer changes of the row: all of it is
    /// looked through, in seconds.
    pub const LATE: Self = Self {
        counter: 3,
        late: 2,
        requests: 2,
        ..Self::HAND_OVER
    };

    /// Two processes under one name, which know nothing of each other.
    pub const ONE_NAME: Self = Self {
        one_name: true,
        requests: 0,
        late: 2,
        ..Self::HAND_OVER
    };

    /// The same with a defect, as far as it takes to show.
    #[must_use]
    pub const fn with(self, defect: Defect) -> Self {
        let bounds = Self {
            defect: Some(defect),
            ..self
        };
        match defect {
            // One that lands late needs another owner who has stored more.
            Defect::CheckpointWithoutCondition => Self {
                records: 2,
                requests: 0,
                ..bounds
            },
            // One that lands late needs a second request.
            Defect::PassOnWithoutCounter => Self {
                requests: 2,
                ..bounds
            },
            _ => bounds,
        }
    }
}

/// What can be built in, to see that the model would show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A write counts as stored if the row has the owner's name and the next counter.
    SettledByCounter,
    /// A lease is passed on without the counter and the token in the condition.
    PassOnWithoutCounter,
    /// After a pass-on that was not answered, and a read that still shows the old counter, reading
    /// goes on.
    ResumeAfterPassOn,
    /// A worker that finds itself as the owner begins without a write.
    StartOnSight,
    /// A checkpoint is stored without a condition.
    CheckpointWithoutCondition,
    /// A lease is taken before its owner's deadline.
    EarlyTake,
    /// A lease is taken without a condition.
    TakeWithoutCondition,
    /// The last checkpoint is left out when a lease is passed on or freed.
    NoLastCheckpoint,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SettledByCounter,
        Self::PassOnWithoutCounter,
        Self::ResumeAfterPassOn,
        Self::StartOnSight,
        Self::CheckpointWithoutCondition,
        Self::EarlyTake,
        Self::TakeWithoutCondition,
        Self::NoLastCheckpoint,
    ];
}

/// Everything that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelState {
    /// The row as it is.
    pub(super) row: Row,
    /// The row before its last change: what a stale read shows.
    pub(super) before: Row,
    pub(super) workers: [Worker; 2],
    /// Writes that may land at any time, in an order that says nothing.
    pub(super) late: Vec<Late>,
    /// Tenancies begun so far: the next token.
    pub(super) tenancies: u8,
    pub(super) requests: u8,
    /// Records that were done by anybody.
    pub(super) done: u8,
    /// The last owner gave the lease up in good order, with so many records done.
    pub(super) drained: Option<u8>,
}

/// A write under way that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Late {
    pub(super) by: ProcessId,
    pub(super) from: Row,
    pub(super) kind: WriteKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Worker {
    /// It has nothing; this is what it read last.
    Idle(Option<Row>),
    /// It has sent a take or a claim, made of this row, and was not answered.
    Beginning { from: Row, kind: WriteKind },
    /// It has the lease.
    Holding(Held),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    /// The row as its writer knows it.
    pub(super) row: Row,
    /// The token of its tenancy.
    pub(super) token: u8,
    /// So many records are done.
    pub(super) done: u8,
    /// A handler is inside a call.
    pub(super) inside: bool,
    /// Its own deadline has passed: it hands nothing out and writes nothing.
    pub(super) lapsed: bool,
    /// It is giving the lease up: it hands nothing out, whatever the answer.
    pub(super) leaving: bool,
}

impl ModelState {
    pub(super) const fn first() -> Self {
        Self {
            row: Row::fresh(),
            before: Row::fresh(),
            workers: [Worker::Idle(None), Worker::Idle(None)],
            late: Vec::new(),
            tenancies: 0,
            requests: 0,
            done: 0,
            drained: None,
        }
    }

    /// Forgets what can make no difference any more, so that states which differ in nothing else
    /// are one. A counter never falls and no token comes twice: a write that expects an older one
    /// is refused for ever, and a row that only leads to such writes tells nothing.
    pub(super) fn forget(&mut self, bounds: &ModelBounds) {
        let row = self.row;
        let weak = |kind: WriteKind| match bounds.defect {
            Some(Defect::PassOnWithoutCounter) => matches!(kind, WriteKind::PassOn(..)),
            Some(Defect::CheckpointWithoutCondition) => matches!(kind, WriteKind::Checkpoint(_)),
            Some(Defect::TakeWithoutCondition) => matches!(kind, WriteKind::Take(_)),
            _ => false,
        };
        let can_land = |from: &Row, kind: WriteKind| match kind {
            _ if weak(kind) => true,
            WriteKind::Request(_) | WriteKind::Withdraw(_) => from.token == row.token,
            _ => from.counter == row.counter,
        };
        self.late.retain(|late| can_land(&late.from, late.kind));
        let tells = |seen: &Row| {
            seen.counter == row.counter || (seen.token.is_some() && seen.token == row.token)
        };
        if !tells(&self.before) {
            self.before = row;
        }
        for worker in &mut self.workers {
            let nothing = match worker {
                Worker::Idle(seen) => seen.as_ref().is_some_and(|seen| !tells(seen)),
                Worker::Beginning { from, kind } => {
                    let landed = matches!(kind, WriteKind::Take(new) | WriteKind::Claim(new) if row.token == Some(*new));
                    !landed && !can_land(from, *kind)
                }
                Worker::Holding(_) => false,
            };
            if nothing {
                *worker = Worker::Idle(None);
            }
        }
    }

    pub(super) const fn name(bounds: &ModelBounds, process: ProcessId) -> Name {
        if process == 0 || bounds.one_name {
            Name::A
        } else {
            Name::B
        }
    }
}
