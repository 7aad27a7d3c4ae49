//! The decisions about the worker's own row. They are apart from the engine of the leases, because a
//! heartbeat must not wait for anything: neither for a scan of 10,000 rows nor for a plan.

use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::lease::{Error, WorkerRow};
use crate::model::{Capacity, Moment, Token, WorkerId};

use super::namesake::{Namesake, NamesakeVerdict};
use super::row_call::{Joining, RowCall};
use super::row_event::{RowCommand, RowEvent, RowFailure};

/// How often a step is tried before the worker goes on without it: of a row that several processes
/// write at the same time, each try may find another's.
const TRIES: u32 = 5;
/// From a failed try to mark or delete the row to the next one: so long, and so much more after
/// each.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// The worker's own row: it shows other workers one that holds nothing yet, and one that is about
/// to leave.
///
/// ```text
///          created, or replaced after a former process has left
///   None ------------------------------------------------------> Own
///    ^ |                                                         ^ |
///    | | there is another process's row       it stands still:   | | another process has
///    | |                                      it is replaced     | | replaced it: stop
///    | +------------------------------> Watched -----------------+ v
///    |                                   |   \
///    +-----------------------------------+    it moves twice: stop
///      the row is gone, in both
/// ```
///
/// The row belongs to the process that wrote it last. While the worker lives, each wake-up writes
/// the next counter, or reads the row that is watched. When it stops it sets the leaving mark, and
/// deletes the row after its last lease is given up.
///
/// At most one call is under way. Its answer is the next event, except that
/// [`Leave`](RowEvent::Leave) may come in place of it: what became of that call is then found out by
/// the condition of the next write.
#[derive(Debug)]
pub struct OwnRow {
    me: WorkerId,
    timing: Timing,
    /// What the row says that it can carry.
    capacity: Option<Capacity>,
    /// Whose the row is.
    name: NameState,
    /// What the worker wants of it now. A call that was made for an earlier aim is not waited for.
    aim: RowAim,
    /// The call that is under way. An answer without a call is ignored: its caller has given it up.
    call: Option<RowCall>,
    /// When it wants to be woken.
    wakes: Option<Moment>,
    /// How often the mark or the deletion was tried.
    tries: u32,
    /// The last heartbeat was not acknowledged: the next one does not wait for its turn, because
    /// others count from the last one that they have seen.
    is_late: bool,
    former_left: bool,
}

/// Whose the name is, as far as this process knows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NameState {
    /// There is no row, or it cannot be told whose it is.
    None,
    /// Another process's row is there, and may be a live one's.
    Watched(Namesake),
    /// This process wrote the row last.
    Own(WorkerRow),
}

/// What the worker wants of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowAim {
    /// To make it, and to be told of a failure.
    Join,
    /// To show life.
    Live,
    /// To set the leaving mark.
    Mark,
    /// To delete it.
    Delete,
}

impl OwnRow {
    /// The row of a worker that has not started.
    #[must_use]
    pub const fn new(me: WorkerId, timing: Timing) -> Self {
        Self {
            me,
            timing,
            capacity: None,
            name: NameState::None,
            aim: RowAim::Join,
            call: None,
            wakes: None,
            tries: 0,
            is_late: false,
            former_left: false,
        }
    }

    /// The same, of a worker that declares how much it can carry.
    #[must_use]
    pub const fn declaring(mut self, capacity: Option<Capacity>) -> Self {
        self.capacity = capacity;
        self
    }

    /// The first row of this process.
    fn first(&self, token: &mut dyn FnMut() -> Token) -> WorkerRow {
        WorkerRow {
            capacity: self.capacity,
            ..WorkerRow::new(self.me.clone(), token(), self.timing.failover)
        }
    }

    /// Whether a former process of this name had left gracefully when the row was made: what it
    /// kept is this worker's at once.
    #[must_use]
    pub const fn former_left(&self) -> bool {
        self.former_left
    }

    /// When it wants to be woken. `None` while a call is under way, or if nothing is left to do.
    #[must_use]
    pub const fn next_wakeup(&self) -> Option<Moment> {
        self.wakes
    }

    /// What follows from an event. `token` makes a text that no other process has.
    pub fn on(
        &mut self,
        event: RowEvent,
        now: Moment,
        token: &mut dyn FnMut() -> Token,
    ) -> Vec<RowCommand> {
        self.wakes = None;
        match event {
            RowEvent::Join => {
                self.aim = RowAim::Join;
                match self.name {
                    NameState::None => self.join(token),
                    NameState::Watched(_) | NameState::Own(_) => Vec::new(),
                }
            }
            RowEvent::Keep => {
                self.aim = RowAim::Live;
                self.settled(now)
            }
            RowEvent::Wake { audits } => match self.aim {
                RowAim::Live => self.beat(audits, token),
                RowAim::Join | RowAim::Mark | RowAim::Delete => self.settled(now),
            },
            RowEvent::Leave => {
                (self.aim, self.tries) = (RowAim::Mark, 0);
                self.settled(now)
            }
            RowEvent::Left { keeps: true } => Vec::new(),
            RowEvent::Left { keeps: false } => {
                (self.aim, self.tries) = (RowAim::Delete, 0);
                self.settled(now)
            }
            RowEvent::Written(answer) => self.written(answer, now),
            RowEvent::Read(answer) => self.read(answer, now, token),
        }
    }

    /// Makes this call. Its answer is the next event.
    fn call(&mut self, call: RowCall, command: RowCommand) -> Vec<RowCommand> {
        self.call = Some(call);
        vec![command]
    }

    /// Nothing is under way: what comes next for the aim.
    fn settled(&mut self, now: Moment) -> Vec<RowCommand> {
        self.call = None;
        match self.aim {
            RowAim::Join => Vec::new(),
            RowAim::Live => {
                self.wakes = Some(now + self.pause());
                Vec::new()
            }
            RowAim::Mark | RowAim::Delete => self.end(),
        }
    }

    /// How long a worker waits before it writes or reads its row again: less than a whole heartbeat
    /// period while it watches another process's row, or after a heartbeat that was not
    /// acknowledged.
    fn pause(&self) -> Duration {
        if self.is_late || matches!(self.name, NameState::Watched(_)) {
            self.timing.renew_every / 3
        } else {
            self.timing.renew_every
        }
    }
}

/// To make the row.
impl OwnRow {
    /// Makes a row of a new process. Each attempt is a process of its own to the others: one whose
    /// answer was lost may be there already, and stands still from then on.
    fn join(&mut self, token: &mut dyn FnMut() -> Token) -> Vec<RowCommand> {
        let fresh = self.first(token);
        self.create(Joining { fresh, left: TRIES })
    }

    fn create(&mut self, joining: Joining) -> Vec<RowCommand> {
        let joining = Joining {
            left: joining.left - 1,
            ..joining
        };
        let row = joining.fresh.clone();
        self.call(RowCall::Create(joining), RowCommand::Create(row))
    }

    /// Another process has written the row in between.
    fn create_again(&mut self, joining: Joining, now: Moment) -> Vec<RowCommand> {
        if joining.left == 0 {
            self.not_joined(Error::conflict(None), now)
        } else {
            self.create(joining)
        }
    }

    /// The name is this process's. The others are told, so that they count it before their next scan.
    fn joined(&mut self, row: WorkerRow, now: Moment) -> Vec<RowCommand> {
        self.name = NameState::Own(row);
        let mut commands = vec![RowCommand::Announce];
        commands.extend(self.settled(now));
        commands
    }

    /// While the worker starts, a failure is for its start to judge. Later its leases show life
    /// until it has a row again.
    fn not_joined(&mut self, error: Error, now: Moment) -> Vec<RowCommand> {
        let mut commands = self.settled(now);
        if self.aim == RowAim::Join {
            commands.push(RowCommand::Fail(RowFailure::Table(error)));
        }
        commands
    }

    /// The row that was there when it was to be created.
    fn found(&mut self, found: WorkerRow, joining: Joining, now: Moment) -> Vec<RowCommand> {
        if found.incarnation == joining.fresh.incarnation {
            // The answer to its creation was lost.
            return self.joined(found, now);
        }
        if !found.leaving {
            self.name = NameState::Watched(Namesake::new(found, now));
            return self.settled(now);
        }
        let mut joining = joining;
        joining.fresh.counter = found.counter + 1;
        let next = joining.fresh.clone();
        self.call(
            RowCall::Succeed(joining),
            RowCommand::Replace { seen: found, next },
        )
    }
}

/// To show life.
impl OwnRow {
    /// The time for a heartbeat has come, or for another look at a row that is watched.
    fn beat(&mut self, audits: u64, token: &mut dyn FnMut() -> Token) -> Vec<RowCommand> {
        let seen = match &self.name {
            NameState::Watched(_) => return self.call(RowCall::Watch, RowCommand::Read),
            NameState::None => None,
            NameState::Own(own) => Some(own.clone()),
        };
        self.is_late = false;
        let Some(seen) = seen else {
            return self.join(token);
        };
        let next = WorkerRow {
            audits,
            ..seen.next()
        };
        self.call(
            RowCall::Beat(next.clone()),
            RowCommand::Replace { seen, next },
        )
    }

    /// The row that is there in place of the one that was written last.
    fn found_own(
        &mut self,
        found: Option<WorkerRow>,
        wrote: &WorkerRow,
        now: Moment,
        token: &mut dyn FnMut() -> Token,
    ) -> Vec<RowCommand> {
        let Some(row) = found else {
            // Others took this worker for dead, and deleted its row.
            self.name = NameState::None;
            return self.join(token);
        };
        let is_marking = self.aim == RowAim::Mark;
        if row.incarnation != wrote.incarnation {
            if is_marking {
                return self.ended();
            }
            return vec![RowCommand::Fail(RowFailure::NameIsTaken)];
        }
        // A write without an answer was applied: an earlier one, or this.
        let is_done = is_marking && row == *wrote;
        self.name = NameState::Own(row);
        if is_done {
            self.ended()
        } else {
            self.settled(now)
        }
    }

    /// The row that is watched, as it is now.
    fn watched(
        &mut self,
        found: Option<WorkerRow>,
        now: Moment,
        token: &mut dyn FnMut() -> Token,
    ) -> Vec<RowCommand> {
        let (NameState::Watched(namesake), Some(row)) = (&mut self.name, found) else {
            self.name = NameState::None;
            return self.join(token);
        };
        namesake.see(row, now);
        match namesake.judge(now, &self.timing) {
            NamesakeVerdict::Wait => self.settled(now),
            NamesakeVerdict::Duplicate => vec![RowCommand::Fail(RowFailure::NameIsTaken)],
            NamesakeVerdict::Replace => {
                let seen = namesake.row().clone();
                let next = WorkerRow {
                    counter: seen.counter + 1,
                    ..self.first(token)
                };
                self.call(
                    RowCall::Adopt(next.clone()),
                    RowCommand::Replace { seen, next },
                )
            }
        }
    }
}

/// To leave.
impl OwnRow {
    /// The next try to mark or delete the row, if there is a row and a try left.
    fn end(&mut self) -> Vec<RowCommand> {
        let NameState::Own(own) = &self.name else {
            return self.ended();
        };
        if self.tries == TRIES {
            // It is found dead, and deleted by others.
            return self.ended();
        }
        self.tries += 1;
        let seen = own.clone();
        if self.aim == RowAim::Delete {
            return self.call(RowCall::Delete, RowCommand::Delete(seen));
        }
        let next = seen.leaving();
        self.call(
            RowCall::Mark(next.clone()),
            RowCommand::Replace { seen, next },
        )
    }

    /// The table did not answer, or is busy.
    fn end_later(&mut self, now: Moment) -> Vec<RowCommand> {
        self.wakes = Some(now + BETWEEN_TRIES * self.tries);
        Vec::new()
    }

    /// It is marked or deleted, as far as it can be. The others look for themselves.
    fn ended(&mut self) -> Vec<RowCommand> {
        self.call = None;
        vec![RowCommand::Announce]
    }
}

/// Answers.
impl OwnRow {
    fn written(&mut self, answer: Result<(), Error>, now: Moment) -> Vec<RowCommand> {
        let Some(call) = self.call.take() else {
            return Vec::new();
        };
        match (call, answer) {
            (RowCall::Create(joining), Ok(())) => self.joined(joining.fresh, now),
            (RowCall::Succeed(joining), Ok(())) => {
                self.former_left = true;
                self.joined(joining.fresh, now)
            }
            (RowCall::Adopt(row), Ok(())) => self.joined(row, now),
            (RowCall::Beat(row), Ok(())) => {
                self.name = NameState::Own(row);
                self.settled(now)
            }
            (RowCall::Mark(row), Ok(())) => {
                self.name = NameState::Own(row);
                self.ended()
            }
            (RowCall::Delete, Ok(())) => self.ended(),

            (RowCall::Create(joining), Err(Error::Conflict { .. })) => {
                self.call(RowCall::ReadToJoin(joining), RowCommand::Read)
            }
            (RowCall::Succeed(joining), Err(Error::Conflict { .. })) => {
                self.create_again(joining, now)
            }
            // A write without an answer has landed before it, or another process has written.
            (RowCall::Beat(wrote) | RowCall::Mark(wrote), Err(Error::Conflict { .. })) => {
                self.call(RowCall::FindOwn { wrote }, RowCommand::Read)
            }
            (RowCall::Delete, Err(Error::Conflict { .. })) => {
                self.call(RowCall::ReadToDelete, RowCommand::Read)
            }

            // Whose the row is cannot be told: it is left alone until it is repaired, and the leases
            // alone show life.
            (
                RowCall::Create(_) | RowCall::Succeed(_) | RowCall::Beat(_),
                Err(Error::Malformed(_)),
            ) => self.settled(now),
            (RowCall::Create(_) | RowCall::Succeed(_), Err(error)) => self.not_joined(error, now),
            (RowCall::Beat(_), Err(error)) if error.is_transient() => {
                self.is_late = true;
                self.settled(now)
            }
            (RowCall::Beat(_), Err(error)) => vec![RowCommand::Fail(RowFailure::Table(error))],
            (RowCall::Mark(_) | RowCall::Delete, Err(error)) if error.is_transient() => {
                self.end_later(now)
            }
            (RowCall::Mark(_) | RowCall::Delete, Err(_)) => self.ended(),
            // The next wake-up looks again. Nor is a write what a read was asked for.
            (RowCall::Adopt(_), Err(_))
            | (
                RowCall::ReadToJoin(_)
                | RowCall::FindOwn { .. }
                | RowCall::Watch
                | RowCall::ReadToDelete,
                _,
            ) => self.settled(now),
        }
    }

    fn read(
        &mut self,
        answer: Result<Option<WorkerRow>, Error>,
        now: Moment,
        token: &mut dyn FnMut() -> Token,
    ) -> Vec<RowCommand> {
        let Some(call) = self.call.take() else {
            return Vec::new();
        };
        match (call, answer) {
            (RowCall::ReadToJoin(joining), Ok(Some(row))) => self.found(row, joining, now),
            (RowCall::ReadToJoin(joining), Ok(None)) => self.create_again(joining, now),
            (RowCall::ReadToJoin(_), Err(Error::Malformed(_))) => self.settled(now),
            (RowCall::ReadToJoin(_), Err(error)) => self.not_joined(error, now),
            (RowCall::FindOwn { wrote }, Ok(found)) => self.found_own(found, &wrote, now, token),
            (RowCall::FindOwn { .. }, Err(_)) => {
                self.is_late = true;
                self.settled(now)
            }
            (RowCall::Watch, Ok(found)) => self.watched(found, now, token),
            (RowCall::ReadToDelete, Ok(Some(row))) if self.is_own(&row) => {
                self.name = NameState::Own(row);
                self.settled(now)
            }
            (RowCall::ReadToDelete, _) => self.ended(),
            (_, _) => self.settled(now),
        }
    }

    fn is_own(&self, row: &WorkerRow) -> bool {
        matches!(&self.name, NameState::Own(own) if own.incarnation == row.incarnation)
    }
}

#[cfg(test)]
#[path = "own_row_test.rs"]
mod tests;
