//! How the program that runs the server uses it through the AWS SDK.

use kcl_core::KinesisStream;
use kcl_core::aws_sdk_kinesis::Client;
use kcl_core::aws_sdk_kinesis::config::retry::RetryConfig;
use kcl_core::aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use kcl_core::model::InvalidValue;
use kcl_core::stream::kinesis::http::Http1Client;

use super::LocalStream;

/// Access through the AWS SDK. Over HTTPS (`LocalStreamBuilder::tls`), a client has to trust the
/// server's certificate: create one with `client.config().to_builder()` and your own HTTP client.
impl LocalStream {
    /// The stream of this name as a source for a worker, to pass to
    /// [`Builder::source`](kcl_core::worker::Builder::source). Does not check that the stream
    /// exists.
    ///
    /// ```
    /// use kcl_core::Worker;
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinesis = LocalStream::start().await?;
    /// kinesis.create("orders", 2).await?;
    /// let builder = Worker::builder().stream("orders").source(kinesis.source("orders")?);
    /// # drop(builder);
    /// # kinesis.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the name is not a valid stream name.
    pub fn source(&self, stream: &str) -> Result<KinesisStream, InvalidValue> {
        let source = KinesisStream::new(&self.client(), stream.parse()?);
        Ok(source.read_over(Http1Client::new()))
    }

    /// An SDK client of this server, for the whole Kinesis API. It does not retry, so that a test
    /// sees every error, and no record is put twice.
    ///
    /// ```
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinesis = LocalStream::start().await?;
    /// kinesis.create("orders", 2).await?;
    /// let listed = kinesis.client().list_shards().stream_name("orders").send().await?;
    /// assert_eq!(listed.shards().len(), 2);
    /// # kinesis.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.endpoint())
            .region(Region::new(self.region().to_owned()))
            .credentials_provider(Credentials::new("any", "any", None, None, "local"))
            .retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }
}
