use std::path::Path;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kinesis::types::{Shard, StreamStatus};
use kcl_core::BoxError;
use kcl_core::model::ShardId;
use kcl_core::{Clock, SystemClock};
use kcl_local::stream::{LocalStream, LocalStreamBuilder};

/// An embedded stream with a client.
#[derive(Debug)]
pub struct Embedded {
    server: LocalStream,
    client: Client,
    name: &'static str,
}

/// The longest retention that the embedded stream allows, for replays: a week.
const RETENTION_HOURS: i32 = 168;
const SETTLE: Duration = Duration::from_millis(10);

impl Embedded {
    /// Opens the stream in the folder, or creates one with this name and number of shards.
    ///
    /// # Errors
    /// If the folder is in use by another process or cannot be used.
    pub async fn in_folder(
        name: &'static str,
        shards: i32,
        folder: &Path,
    ) -> Result<Self, BoxError> {
        Self::start(name, shards, LocalStream::builder().folder(folder)).await
    }

    /// Creates a stream that is lost when this program ends.
    ///
    /// # Errors
    /// If the server cannot be started.
    pub async fn in_memory(name: &'static str, shards: i32) -> Result<Self, BoxError> {
        Self::start(name, shards, LocalStream::builder()).await
    }

    async fn start(
        name: &'static str,
        shards: i32,
        builder: LocalStreamBuilder,
    ) -> Result<Self, BoxError> {
        let server = builder.start().await?;
        let client = server.client();
        let stream = Self {
            server,
            client,
            name,
        };
        stream.make(shards).await?;
        Ok(stream)
    }

    /// The name of the stream.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A client of the stream, which does not retry.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The URL at which other clients can reach the stream while this program runs.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Ends the server.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    async fn make(&self, shards: i32) -> Result<(), BoxError> {
        let made = self
            .client
            .create_stream()
            .stream_name(self.name)
            .shard_count(shards)
            .send()
            .await;
        match made {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(aws_sdk_kinesis::operation::create_stream::CreateStreamError::is_resource_in_use_exception) => {}
            Err(error) => return Err(error.into()),
        }
        // Without the SDK's waiter, whose shortest pause is 10 s.
        self.settled().await?;
        let described = self
            .client
            .describe_stream_summary()
            .stream_name(self.name)
            .send()
            .await?;
        let hours = described.stream_description_summary().map_or(
            0,
            aws_sdk_kinesis::types::StreamDescriptionSummary::retention_period_hours,
        );
        if hours < RETENTION_HOURS {
            let increase = self
                .client
                .increase_stream_retention_period()
                .stream_name(self.name);
            increase
                .retention_period_hours(RETENTION_HOURS)
                .send()
                .await?;
        }
        self.settled().await
    }

    /// Waits until no change of the stream is in progress.
    ///
    /// # Errors
    /// If the stream cannot be described.
    pub async fn settled(&self) -> Result<(), BoxError> {
        loop {
            let described = self
                .client
                .describe_stream_summary()
                .stream_name(self.name)
                .send()
                .await?;
            if described
                .stream_description_summary()
                .is_some_and(|summary| *summary.stream_status() == StreamStatus::Active)
            {
                return Ok(());
            }
            SystemClock.sleep_until(SystemClock.now() + SETTLE).await;
        }
    }

    /// All shards of the stream, parents before their children.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn shards(&self) -> Result<Vec<Shard>, BoxError> {
        let mut shards = Vec::new();
        let mut page = self
            .client
            .list_shards()
            .stream_name(self.name)
            .send()
            .await?;
        loop {
            shards.extend(page.shards.take().unwrap_or_default());
            let Some(next) = page.next_token.take() else {
                break;
            };
            page = self.client.list_shards().next_token(next).send().await?;
        }
        shards.sort_unstable_by(|a, b| a.shard_id.cmp(&b.shard_id));
        Ok(shards)
    }

    /// The open shards.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn open_shards(&self) -> Result<Vec<ShardId>, BoxError> {
        let shards = self.shards().await?;
        Ok(shards
            .iter()
            .filter(|shard| is_open(shard))
            .map(|shard| ShardId::from(shard.shard_id()))
            .collect())
    }
}

/// A client of an embedded stream at this endpoint, which does not retry.
#[must_use]
pub fn client(endpoint: &str, region: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new("any", "any", None, None, "embedded"))
        // A retried put may store its records twice.
        .retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

/// Whether a shard is open.
#[must_use]
pub fn is_open(shard: &Shard) -> bool {
    shard
        .sequence_number_range()
        .is_some_and(|range| range.ending_sequence_number().is_none())
}
