//! Carries out what `crate::decide::refusal` says of denied calls, for one service: a stream or the
//! lease table.
//!
//! | what the service says | what the worker sees |
//! |---|---|
//! | granted | the answer |
//! | denied, neither granted before nor proved by another call | the error: the configuration is wrong, and a worker that cannot start should say so at once |
//! | denied, granted before, not for long | a failure that is retried, and one [`Event::Refused`] |
//! | denied, granted before, for longer than the limit | the error |
//!
//! A change of a policy or a renewed role denies calls of a whole fleet for a second or two.
//! Without this, every worker of it would end at the same moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::decide::refusal::{RefusalVerdict, Refusals};
use crate::lease::{self, with_causes};
use crate::runtime::Clock;
use crate::stream::{self, ErrorKind};

use super::event::Event;
use super::events::EventSender;

/// What a service has granted a worker, and what it denies: a denial that has not lasted counts as
/// a transient failure.
#[derive(Debug)]
pub(crate) struct ServiceAccess {
    /// The service's name, for messages.
    of: Arc<str>,
    /// [`Settings::refusal_limit`](crate::worker::Settings::refusal_limit).
    limit: Duration,
    /// Measures how long a denial has lasted.
    clock: Arc<dyn Clock>,
    /// Where a denial is reported at once: it passes seldom by itself.
    outlet: EventSender,
    /// By the name of the call. The lock is never held over an await.
    refusals: Mutex<Refusals>,
}

/// What it proves if a call is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// That every permission is there: other denied calls, too, are only transient failures for a
    /// while.
    Everything,
    /// Only that this call is permitted; it needs no permission besides those that `Everything`
    /// proves.
    Itself,
    /// Only that this call is permitted. It needs its own permission, which an application may
    /// lack.
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

    /// The result of a call to a stream, as the worker should see it. A passing denial becomes
    /// [`ErrorKind::Unreachable`] and not a transient error: it may concern this worker's
    /// credentials alone, so the shard is left to another worker if it lasts.
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
            // Another worker may have permissions that this one lacks.
            Err(error) if error.kind == ErrorKind::Fatal && self.passes(call, tells, &error) => {
                Err(stream::Error {
                    kind: ErrorKind::Unreachable,
                    ..error
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The result of a call to the lease table, as the worker should see it. A conflict is an
    /// answer like any other: the write was permitted, and another worker was faster.
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

    /// Notes a granted call, and logs the end of a series of denials.
    fn granted(&self, call: &'static str, tells: Tells) {
        let over = self.lock().granted(call, tells == Tells::Everything);
        if over {
            tracing::warn!(of = %self.of, call, "a call that was refused is permitted again");
        }
    }

    /// Whether this denial is only a failure for now. The first of a series is reported, and the
    /// others are not: a fleet makes thousands of calls in a minute.
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
