#![expect(
    clippy::disallowed_methods,
    reason = "real sockets need real time, to fail rather than hang"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{
    BehaviorVersion, Builder, Credentials, Region, SharedCredentialsProvider,
};
use kcl_core::model::ShardId;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::kinesis::http::{Http2Client, Http2Settings};
use kcl_core::stream::{ConsumerArn, Error, FanOut as _, StartAt, Subscription};

pub(crate) const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";

pub(crate) fn config(endpoint: &str) -> Builder {
    aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKID", "secret", None, None, "test",
        )))
        .endpoint_url(endpoint)
}

pub(crate) fn stream_with(config: Builder) -> KinesisStream {
    KinesisStream::new(&Client::from_conf(config.build()), STREAM.parse().unwrap())
}

pub(crate) fn stream(at: SocketAddr) -> KinesisStream {
    stream_with(config(&format!("http://{at}")))
}

pub(crate) fn settings(change: impl FnOnce(&mut Http2Settings)) -> Http2Settings {
    let mut settings = Http2Settings::default();
    change(&mut settings);
    settings
}

/// A client of ours whose streams have windows of so many bytes.
pub(crate) fn windows_of(bytes: usize) -> Http2Client {
    Http2Client::new().with_settings(settings(|settings| {
        settings.window = u32::try_from(bytes).unwrap();
    }))
}

pub(crate) async fn subscribe(
    stream: &KinesisStream,
    shard: &str,
) -> Result<Box<dyn Subscription>, Error> {
    let consumer = ConsumerArn::new(format!("{STREAM}/consumer/orders-app:1700000000"));
    soon(stream.subscribe(&consumer, &ShardId::from(shard), &StartAt::TrimHorizon)).await
}

/// The data of the records of the next event; nothing at the end.
pub(crate) async fn next(
    subscription: &mut Box<dyn Subscription>,
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let pushed = soon(subscription.next()).await?;
    Ok(pushed.map(|pushed| {
        pushed
            .records
            .iter()
            .map(|record| record.data.to_vec())
            .collect()
    }))
}

/// What has to happen before long.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    within(Duration::from_mins(1), future).await
}

pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("it takes longer than {limit:?}"))
}

pub(crate) async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}
