//! The stream in memory as one that pushes records.
//!
//! Every method enters the call into the ledger first, so that a call that a test has ordered to
//! fail changes nothing. Whatever may end or feed a subscription then wakes all of them; each looks
//! for itself whether it is concerned.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::ShardId;
use crate::stream::{Consumer, ConsumerArn, Error, FanOut, StartAt, Subscription, WhichConsumer};

use super::MemoryStream;
use super::ledger::Operation;
use super::read::check_start;
use super::subscription::MemorySubscription;

#[async_trait]
impl FanOut for MemoryStream {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        let mut state = self.state();
        state
            .ledger
            .enter(Operation::DescribeConsumer, None, self.now())?;
        state
            .consumers
            .describe(Operation::DescribeConsumer.name(), which, self.now())
    }

    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
        let mut state = self.state();
        state
            .ledger
            .enter(Operation::RegisterConsumer, None, self.now())?;
        state.consumers.register(
            Operation::RegisterConsumer.name(),
            name,
            self.now(),
            self.wall(),
        )
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        // In a scope of its own: the lock is given back before subscriptions are woken, which take
        // it.
        {
            let mut state = self.state();
            state
                .ledger
                .enter(Operation::DeregisterConsumer, None, self.now())?;
            state.consumers.deregister(arn, self.now());
        }
        self.changed();
        Ok(())
    }

    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        let subscription = {
            let (operation, now) = (Operation::Subscribe, self.now());
            let mut state = self.state();
            state.ledger.enter(operation, Some(shard), now)?;
            // The shard first: one that has gone is `Gone`, whatever else is wrong.
            let log = state.log.shard(operation.name(), shard)?;
            check_start(operation.name(), at, self.wall())?;
            // From here on the subscription has a place of its own: what is put after this moment
            // is delivered.
            let place = log.place(at, state.log.tip());
            let (number, fault) =
                state
                    .consumers
                    .subscribe(operation.name(), consumer, shard, at, now)?;
            // By the stream's clock, so a simulated five minutes are over when the simulation says
            // so.
            let until = now + state.consumers.session;
            MemorySubscription::new(
                self.clone(),
                number,
                consumer.clone(),
                shard.clone(),
                place,
                now,
                until,
                fault,
            )
        };
        // Wakes the subscription that this one takes over from.
        self.changed();
        Ok(Box::new(subscription))
    }

    fn retention(&self) -> Duration {
        self.state().consumers.retention
    }
}
