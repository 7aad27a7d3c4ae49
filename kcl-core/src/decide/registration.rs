//! How an application gets its registered fan-out consumer: what follows each answer of the
//! service.
//!
//! ```text
//!                  +--- missing -----> register --- busy: another worker was first ---+
//!                  |                       |                                          |
//!   describe ------+--- CREATING ----------+-------> describe every second <----------+   (the first time sooner)
//!       ^          |                                        |
//!       |          +--- DELETING (gone soon) ---------------+
//!       +-------------------------------------------------- +--- ACTIVE ---> use
//! ```
//!
//! Any number of workers may do this at the same time: the service registers a name only once, and
//! the second worker is told that the name is in use. A consumer that was given by its ARN is never
//! registered.

use std::time::Duration;

use crate::model::Moment;
use crate::stream::{ConsumerStatus, ErrorKind};

use super::backoff::Backoff;

/// A call to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationCall {
    /// Describe the consumer.
    Describe,
    /// Register it.
    Register,
}

/// What to do. The caller makes calls and waits; it decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The consumer can be used.
    Use,
    /// Make this call after this pause.
    Ask(RegistrationCall, Duration),
    /// It is not available. What follows depends on the mode: polling, or an error.
    GiveUp(Why),
}

/// Why a consumer is not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The stream cannot push records.
    #[error("the stream's source cannot push records: use polling instead")]
    Unsupported,
    /// It does not exist and was given by its ARN.
    #[error(
        "it does not exist, and a consumer given by ARN is not registered automatically: register \
         it, or give a name instead"
    )]
    Missing,
    /// The stream does not exist.
    #[error("there is no such stream")]
    NoStream,
    /// The stream has reached its limit of consumers. It may pass when another application removes
    /// its consumer, so it is retried for a while.
    #[error(
        "the stream has accepted no further consumer for {0:?}: the limits are 20 per stream (50 in some modes) and 5 being registered at a \
         time. Remove one, use an existing one, or poll"
    )]
    Limit(Duration),
    /// Access is denied.
    #[error(
        "access is denied: needs the permissions kinesis:DescribeStreamConsumer and kinesis:RegisterStreamConsumer on the stream \
         and its consumers, and kinesis:SubscribeToShard on the consumer"
    )]
    Refused,
    /// It was being created or deleted for too long.
    #[error("it did not become ACTIVE within {0:?}")]
    NotActive(Duration),
    /// The service gave no useful answer for too long.
    #[error("there was no answer within {0:?}")]
    NoAnswer(Duration),
}

/// How long the registration may take: a consumer is usually active within seconds (the KCL waits
/// 10 s), and a fleet that starts all at once is slowed down by the service's limits (5
/// registrations and 20 descriptions per second).
pub const LONGEST: Duration = Duration::from_mins(1);

/// How long it may take if the worker polls the stream otherwise: 10 s, because nothing is read in
/// the meantime.
pub const LONGEST_BEFORE_POLLING: Duration = Duration::from_secs(10);

/// The pause between two descriptions of a consumer that is being created or deleted: 1 s, as in
/// the KCL, plus up to a quarter.
const AGAIN: Duration = Duration::from_secs(1);
/// The pause between the registration and the first description.
const SOON: Duration = Duration::from_millis(200);
/// Passing failures: 200 ms, doubled up to 5 s.
const RETRY: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// The service's limits are per second, and a fleet that starts shares them: 1 s, doubled up to 10
/// s.
const THROTTLED: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

/// The registration of one consumer.
#[derive(Clone, Debug)]
pub struct Registering {
    /// A consumer that was given by its ARN belongs to somebody else.
    may_register: bool,
    /// From `began` on, with all pauses.
    longest: Duration,
    began: Moment,
    /// The failed calls in a row, for the pause.
    failures: u32,
}

impl Registering {
    /// Begins at `began` and may take `longest`. `may_register` is false if the consumer was given
    /// by its ARN. The first call to make is a description.
    #[must_use]
    pub const fn new(may_register: bool, longest: Duration, began: Moment) -> Self {
        Self {
            may_register,
            longest,
            began,
            failures: 0,
        }
    }

    /// What follows this answer, which was received at `now`, with `jitter` drawn uniformly from 0
    /// to 1.
    pub fn after(
        &mut self,
        asked: RegistrationCall,
        answer: Result<ConsumerStatus, ErrorKind>,
        now: Moment,
        jitter: f64,
    ) -> Next {
        use RegistrationCall::{Describe, Register};
        let (next, too_late) = match (asked, answer) {
            (_, Ok(ConsumerStatus::Active)) => return Next::Use,
            (Describe, Ok(ConsumerStatus::Deleting)) if !self.may_register => {
                return Next::GiveUp(Why::Missing);
            }
            (_, Ok(_)) => {
                self.failures = 0;
                // Only one worker has registered it, so that one may ask sooner: a stream on this
                // host is quick.
                let pause = if asked == Register { SOON } else { AGAIN };
                (
                    Next::Ask(Describe, pause + pause.mul_f64(bounded(jitter) / 4.0)),
                    Why::NotActive(self.longest),
                )
            }
            (Describe, Err(ErrorKind::Gone)) if self.may_register => (
                Next::Ask(Register, Duration::ZERO),
                Why::NotActive(self.longest),
            ),
            (Describe, Err(ErrorKind::Gone)) => return Next::GiveUp(Why::Missing),
            // A worker without the permission to describe it may still use it; otherwise the
            // subscription fails.
            (Describe, Err(ErrorKind::Denied | ErrorKind::Fatal)) if !self.may_register => {
                return Next::Use;
            }
            (Register, Err(ErrorKind::Gone)) => return Next::GiveUp(Why::NoStream),
            (_, Err(ErrorKind::Denied | ErrorKind::Fatal)) => return Next::GiveUp(Why::Refused),
            // Another worker was first.
            (Register, Err(ErrorKind::Busy)) => (
                Next::Ask(Describe, AGAIN.mul_f64(bounded(jitter) / 4.0)),
                Why::NotActive(self.longest),
            ),
            // Describe instead of registering again: another worker may have registered it in the
            // meantime.
            (Register, Err(ErrorKind::Throttled)) => {
                (self.paused(THROTTLED, jitter), Why::Limit(self.longest))
            }
            (Describe, Err(ErrorKind::Throttled)) => {
                (self.paused(THROTTLED, jitter), Why::NoAnswer(self.longest))
            }
            (
                _,
                Err(
                    ErrorKind::Busy
                    | ErrorKind::Transient
                    | ErrorKind::Unreachable
                    | ErrorKind::Expired,
                ),
            ) => (self.paused(RETRY, jitter), Why::NoAnswer(self.longest)),
        };
        let pause = if let Next::Ask(_, pause) = &next {
            *pause
        } else {
            Duration::ZERO
        };
        if (now + pause).since(self.began) > self.longest {
            Next::GiveUp(too_late)
        } else {
            next
        }
    }

    /// Never less than half of the longest pause, so that a call that fails immediately is not
    /// repeated immediately.
    fn paused(&mut self, backoff: Backoff, jitter: f64) -> Next {
        let pause = backoff.longest(self.failures) / 2 + backoff.delay(self.failures, jitter) / 2;
        self.failures = self.failures.saturating_add(1);
        Next::Ask(RegistrationCall::Describe, pause)
    }
}

/// A jitter from 0 to 1, whatever the caller gives: a pause is never negative and never endless.
fn bounded(jitter: f64) -> f64 {
    if jitter.is_nan() {
        1.0
    } else {
        jitter.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_origin(Duration::from_secs(100));

    fn after(
        may_register: bool,
        asked: RegistrationCall,
        answer: Result<ConsumerStatus, ErrorKind>,
    ) -> Next {
        Registering::new(may_register, LONGEST, NOW).after(asked, answer, NOW, 0.0)
    }

    #[test]
    fn each_answer_has_one_thing_that_follows() {
        use ConsumerStatus::{Active, Creating, Deleting};
        use RegistrationCall::{Describe, Register};
        let (now, second) = (Duration::ZERO, Duration::from_secs(1));
        let millis = Duration::from_millis;
        let cases = [
            (Describe, Ok(Active), Next::Use),
            (Describe, Ok(Creating), Next::Ask(Describe, second)),
            (Describe, Ok(Deleting), Next::Ask(Describe, second)),
            (Describe, Err(ErrorKind::Gone), Next::Ask(Register, now)),
            (
                Describe,
                Err(ErrorKind::Throttled),
                Next::Ask(Describe, millis(500)),
            ),
            (
                Describe,
                Err(ErrorKind::Transient),
                Next::Ask(Describe, millis(100)),
            ),
            (Describe, Err(ErrorKind::Denied), Next::GiveUp(Why::Refused)),
            (Describe, Err(ErrorKind::Fatal), Next::GiveUp(Why::Refused)),
            (Register, Ok(Active), Next::Use),
            (Register, Ok(Creating), Next::Ask(Describe, millis(200))),
            (Register, Err(ErrorKind::Busy), Next::Ask(Describe, now)),
            (
                Register,
                Err(ErrorKind::Throttled),
                Next::Ask(Describe, millis(500)),
            ),
            (
                Register,
                Err(ErrorKind::Transient),
                Next::Ask(Describe, millis(100)),
            ),
            (Register, Err(ErrorKind::Gone), Next::GiveUp(Why::NoStream)),
            (Register, Err(ErrorKind::Denied), Next::GiveUp(Why::Refused)),
        ];
        for (asked, answer, next) in cases {
            assert_eq!(after(true, asked, answer), next, "{asked:?} {answer:?}");
        }
    }

    #[test]
    fn chance_makes_a_wait_up_to_a_quarter_longer() {
        use RegistrationCall::{Describe, Register};
        for (jitter, quarters) in [
            (0.0, 0.0),
            (0.5, 0.5),
            (1.0, 1.0),
            (7.0, 1.0),
            (f64::NAN, 1.0),
        ] {
            let pause = |asked, answer| match Registering::new(true, LONGEST, NOW)
                .after(asked, answer, NOW, jitter)
            {
                Next::Ask(Describe, pause) => pause,
                other => panic!("{other:?}"),
            };
            let quarter = Duration::from_millis(250).mul_f64(quarters);
            assert_eq!(
                pause(Describe, Ok(ConsumerStatus::Creating)),
                AGAIN + quarter,
                "{jitter}"
            );
            assert_eq!(
                pause(Register, Ok(ConsumerStatus::Creating)),
                SOON + quarter / 5,
                "{jitter}"
            );
            assert_eq!(pause(Register, Err(ErrorKind::Busy)), quarter, "{jitter}");
        }
    }

    #[test]
    fn what_would_be_asked_just_in_time_is_still_asked() {
        let mut registering = Registering::new(true, LONGEST, NOW);
        let mut after = |now| {
            registering.after(
                RegistrationCall::Describe,
                Ok(ConsumerStatus::Creating),
                now,
                0.0,
            )
        };
        let last = NOW + (LONGEST - AGAIN);
        assert_eq!(after(last), Next::Ask(RegistrationCall::Describe, AGAIN));
        assert_eq!(
            after(last + Duration::from_millis(1)),
            Next::GiveUp(Why::NotActive(LONGEST))
        );
    }

    #[test]
    fn one_that_was_given_by_its_arn_is_never_made() {
        use RegistrationCall::Describe;
        assert_eq!(
            after(false, Describe, Err(ErrorKind::Gone)),
            Next::GiveUp(Why::Missing)
        );
        assert_eq!(
            after(false, Describe, Ok(ConsumerStatus::Deleting)),
            Next::GiveUp(Why::Missing)
        );
        for refused in [ErrorKind::Denied, ErrorKind::Fatal] {
            assert_eq!(
                after(false, Describe, Err(refused)),
                Next::Use,
                "the right to subscribe is another one"
            );
        }
        assert_eq!(
            after(false, Describe, Ok(ConsumerStatus::Creating)),
            Next::Ask(Describe, Duration::from_secs(1))
        );
    }

    /// Gives the same answers again and again, and says how long it took to give up, and why.
    fn until_given_up(
        longest: Duration,
        answers: impl Fn(RegistrationCall) -> Result<ConsumerStatus, ErrorKind>,
    ) -> (Duration, Why) {
        let (mut registering, mut asked, mut now) = (
            Registering::new(true, longest, NOW),
            RegistrationCall::Describe,
            NOW,
        );
        loop {
            match registering.after(asked, answers(asked), now, 1.0) {
                Next::Use => panic!("it cannot be used"),
                Next::Ask(next, pause) => {
                    (asked, now) = (next, now + pause + Duration::from_millis(5));
                }
                Next::GiveUp(why) => return (now.since(NOW), why),
            }
        }
    }

    #[test]
    fn it_is_given_up_in_time_for_the_reason_that_was_said_last() {
        let full = |asked| match asked {
            RegistrationCall::Describe => Err(ErrorKind::Gone),
            RegistrationCall::Register => Err(ErrorKind::Throttled),
        };
        for longest in [LONGEST, LONGEST_BEFORE_POLLING] {
            for (answers, wanted) in [
                (
                    &full as &dyn Fn(RegistrationCall) -> Result<ConsumerStatus, ErrorKind>,
                    Why::Limit(longest),
                ),
                (&|_| Ok(ConsumerStatus::Creating), Why::NotActive(longest)),
                (&|_| Err(ErrorKind::Transient), Why::NoAnswer(longest)),
            ] {
                let (took, why) = until_given_up(longest, answers);
                assert_eq!(why, wanted);
                assert!(
                    took <= longest && took + Duration::from_secs(11) > longest,
                    "{why} {took:?}"
                );
            }
        }
    }
}
