//! Opens the stream of a command. The reader is the one that workers use, so what `kcl` can read, a
//! worker with the same credentials can read.

use aws_config::BehaviorVersion;
use kcl_core::KinesisStream;
use kcl_core::model::StreamName;

use crate::arguments::StreamArguments;
use crate::failure::Failure;

/// Opens a stream by name or ARN, at AWS or at the endpoint of an emulator.
///
/// Kinesis is not called yet: whether the stream exists shows at the first call that follows. An ARN
/// brings its own region, so a stream in another region needs no AWS_REGION.
///
/// # Errors
/// There is no region, or there are no credentials.
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

/// The failure for a call of the stream that has failed. It names the stream, because the error of
/// the call names only the operation.
pub(crate) fn failed(name: &StreamName, error: kcl_core::stream::Error) -> Failure {
    Failure::new(format!("cannot read the stream {name}"), error)
}
