use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::ProvideCredentials as _;

use crate::BoxError;
use crate::model::StreamName;

use super::KinesisStream;
use super::http::Http1Client;

/// Why there is no client for a stream. Nothing has been sent to Kinesis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Nothing says which region the stream is in.
    #[error(
        "no AWS region for stream `{stream}`: set AWS_REGION (or AWS_DEFAULT_REGION), or `region` in the profile of \
         ~/.aws/config that AWS_PROFILE names, or name the stream by its ARN"
    )]
    NoRegion {
        /// The stream.
        stream: StreamName,
    },
    /// Nothing gives credentials.
    #[error(
        "no AWS credentials for stream `{stream}`: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (any value will do for a \
         local endpoint), or AWS_PROFILE to a profile of ~/.aws/config or ~/.aws/credentials, or run with a role"
    )]
    NoCredentials {
        /// The stream.
        stream: StreamName,
        /// What the providers of credentials said.
        #[source]
        source: Option<BoxError>,
    },
}

impl KinesisStream {
    /// The stream as the environment describes it: region, credentials and endpoint from where
    /// every AWS SDK looks for them (`AWS_REGION`, `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_KINESIS`, ..., the files in `~/.aws`, the role of the
    /// machine or container). A stream named by its ARN is in the ARN's region.
    ///
    /// # Errors
    /// When there is no region or there are no credentials: before Kinesis is called.
    pub async fn from_env(stream: StreamName) -> Result<Self, SetupError> {
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        Self::from_config(&config, stream).await
    }

    /// The stream with this configuration. A stream named by its ARN is in the ARN's region.
    ///
    /// # Errors
    /// When there is no region or there are no credentials: before Kinesis is called.
    pub async fn from_config(config: &SdkConfig, stream: StreamName) -> Result<Self, SetupError> {
        let region = region_of(&stream).or_else(|| config.region().cloned());
        let Some(region) = region else {
            return Err(SetupError::NoRegion { stream });
        };
        let Some(credentials) = config.credentials_provider() else {
            return Err(SetupError::NoCredentials {
                stream,
                source: None,
            });
        };
        if let Err(error) = credentials.provide_credentials().await {
            return Err(SetupError::NoCredentials {
                stream,
                source: Some(error.into()),
            });
        }
        let config = aws_sdk_kinesis::config::Builder::from(config)
            .region(region)
            .build();
        let own_http = config.http_client().is_some();
        let made = Self::new(&Client::from_conf(config), stream);
        Ok(if own_http {
            made
        } else {
            made.read_over(Http1Client::new())
        })
    }
}

/// The region in a stream's ARN: `arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME`.
fn region_of(stream: &StreamName) -> Option<Region> {
    let region = stream.arn()?.split(':').nth(3)?;
    Some(Region::new(region.to_owned()))
}
