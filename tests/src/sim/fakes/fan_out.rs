use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::model::ShardId;
use kcl_core::stream::{
    Consumer, ConsumerArn, ConsumerStatus, Error, ErrorKind, FanOut, Pushed, StartAt, Subscription,
    WhichConsumer,
};

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::history::{Event, Over};
use crate::sim::link::{Life, Service};
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{At, sleep};
use crate::sim::state::WorldState;
use crate::sim::truth::{Refused, since_beginning};
use crate::sim::world::FanOut as Faults;

use super::false_end;
use super::stream::{place_of, say_found, shard_of, spoil};

/// A stream that pushes records, as one process sees it.
#[derive(Clone, Debug)]
pub(crate) struct SimFanOut {
    life: Arc<Life>,
    /// Which stream of the world it is.
    stream: usize,
    faults: Faults,
}

impl SimFanOut {
    pub(crate) const fn new(life: Arc<Life>, stream: usize, faults: Faults) -> Self {
        Self {
            life,
            stream,
            faults,
        }
    }

    fn faults(&self, healed: bool) -> Faults {
        if healed {
            self.faults.healed()
        } else {
            self.faults.clone()
        }
    }
}

#[async_trait]
impl FanOut for SimFanOut {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        let operation = "DescribeStreamConsumer";
        let describe = |state: &mut WorldState| {
            let found = state
                .consumers
                .describe(self.stream, which, self.life.sim.now());
            if found
                .as_ref()
                .is_some_and(|consumer| consumer.status == ConsumerStatus::Creating)
            {
                state.counts.add(Fault::ConsumerNotActive);
            }
            found.ok_or_else(|| {
                Error::new(
                    ErrorKind::Gone,
                    operation,
                    format!("there is no consumer {which:?}"),
                )
            })
        };
        self.life.stream_call(operation, describe).await
    }

    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
        let operation = "RegisterStreamConsumer";
        let register = |state: &mut WorldState| {
            let creating_ms = self.faults(state.healed).creating_ms;
            let made =
                state
                    .consumers
                    .register(self.stream, name, self.life.sim.now(), creating_ms);
            made.ok_or_else(|| {
                Error::new(
                    ErrorKind::Busy,
                    operation,
                    format!("there is a consumer {name}"),
                )
            })
        };
        self.life.stream_call(operation, register).await
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        let deregister = |state: &mut WorldState| {
            state.consumers.deregister(arn);
            Ok(())
        };
        self.life
            .stream_call("DeregisterStreamConsumer", deregister)
            .await
    }

    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        let operation = "SubscribeToShard";
        let busy = |why: &str| Error::new(ErrorKind::Busy, operation, why);
        let life = &self.life;
        let known = life
            .sim
            .state()
            .stream
            .shard(self.stream, shard)
            .map(|(index, _)| index);
        if let Some(index) = known {
            life.sim.say(Event::Subscribing {
                life: life.id,
                shard: index,
            });
        }
        let subscribe = |state: &mut WorldState| {
            let now = life.sim.now();
            let faults = self.faults(state.healed);
            let index = shard_of(state, self.stream, shard, operation)?;
            if state.dice.chance(faults.busy) {
                state.counts.add(Fault::SubscriptionRefused);
                return Err(busy("somebody has it"));
            }
            let number = state
                .consumers
                .subscribe(consumer, index, now)
                .map_err(|refused| match refused {
                    Refused::Unknown => Error::new(
                        ErrorKind::Gone,
                        operation,
                        format!("there is no consumer {consumer}"),
                    ),
                    Refused::NotActive => {
                        state.counts.add(Fault::ConsumerNotActive);
                        busy("the consumer is not active")
                    }
                    Refused::TooSoon => {
                        state.counts.add(Fault::SubscriptionRefused);
                        busy("the last subscription is too young")
                    }
                })?;
            let too_far = match (life.sim.mutant(), at) {
                (Some(Mutant::ResumeOneTooFar), StartAt::Sequence(_)) => 2,
                (Some(Mutant::SubscribesAfter), StartAt::Sequence(_)) => 1,
                _ => 0,
            };
            let raw = place_of(state, index, at, operation)? + too_far;
            state.say(
                now,
                Event::Subscribed {
                    life: life.id,
                    shard: index,
                },
            );
            Ok((index, number, raw, now))
        };
        let (index, number, raw, now) = life.stream_call(operation, subscribe).await?;
        Ok(Box::new(SimSubscription {
            fan_out: self.clone(),
            consumer: consumer.clone(),
            shard: shard.clone(),
            index,
            number,
            dice: Dice::new(life.sim.world().seed, &format!("subscription {number}")),
            raw,
            goes_on: false,
            opened: now,
            // Some time passes before the first event.
            next_at: now.plus(1),
            heard_at: now,
            phase: Phase::Open,
            was_cut: false,
        }))
    }

    fn retention(&self) -> Duration {
        match self.life.sim.world().load.retention_ms {
            0 => Duration::from_hours(24),
            millis => Duration::from_millis(millis),
        }
    }
}

/// A subscription: a reader with a place of its own, on the service's side.
#[derive(Debug)]
struct SimSubscription {
    fan_out: SimFanOut,
    consumer: ConsumerArn,
    shard: ShardId,
    index: usize,
    number: u64,
    /// Of its own: how often somebody waits here for what changes nothing that others draw.
    dice: Dice,
    /// Where it reads next.
    raw: usize,
    /// Records were pushed: what is missing before the next ones was overtaken by retention.
    goes_on: bool,
    opened: At,
    /// The next event is there then at the earliest.
    next_at: At,
    /// When the last event came.
    heard_at: At,
    phase: Phase,
    was_cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing comes any more, and nobody says so.
    Silent,
    Over,
}

/// An idle shard sends an empty event so often.
const HEARTBEAT_MS: u64 = 5_000;
/// How often it is looked whether there is something to push.
const LOOK_MS: u64 = 250;

/// What a look came to.
enum Look {
    Nothing,
    Event(Pushed),
    End(Over),
}

#[async_trait]
impl Subscription for SimSubscription {
    /// Nothing changes while it waits: cancel safe.
    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        let life = Arc::clone(&self.fan_out.life);
        loop {
            life.gate.pass().await;
            let now = life.sim.now();
            if now < self.next_at {
                life.sim.origin().sleep_until(self.next_at).await;
                continue;
            }
            let cut = life.is_cut(Service::Stream);
            let look = if cut {
                self.cut_off()
            } else {
                self.look(&mut life.sim.state(), now)
            };
            match look {
                Look::Nothing => sleep(LOOK_MS).await,
                Look::Event(pushed) => return Ok(Some(pushed)),
                Look::End(over) => {
                    self.phase = Phase::Over;
                    life.sim.say(Event::SubscriptionOver {
                        life: life.id,
                        shard: self.index,
                        how: over,
                        unused: !self.goes_on,
                    });
                    let failed = |kind| {
                        Err(Error::new(
                            kind,
                            "SubscribeToShard",
                            "a simulated failure of the subscription",
                        ))
                    };
                    return match over {
                        Over::Ended | Over::ShardEnded => Ok(None),
                        Over::Taken => failed(ErrorKind::Busy),
                        Over::Gone => failed(ErrorKind::Gone),
                        Over::Reset => failed(ErrorKind::Transient),
                    };
                }
            }
        }
    }
}

impl SimSubscription {
    /// Nothing gets through; what was sent is repeated when it does again.
    fn cut_off(&mut self) -> Look {
        if !std::mem::replace(&mut self.was_cut, true) {
            self.fan_out.life.sim.count(Fault::StreamCut);
        }
        Look::Nothing
    }

    fn look(&mut self, state: &mut WorldState, now: At) -> Look {
        self.was_cut = false;
        match self.phase {
            Phase::Silent => return Look::Nothing,
            Phase::Over => return Look::End(Over::ShardEnded),
            Phase::Open => {}
        }
        let faults = self.fan_out.faults(state.healed);
        if now.since(self.opened) >= faults.session_ms {
            state.counts.add(Fault::SubscriptionEnded);
            return Look::End(Over::Ended);
        }
        if !state.consumers.has(&self.consumer, self.index, self.number) {
            state.counts.add(Fault::SubscriptionTaken);
            return Look::End(if self.dice.chance(0.5) {
                Over::Taken
            } else {
                Over::Ended
            });
        }
        if shard_of(state, self.fan_out.stream, &self.shard, "SubscribeToShard").ok()
            != Some(self.index)
        {
            return Look::End(Over::Gone);
        }
        let limit = if self.dice.chance(0.2) {
            self.dice.range(1, 4)
        } else {
            10_000
        };
        let mut found = state.stream.read(self.index, self.raw, limit as usize, now);
        let is_withheld = faults.endless && found.next.is_none();
        if is_withheld {
            found.next = Some(found.behind);
        }
        if found.records.is_empty()
            && found.next.is_some()
            && now.since(self.heard_at) < HEARTBEAT_MS
        {
            return Look::Nothing;
        }
        if self.dice.chance(faults.reset) {
            state.counts.add(Fault::SubscriptionReset);
            return Look::End(Over::Reset);
        }
        if self.dice.chance(faults.end) {
            state.counts.add(Fault::SubscriptionEnded);
            return Look::End(Over::Ended);
        }
        if self.dice.chance(faults.silent) {
            state.counts.add(Fault::SubscriptionSilent);
            self.phase = Phase::Silent;
            return Look::Nothing;
        }
        if self.dice.chance(faults.late) {
            state.counts.add(Fault::LateEvent);
            self.next_at = now.plus(self.dice.range(1, faults.late_ms));
            return Look::Nothing;
        }
        self.heard_at = now;
        let life = Arc::clone(&self.fan_out.life);
        let rate = life.sim.link(Service::Stream, state.healed).false_end;
        let is_drawn = self.dice.chance(false_end::chance(state, self.index, rate));
        let is_last = found.next.is_none() || is_withheld;
        let false_end = false_end::is_told(
            &life,
            state,
            self.index,
            found.records.len(),
            is_last,
            is_drawn,
        );
        if false_end && (is_last || self.dice.chance(0.5)) {
            self.phase = Phase::Over;
            return Look::Event(
                Pushed::new(Vec::new()).last(false_end::named(&life, state, self.index)),
            );
        }
        if !false_end && !found.records.is_empty() && self.dice.chance(faults.empty) {
            state.counts.add(Fault::EmptyEvent);
            // As old as what it leaves out.
            let first = found.records.first().and_then(|record| record.arrived_at);
            let behind = first.map_or(found.millis_behind, |at| {
                now.since(since_beginning(at)).max(1)
            });
            return Look::Event(self.continued(state, Pushed::new(Vec::new()).behind(behind)));
        }
        say_found(&self.fan_out.life, state, self.index, &found, self.goes_on);
        spoil(&self.fan_out.life, state, self.index, &mut found);
        if false_end {
            (found.next, found.children) = (None, false_end::named(&life, state, self.index));
        }
        self.goes_on |= !found.records.is_empty();
        let base_ms = self
            .fan_out
            .life
            .sim
            .link(Service::Stream, state.healed)
            .base_ms;
        self.next_at = now.plus(self.dice.range(base_ms / 2, base_ms));
        let mut pushed = Pushed::new(found.records).behind(found.millis_behind);
        if is_withheld {
            state.counts.add(Fault::EndWithheld);
            if !self.dice.chance(faults.unnamed) {
                pushed.named = std::mem::take(&mut found.children);
            }
        }
        match found.next {
            Some(raw) => {
                self.raw = raw;
                Look::Event(self.continued(state, pushed))
            }
            None => {
                self.phase = Phase::Over;
                if !false_end {
                    state.say(
                        now,
                        Event::EndPushed {
                            life: self.fan_out.life.id,
                            shard: self.index,
                        },
                    );
                }
                let mut children = found.children;
                if !children.is_empty() && self.dice.chance(faults.unnamed) {
                    state.counts.add(Fault::ChildrenUnnamed);
                    children.clear();
                }
                Look::Event(pushed.last(children))
            }
        }
    }

    /// With the place at which another subscription goes on.
    fn continued(&self, state: &WorldState, pushed: Pushed) -> Pushed {
        match state.stream.sequence_before(self.index, self.raw) {
            Some(sequence) => pushed.continued_at(sequence),
            None => pushed,
        }
    }
}
