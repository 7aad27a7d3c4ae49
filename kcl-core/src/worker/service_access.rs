use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::decide::refusal::{RefusalVerdict, Refusals};
use crate::lease::{self, with_causes};
use crate::runtime::Clock;
use crate::stream::{self, ErrorKind};

use super::event::Event;
use super::events::EventSender;

/// What a service has granted a worker, and what it refuses: a refusal that has not lasted is a
/// failure that passes.
#[derive(Debug)]
pub(crate) struct ServiceAccess {
    /// The service, as people call it.
    of: Arc<str>,
    limit: Duration,
    clock: Arc<dyn Clock>,
    outlet: EventSender,
    refusals: Mutex<Refusals>,
}

/// What a call tells of a service when it is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// That every right is there that the service asks for: other calls, too, are refused for a
    /// while only.
    Everything,
    /// That this call may be made, which needs no more than what proves everything.
    Itself,
    /// That this call may be made. It needs a right of its own, which an application may do
    /// without.
    ItselfAlone,
}

impl ServiceAccess {
    pub(super) fn new(
        of: impl Into<Arc<str>>,
        limit: Duration,
        clock: Arc<dyn Clock>,
        outlet: EventSender,
    ) -> Self {
        Self {
            of: of.into(),
            limit,
            clock,
            outlet,
            refusals: Mutex::default(),
        }
    }

    /// The answer of a call of a stream, as the worker is to see it.
    pub(super) fn stream<T>(
        &self,
        tells: Tells,
        call: &'static str,
        answer: Result<T, stream::Error>,
    ) -> Result<T, stream::Error> {
        match answer {
            Ok(answer) => {
                self.granted(call, tells);
                Ok(answer)
            }
            // Another worker may have rights that this one lacks.
            Err(error) if error.kind == ErrorKind::Fatal && self.passes(call, tells, &error) => {
                Err(stream::Error {
                    kind: ErrorKind::Unreachable,
                    ..error
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The answer of a call of the lease table, as the worker is to see it.
    pub(super) fn table<T>(
        &self,
        tells: Tells,
        call: &'static str,
        answer: Result<T, lease::Error>,
    ) -> Result<T, lease::Error> {
        match answer {
            Ok(_) | Err(lease::Error::Conflict { .. }) => self.granted(call, tells),
            Err(error @ lease::Error::Denied { .. }) if self.passes(call, tells, &error) => {
                return Err(lease::Error::Throttled {
                    source: Box::new(error),
                });
            }
            Err(_) => {}
        }
        answer
    }

    fn granted(&self, call: &'static str, tells: Tells) {
        let over = self.lock().granted(call, tells == Tells::Everything);
        if over {
            tracing::warn!(of = %self.of, call, "a call that was refused is permitted again");
        }
    }

    fn passes(
        &self,
        call: &'static str,
        tells: Tells,
        error: &(dyn std::error::Error + 'static),
    ) -> bool {
        let verdict = self.lock().refused(
            call,
            tells != Tells::ItselfAlone,
            self.clock.now(),
            self.limit,
        );
        if verdict == (RefusalVerdict::Again { first: true }) {
            let (of, limit, error): (_, _, Arc<str>) =
                (Arc::clone(&self.of), self.limit, with_causes(error).into());
            self.outlet.say(Event::Refused {
                of,
                call,
                limit,
                error,
            });
        }
        verdict != RefusalVerdict::Final
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
