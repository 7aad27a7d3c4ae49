//! The decisions about the worker's own row. They are apart from the engine of the leases, because a
//! heartbeat must not wait for anything: neither for a scan of 10,000 rows nor for a plan.

use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::lease::{Error, HeldLag, KeepAlive, WorkerRow};
use crate::model::{Capacity, Moment, Token, WorkerId};

use super::namesake::{Namesake, NamesakeVerdict};
use super::row_call::{Joining, RowCall};
use super::row_event::{RowCommand, RowEvent, RowFailure};

mod answers;

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
/// While its heartbeats hold the worker's leases ([`KeepAlive::Heartbeats`]), it goes on after the
/// leaving mark, until the last lease is given up: the shards are being drained. A row that was
/// deleted or killed by others is not written again. Another incarnation follows, with a row and
/// leases of its own.
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
    /// When the last write was sent.
    sent: Moment,
    /// When the first write was sent of which it is not known what became of it.
    unanswered: Option<Moment>,
    /// The row by which this process was to take over another one's, where it is not known what became
    /// of that write: it may be there, and is no other process's.
    adopting: Option<WorkerRow>,
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
            sent: Moment::from_origin(Duration::ZERO),
            unanswered: None,
            adopting: None,
            former_left: false,
        }
    }

    /// The same, of a worker that declares how much it can carry.
    #[must_use]
    pub const fn declaring(mut self, capacity: Option<Capacity>) -> Self {
        self.capacity = capacity;
        self
    }

    /// The first row of this incarnation.
    fn first(&self, token: &mut dyn FnMut() -> Token) -> WorkerRow {
        WorkerRow {
            capacity: self.capacity,
            keep_alive: KeepAlive::Renewals,
            drains: Some(0),
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
        let commands = self.follows(event, now, token);
        if self.call.as_ref().is_some_and(RowCall::is_write) {
            self.sent = now;
        }
        commands
    }

    fn follows(
        &mut self,
        event: RowEvent,
        now: Moment,
        token: &mut dyn FnMut() -> Token,
    ) -> Vec<RowCommand> {
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
            RowEvent::Wake {
                audits,
                keep_alive,
                lag,
            } => match self.aim {
                RowAim::Live => self.beat(audits, keep_alive, lag, token),
                RowAim::Join | RowAim::Mark | RowAim::Delete => self.settled(now),
            },
            RowEvent::Leave => {
                if self.call.as_ref().is_some_and(RowCall::is_write) {
                    self.unanswered.get_or_insert(self.sent);
                }
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
            RowAim::Mark | RowAim::Delete => self.end(now),
        }
    }

    /// How long a worker waits before it writes or reads its row again: less than a whole heartbeat
    /// period while it watches another process's row, or after a heartbeat that was not
    /// acknowledged.
    fn pause(&self) -> Duration {
        if self.is_late && self.holds_leases() {
            // Every lease depends on it.
            BETWEEN_TRIES
        } else if self.is_late || matches!(self.name, NameState::Watched(_)) {
            self.timing.renew_every / 3
        } else {
            self.timing.renew_every
        }
    }
}

/// Life.
impl OwnRow {
    /// Whether the row may say that its heartbeats hold the leases.
    fn holds_leases(&self) -> bool {
        matches!(&self.name, NameState::Own(own) if own.keep_alive == KeepAlive::Heartbeats)
    }

    /// A write of the row is stored, which was `sent` then at the earliest.
    fn shown(&mut self, row: &WorkerRow, sent: Moment) -> RowCommand {
        (self.is_late, self.unanswered) = (false, None);
        RowCommand::Shown {
            keep_alive: row.keep_alive,
            sent,
        }
    }

    /// The row was read in place of a write of this process, and is its own: an earlier write has
    /// landed, or this one.
    fn shown_by_reading(&mut self, row: &WorkerRow) -> RowCommand {
        let sent = self.unanswered.unwrap_or(self.sent);
        self.shown(row, sent)
    }

    /// Nobody knows what became of the last write.
    fn is_unanswered(&mut self) {
        self.is_late = true;
        self.unanswered.get_or_insert(self.sent);
    }

    /// The row of this incarnation is no more.
    fn lost(&mut self, now: Moment) -> Vec<RowCommand> {
        self.name = NameState::None;
        (self.is_late, self.unanswered) = (false, None);
        self.adopting = None;
        let mut commands = vec![RowCommand::Lost];
        commands.extend(self.settled(now));
        if self.aim == RowAim::Live {
            self.wakes = Some(now);
        }
        commands
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
        let mut commands = vec![self.shown_by_reading(&row), RowCommand::Announce];
        self.name = NameState::Own(row);
        self.adopting = None;
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
            if found.keep_alive == KeepAlive::Killed {
                return self.lost(now);
            }
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
    fn beat(
        &mut self,
        audits: u64,
        keep_alive: KeepAlive,
        lag: HeldLag,
        token: &mut dyn FnMut() -> Token,
    ) -> Vec<RowCommand> {
        let seen = match &self.name {
            NameState::Watched(_) => return self.call(RowCall::Watch, RowCommand::Read),
            NameState::None => None,
            NameState::Own(own) => Some(own.clone()),
        };
        let Some(seen) = seen else {
            return self.join(token);
        };
        let next = WorkerRow {
            audits,
            keep_alive,
            lag: Some(lag),
            ..seen.next()
        };
        self.call(
            RowCall::Beat(next.clone()),
            RowCommand::Replace { seen, next },
        )
    }

    /// The row that is watched, as it is now.
    fn watched(
        &mut self,
        found: Option<WorkerRow>,
        now: Moment,
        token: &mut dyn FnMut() -> Token,
    ) -> Vec<RowCommand> {
        let is_mine = |row: &WorkerRow| {
            let mine = self.adopting.as_ref();
            mine.is_some_and(|mine| mine.incarnation == row.incarnation)
        };
        if let Some(row) = found.clone().filter(is_mine) {
            return if row.keep_alive == KeepAlive::Killed {
                self.lost(now)
            } else {
                // The answer to its take-over was lost.
                self.joined(row, now)
            };
        }
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
    fn end(&mut self, now: Moment) -> Vec<RowCommand> {
        let NameState::Own(own) = &self.name else {
            return self.ended(now);
        };
        if self.tries == TRIES {
            // It is found dead, and deleted by others.
            return self.ended(now);
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

    /// It is marked or deleted, as far as it can be. The others look for themselves. The leases of a
    /// row that is marked are still being given up, and may need its heartbeats until then.
    fn ended(&mut self, now: Moment) -> Vec<RowCommand> {
        self.call = None;
        if self.aim == RowAim::Mark && self.holds_leases() {
            self.aim = RowAim::Live;
            self.wakes = Some(now + self.pause());
        }
        vec![RowCommand::Announce]
    }
}

#[cfg(test)]
#[path = "own_row_test.rs"]
mod tests;
