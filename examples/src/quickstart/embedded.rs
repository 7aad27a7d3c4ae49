use std::error::Error;
use std::path::Path;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kinesis::types::{Shard, StreamStatus};
use kcl_core::model::ShardId;
use kcl_core::{Clock, SystemClock};
use kcl_local::stream::LocalStream;

/// The embedded stream of a state folder, and a client of it.
#[derive(Debug)]
pub struct Embedded {
    server: LocalStream,
    client: Client,
}

type BoxError = Box<dyn Error + Send + Sync>;

const SHARDS: i32 = 4;
/// The longest that the embedded stream allows, for replays: a week.
const RETENTION_HOURS: i32 = 168;
const SETTLE: Duration = Duration::from_millis(10);

impl Embedded {
    /// The name of the stream.
    pub const NAME: &str = "quickstart";

    /// Starts the stream that the folder holds, or makes one with 4 shards.
    ///
    /// # Errors
    /// The folder is in use by another process or cannot be used.
    pub async fn start(folder: &Path) -> Result<Self, BoxError> {
        let server = LocalStream::builder().folder(folder).start().await?;
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(server.endpoint())
            .region(Region::new(server.region().to_owned()))
            .credentials_provider(Credentials::new("any", "any", None, None, "quickstart"))
            // A put that is tried again may store its lines twice.
            .retry_config(RetryConfig::disabled());
        let stream = Self { server, client: Client::from_conf(config.build()) };
        stream.make().await?;
        Ok(stream)
    }

    /// A client of the stream, which never tries anything again.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Where other clients reach the stream while this program runs.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Ends the server.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    async fn make(&self) -> Result<(), BoxError> {
        let made = self.client.create_stream().stream_name(Self::NAME).shard_count(SHARDS).send().await;
        match made {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(aws_sdk_kinesis::operation::create_stream::CreateStreamError::is_resource_in_use_exception) => {}
            Err(error) => return Err(error.into()),
        }
        // Not with the SDK's waiter: its shortest pause is 10 s.
        self.settled().await?;
        let described = self.client.describe_stream_summary().stream_name(Self::NAME).send().await?;
        let hours = described
            .stream_description_summary()
            .map_or(0, aws_sdk_kinesis::types::StreamDescriptionSummary::retention_period_hours);
        if hours < RETENTION_HOURS {
            let increase = self.client.increase_stream_retention_period().stream_name(Self::NAME);
            increase.retention_period_hours(RETENTION_HOURS).send().await?;
        }
        self.settled().await
    }

    /// Waits until no change of the stream is under way.
    ///
    /// # Errors
    /// The stream cannot be described.
    pub async fn settled(&self) -> Result<(), BoxError> {
        loop {
            let described = self.client.describe_stream_summary().stream_name(Self::NAME).send().await?;
            if described.stream_description_summary().is_some_and(|summary| *summary.stream_status() == StreamStatus::Active) {
                return Ok(());
            }
            SystemClock.sleep_until(SystemClock.now() + SETTLE).await;
        }
    }

    /// All shards that the stream has, parents before their children.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn shards(&self) -> Result<Vec<Shard>, BoxError> {
        let mut shards = Vec::new();
        let mut page = self.client.list_shards().stream_name(Self::NAME).send().await?;
        loop {
            shards.extend(page.shards.take().unwrap_or_default());
            let Some(next) = page.next_token.take() else { break };
            page = self.client.list_shards().next_token(next).send().await?;
        }
        shards.sort_unstable_by(|a, b| a.shard_id.cmp(&b.shard_id));
        Ok(shards)
    }

    /// Those that take records.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn open_shards(&self) -> Result<Vec<ShardId>, BoxError> {
        let shards = self.shards().await?;
        Ok(shards.iter().filter(|shard| is_open(shard)).map(|shard| ShardId::from(shard.shard_id())).collect())
    }
}

/// Whether a shard takes records.
pub(super) fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none())
}
