use aws_config::BehaviorVersion;
use kcl_core::KinesisStream;
use kcl_core::model::StreamName;

use crate::arguments::StreamArguments;
use crate::failure::Failure;

/// Opens a stream.
pub(crate) async fn open(
    name: &StreamName,
    at: &StreamArguments,
) -> Result<KinesisStream, Failure> {
    let mut config = aws_config::defaults(BehaviorVersion::latest());
    if let Some(endpoint) = &at.endpoint {
        config = config.endpoint_url(endpoint);
    }
    KinesisStream::from_config(&config.load().await, name.clone())
        .await
        .map_err(|error| Failure::new(format!("cannot open the stream {name}"), error))
}

/// A call of the stream has failed.
pub(crate) fn failed(name: &StreamName, error: kcl_core::stream::Error) -> Failure {
    Failure::new(format!("cannot read the stream {name}"), error)
}
