//! The registered consumer of an application: found, or made once, and shared by all shards.
//!
//! Kinesis allows 20 consumers per stream, creates at most five at a time, and takes seconds for
//! each. If every shard of every worker registered one, a start would be nothing but refusals. So a
//! worker looks once, and all workers of an application use one name: the first one registers it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::decide::registration::{Next, Registering, RegistrationCall, Why};
use crate::fetch::page_decoder::bounded;
use crate::model::{Moment, StreamName};
use crate::runtime::{Clock, jitter, pause};
use crate::stream::{Consumer, ConsumerArn, Error, ErrorKind, FanOut, WhichConsumer};

use super::NoConsumer;
use super::calls::Calls;

/// The consumer of an application on one stream: found, or registered, once for all the shards that
/// a worker reads.
///
/// Whoever needs it first looks for it; the others wait for what comes out. A look that is dropped
/// half-way leaves nothing behind that the next one does not find by its description.
pub(crate) struct Registration {
    /// For messages.
    stream: StreamName,
    /// By name, which may be registered, or by ARN, which somebody else has registered.
    which: WhichConsumer,
    /// The stream's calls.
    fan_out: Arc<dyn FanOut>,
    /// For the age of what is known.
    clock: Arc<dyn Clock>,
    /// How long one call may take.
    call_limit: Duration,
    /// How long the search may take in all; a consumer that is being created needs some seconds.
    longest: Duration,
    /// What was found, or why nothing was. It is held while somebody looks, so that the others wait
    /// for the result instead of looking as well.
    known: Mutex<KnownConsumer>,
    /// When which shard was subscribed to, across tenancies.
    calls: Calls,
}

/// The last result, good or bad. Both have a time, because a consumer can be removed and made
/// again.
#[derive(Default)]
struct KnownConsumer {
    /// The consumer, and when the call was sent that showed it.
    consumer: Option<(ConsumerArn, Moment)>,
    /// Why it is not available, and when that was found out.
    failed: Option<(NoConsumer, Moment)>,
}

impl Registration {
    /// Of a consumer that is to be there after `longest`.
    pub(crate) fn new(
        stream: StreamName,
        which: WhichConsumer,
        fan_out: Arc<dyn FanOut>,
        clock: Arc<dyn Clock>,
        call_limit: Duration,
        longest: Duration,
    ) -> Self {
        Self {
            stream,
            which,
            fan_out,
            clock,
            call_limit,
            longest,
            known: Mutex::default(),
            calls: Calls::default(),
        }
    }

    pub(super) fn fan_out(&self) -> &Arc<dyn FanOut> {
        &self.fan_out
    }

    /// The calls that subscribed to a shard by this consumer.
    pub(super) const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The consumer, as it was known to be there at `since` or later.
    ///
    /// # Errors
    /// It is not available, or not in time.
    ///
    /// `since` is when the caller's call was sent that did not find the consumer: an older result
    /// does not disprove that. Cancel safe: the next caller looks.
    pub(crate) async fn consumer(&self, since: Moment) -> Result<ConsumerArn, NoConsumer> {
        let asked = self.clock.now();
        let mut known = self.known.lock().await;
        if let Some((consumer, _)) = known.consumer.as_ref().filter(|(_, shown)| *shown >= since) {
            return Ok(consumer.clone());
        }
        // Who has waited for somebody else's failure does not try the same again.
        if let Some((failure, _)) = known.failed.as_ref().filter(|(_, found)| *found > asked) {
            return Err(failure.clone());
        }
        match self.look().await {
            Ok(found) => {
                known.consumer = Some(found.clone());
                Ok(found.0)
            }
            Err(failure) => {
                known.failed = Some((failure.clone(), self.clock.now()));
                Err(failure)
            }
        }
    }

    /// Asks and waits as `decide::registration` says, until there is a consumer or a reason why
    /// not.
    async fn look(&self) -> Result<(ConsumerArn, Moment), NoConsumer> {
        let may_register = matches!(self.which, WhichConsumer::Name(_));
        let mut registering = Registering::new(may_register, self.longest, self.clock.now());
        let (mut asked, mut after) = (RegistrationCall::Describe, Duration::ZERO);
        loop {
            pause(&*self.clock, after).await;
            let sent = self.clock.now();
            let answer = self.ask(asked).await;
            let told = answer
                .as_ref()
                .map(|consumer| consumer.status)
                .map_err(|error| error.kind);
            tracing::debug!(
                consumer = self.which.text(),
                ?asked,
                ?told,
                "looked for the consumer"
            );
            match registering.after(asked, told, self.clock.now(), jitter()) {
                Next::Use => {
                    let arn = match (&answer, &self.which) {
                        (Ok(consumer), _) => consumer.arn.clone(),
                        (Err(_), WhichConsumer::Arn(arn)) => arn.clone(),
                        (Err(_), WhichConsumer::Name(_)) => {
                            return Err(self.without(Why::Refused, answer.err()));
                        }
                    };
                    return Ok((arn, sent));
                }
                Next::Ask(next, pause) => (asked, after) = (next, pause),
                Next::GiveUp(why) => return Err(self.without(why, answer.err())),
            }
        }
    }

    /// One call. A consumer that is given by its ARN belongs to somebody else and is never
    /// registered.
    async fn ask(&self, asked: RegistrationCall) -> Result<Consumer, Error> {
        match (asked, &self.which) {
            (RegistrationCall::Register, WhichConsumer::Name(name)) => {
                let call = self.fan_out.register_consumer(name);
                let made = bounded(
                    &*self.clock,
                    self.call_limit,
                    "RegisterStreamConsumer",
                    call,
                )
                .await;
                if made.is_ok() {
                    tracing::info!(stream = %self.stream, consumer = %name, "registered a consumer for fan-out");
                }
                made
            }
            (RegistrationCall::Register, WhichConsumer::Arn(_)) => Err(Error::new(
                ErrorKind::Fatal,
                "RegisterStreamConsumer",
                "a consumer that is given by its ARN is not made",
            )),
            (RegistrationCall::Describe, which) => {
                let call = self.fan_out.describe_consumer(which);
                bounded(
                    &*self.clock,
                    self.call_limit,
                    "DescribeStreamConsumer",
                    call,
                )
                .await
            }
        }
    }

    /// The error, with what was looked for and what the service said last.
    fn without(&self, why: Why, source: Option<Error>) -> NoConsumer {
        NoConsumer {
            stream: self.stream.clone(),
            consumer: self.which.text().into(),
            why,
            source: source.map(Arc::new),
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("stream", &self.stream)
            .field("which", &self.which)
            .finish_non_exhaustive()
    }
}
