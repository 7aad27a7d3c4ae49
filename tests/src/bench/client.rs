use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{
    BehaviorVersion, Builder, Config, Credentials, Region, StalledStreamProtectionConfig,
};

use super::h2c::H2c;

/// The client of every process, with the same settings.
pub(super) fn client(endpoint: &str) -> Client {
    Client::from_conf(config(endpoint).build())
}

/// The client that the bare loop subscribes with. Five seconds without a byte are usual between the
/// events of an idle shard.
pub(super) fn subscribing_client(endpoint: &str) -> Client {
    let config =
        config(endpoint).stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    // With TLS the SDK's own client speaks HTTP/2.
    let config = if endpoint.starts_with("https:") {
        config
    } else {
        config.http_client(H2c::new())
    };
    Client::from_conf(config.build())
}

fn config(endpoint: &str) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
}
