use async_trait::async_trait;
use aws_smithy_types::body::SdkBody;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::model::ShardId;
use crate::runtime::within;
use crate::stream::{
    Consumer, ConsumerArn, ConsumerStatus, Error, ErrorKind, FanOut, StartAt, Stream as _,
    Subscription, WhichConsumer,
};

use super::classify::{CallFailure, KinesisOperation, classify};
use super::event_reader::EventReader;
use super::failure::{error_of, malformed};
use super::http::MessageGate;
use super::subscription::KinesisSubscription;
use super::take_body::TakeBody;
use super::{KinesisStream, convert};

#[async_trait]
impl FanOut for KinesisStream {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        let operation = KinesisOperation::DescribeStreamConsumer;
        self.check(operation)?;
        let call = self.client.describe_stream_consumer();
        // By name the service wants the stream's ARN beside it. The resource is for the message, if
        // a right is missing: the policy has to name it with the consumer's creation time, so a
        // `*`.
        let (call, resource) = match which {
            WhichConsumer::Name(name) => {
                let stream = self.stream_arn().await?;
                (
                    call.stream_arn(stream).consumer_name(&**name),
                    format!("{stream}/consumer/{name}:*"),
                )
            }
            WhichConsumer::Arn(arn) => (call.consumer_arn(arn.as_str()), arn.to_string()),
        };
        let sent = call.send().await;
        let output =
            sent.map_err(|error| self.placed(rights(error_of(operation, error, None), &resource)))?;
        let described = output
            .consumer_description
            .ok_or_else(|| malformed(operation, "the answer is empty"))?;
        convert::consumer(&described)
    }

    // A registration whose answer is lost may have been made all the same. Nothing is asked again
    // here: the caller describes the consumer by its name, as the contract says, and finds it. A
    // second registration would only be refused.
    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
        let operation = KinesisOperation::RegisterStreamConsumer;
        self.check(operation)?;
        let stream = self.stream_arn().await?;
        let sent = self
            .client
            .register_stream_consumer()
            .stream_arn(stream)
            .consumer_name(name)
            .send()
            .await;
        let output =
            sent.map_err(|error| self.placed(rights(error_of(operation, error, None), stream)))?;
        let registered = output
            .consumer
            .ok_or_else(|| malformed(operation, "the answer is empty"))?;
        convert::new_consumer(&registered)
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        let operation = KinesisOperation::DeregisterStreamConsumer;
        self.check(operation)?;
        let sent = self
            .client
            .deregister_stream_consumer()
            .consumer_arn(arn.as_str())
            .send()
            .await;
        // The service answers before the consumer is gone: it is `DELETING` for some seconds, and
        // its subscriptions end meanwhile.
        let Err(error) = sent else { return Ok(()) };
        let error = self.placed(rights(error_of(operation, error, None), arn.as_str()));
        match error.kind {
            // Also after a lost answer that is asked again: gone is what was wanted.
            ErrorKind::Gone => Ok(()),
            // It is being made, or being removed: the latter is what was asked for.
            ErrorKind::Busy => match self
                .describe_consumer(&WhichConsumer::Arn(arn.clone()))
                .await
            {
                Ok(consumer) if consumer.status == ConsumerStatus::Deleting => Ok(()),
                Err(described) if described.kind == ErrorKind::Gone => Ok(()),
                _ => Err(error),
            },
            _ => Err(error),
        }
    }

    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        let operation = KinesisOperation::SubscribeToShard;
        self.check(operation)?;
        let call = self
            .client
            .subscribe_to_shard()
            .consumer_arn(consumer.as_str())
            .shard_id(shard.as_str());
        // The gate goes to the HTTP client with the request, and stays with the subscription, which
        // closes it. The body is taken from the SDK before it is read.
        let (gate, body) = (MessageGate::default(), TakeBody::default());
        let goes_with = gate.clone();
        let call = call
            .set_starting_position(convert::starting_position(at))
            .customize()
            // Connections of its own, and no limit on the response: it goes on for five minutes.
            .config_override(self.subscribing.clone())
            .interceptor(body.clone())
            .mutate_request(move |request| request.add_extension(goes_with.clone()));
        // One limit spans the head of the answer and the first message: an endpoint that grants and
        // then says nothing would otherwise hold the shard, with neither records nor an error.
        let begun = async {
            let sent = call.send().with_subscriber(Dispatch::none()).await;
            sent.map_err(|error| rights(error_of(operation, error, None), consumer.as_str()))?;
            let body = body.taken().unwrap_or_else(SdkBody::empty);
            let pages = self.pages();
            let events = EventReader::new(body, pages.clone());
            KinesisSubscription::begun(shard.clone(), events, pages, gate).await
        };
        // The SDK's own limit ends with the head of the answer. The first message need not come.
        // If this future is dropped, so is the response, and the place on the connection is free.
        // The service may believe for a while that the subscription lives, and refuses the next one
        // for up to 5 s.
        match within(&*self.clock, self.call_limit, begun).await {
            Some(Ok(subscription)) => Ok(Box::new(subscription)),
            Some(Err(error)) => Err(self.placed(error)),
            None => {
                let message = format!(
                    "no answer in time: no first event within {:?}",
                    self.call_limit
                );
                let kind = classify(operation, &CallFailure::Late);
                Err(self.placed(Error::new(kind, operation.name(), message)))
            }
        }
    }
}

impl KinesisStream {
    /// The stream's ARN, asked for once when it is not known. Cancel safe.
    async fn stream_arn(&self) -> Result<&str, Error> {
        if let Some(arn) = self.stream.arn() {
            return Ok(arn);
        }
        // The ARN holds the account and the region, which no setting of a stream by its name tells.
        // Shards that start together ask once: the others wait for that answer, and the next one
        // asks if it failed or was dropped. A stream that is deleted and created again under its
        // name has the same ARN.
        let asked = self
            .arn_found
            .get_or_try_init(async || self.describe().await.map(|described| described.arn))
            .await;
        asked.map(|arn| &**arn)
    }
}

/// The same error, and for one of missing rights what right is missing: not every endpoint says so
/// itself.
fn rights(mut error: Error, resource: &str) -> Error {
    if error.message.starts_with("AccessDenied") {
        error.message.push_str(&format!(
            "; it needs the right `kinesis:{}` on `{resource}`",
            error.operation
        ));
    }
    error
}
