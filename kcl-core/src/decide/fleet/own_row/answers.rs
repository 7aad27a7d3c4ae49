//! What follows from the answers to the calls.

use crate::decide::fleet::row_call::RowCall;
use crate::decide::fleet::row_event::{RowCommand, RowFailure};
use crate::lease::{Error, KeepAlive, WorkerRow};
use crate::model::{Moment, Token};

use super::{NameState, OwnRow, RowAim};

/// Answers.
impl OwnRow {
    pub(super) fn written(&mut self, answer: Result<(), Error>, now: Moment) -> Vec<RowCommand> {
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
                let mut commands = vec![self.shown(&row, self.sent)];
                self.name = NameState::Own(row);
                commands.extend(self.settled(now));
                commands
            }
            (RowCall::Mark(row), Ok(())) => {
                let mut commands = vec![self.shown(&row, self.sent)];
                self.name = NameState::Own(row);
                commands.extend(self.ended(now));
                commands
            }
            (RowCall::Delete, Ok(())) => self.ended(now),

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
            ) => {
                // Sooner than at its turn it would be no better.
                self.is_late = false;
                self.settled(now)
            }
            (RowCall::Create(_) | RowCall::Succeed(_), Err(error)) => {
                self.unanswered.get_or_insert(self.sent);
                self.not_joined(error, now)
            }
            (RowCall::Beat(_), Err(error)) if error.is_transient() => {
                self.is_unanswered();
                self.settled(now)
            }
            (RowCall::Beat(_), Err(error)) => vec![RowCommand::Fail(RowFailure::Table(error))],
            (RowCall::Mark(_) | RowCall::Delete, Err(error)) if error.is_transient() => {
                self.unanswered.get_or_insert(self.sent);
                self.end_later(now)
            }
            (RowCall::Mark(_) | RowCall::Delete, Err(_)) => self.ended(now),
            // The next wake-up looks again.
            (RowCall::Adopt(row), Err(error)) => {
                if error.is_transient() {
                    self.unanswered.get_or_insert(self.sent);
                    self.adopting = Some(row);
                }
                self.settled(now)
            }
            // A write is not what a read was asked for.
            (
                RowCall::ReadToJoin(_)
                | RowCall::FindOwn { .. }
                | RowCall::Watch
                | RowCall::ReadToDelete,
                _,
            ) => self.settled(now),
        }
    }

    pub(super) fn read(
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
            (RowCall::FindOwn { wrote }, Ok(found)) => self.found_own(found, &wrote, now),
            (RowCall::FindOwn { .. }, Err(_)) => {
                self.is_unanswered();
                self.settled(now)
            }
            (RowCall::Watch, Ok(found)) => self.watched(found, now, token),
            (RowCall::ReadToDelete, Ok(Some(row))) if self.is_own(&row) => {
                self.name = NameState::Own(row);
                self.settled(now)
            }
            (RowCall::ReadToDelete, _) => self.ended(now),
            (_, _) => self.settled(now),
        }
    }

    fn is_own(&self, row: &WorkerRow) -> bool {
        self.own()
            .is_some_and(|own| own.incarnation == row.incarnation)
    }

    /// The row as this process knows it.
    const fn own(&self) -> Option<&WorkerRow> {
        match &self.name {
            NameState::Own(own) => Some(own),
            NameState::None | NameState::Watched(_) => None,
        }
    }

    /// The row that is there in place of the one that was written last.
    fn found_own(
        &mut self,
        found: Option<WorkerRow>,
        wrote: &WorkerRow,
        now: Moment,
    ) -> Vec<RowCommand> {
        let Some(row) = found.filter(|row| {
            row.incarnation != wrote.incarnation || row.keep_alive != KeepAlive::Killed
        }) else {
            // Others took this worker for dead, and killed or deleted its row.
            return self.lost(now);
        };
        let is_marking = self.aim == RowAim::Mark;
        if row.incarnation != wrote.incarnation {
            if is_marking {
                return self.ended(now);
            }
            return vec![RowCommand::Fail(RowFailure::NameIsTaken)];
        }
        // A late second copy of what once made the row has made it again, after others had found this
        // worker dead and deleted it. They take its leases: what was killed does not live again.
        let known = self.own().map(|own| own.counter);
        if known > Some(row.counter) {
            return self.lost(now);
        }
        if row.drains > wrote.drains {
            return self.drained_by_operator(row, now);
        }
        // It was refused, though nobody has written the row since: it was not there when it was.
        if known == Some(row.counter) {
            return self.lost(now);
        }
        // A write without an answer was applied: an earlier one, or this.
        let is_done = is_marking && row.without_lag() == wrote.without_lag();
        let mut commands = vec![self.shown_by_reading(&row)];
        self.name = NameState::Own(row);
        commands.extend(if is_done {
            self.ended(now)
        } else {
            self.settled(now)
        });
        commands
    }

    /// An operator has written into the row, to drain this worker or to end that. Which write of this
    /// process came before it cannot be told, so it shows no life. The next one does, and does not
    /// wait for its turn.
    fn drained_by_operator(&mut self, row: WorkerRow, now: Moment) -> Vec<RowCommand> {
        self.name = NameState::Own(row);
        self.is_unanswered();
        let commands = self.settled(now);
        if self.aim == RowAim::Live {
            self.wakes = Some(now);
        }
        commands
    }
}
