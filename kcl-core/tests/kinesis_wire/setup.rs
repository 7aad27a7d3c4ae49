use std::process::Command;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use kcl_core::stream::kinesis::{KinesisStream, SetupError};
use kcl_core::stream::{ShardFilter, Stream as _};
use serde_json::json;

use super::wire::{Answer, Wire};

/// A configuration on this wire that lacks what is not given.
fn config(
    wire: &Wire,
    region: Option<&'static str>,
    credentials: bool,
    endpoint: Option<&str>,
) -> SdkConfig {
    let keys =
        || SharedCredentialsProvider::new(Credentials::new("AKID", "secret", None, None, "test"));
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.map(Region::new))
        .http_client(wire.clone());
    config.set_credentials_provider(credentials.then(keys));
    config.set_endpoint_url(endpoint.map(ToOwned::to_owned));
    config.build()
}

#[tokio::test]
async fn a_stream_named_by_its_arn_is_in_the_arns_region() {
    for (name, host) in [
        ("orders", "kinesis.us-east-1."),
        (
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            "kinesis.eu-west-1.",
        ),
    ] {
        let wire = Wire::answering([Answer::ok(&json!({ "Shards": [] }))]);
        let config = config(&wire, Some("us-east-1"), true, None);
        let stream = KinesisStream::from_config(&config, name.parse().unwrap())
            .await
            .unwrap();
        stream.list_shards(&ShardFilter::All, None).await.unwrap();
        let uri = &wire.sent()[0].uri;
        assert!(uri.contains(host), "{uri}");
    }
}

#[tokio::test]
async fn an_endpoint_of_the_configuration_is_used() {
    let wire = Wire::answering([Answer::ok(&json!({ "Shards": [] }))]);
    let config = config(
        &wire,
        Some("us-east-1"),
        true,
        Some("http://127.0.0.1:4567"),
    );
    let stream = KinesisStream::from_config(&config, "orders".parse().unwrap())
        .await
        .unwrap();
    stream.list_shards(&ShardFilter::All, None).await.unwrap();
    assert!(wire.sent()[0].uri.starts_with("http://127.0.0.1:4567"));
}

#[tokio::test]
async fn a_missing_region_or_credentials_error_says_what_gives_them() {
    let wire = Wire::default();
    let made = async |region, credentials| {
        let config = config(&wire, region, credentials, None);
        KinesisStream::from_config(&config, "orders".parse().unwrap()).await
    };
    let error = made(None, true).await.unwrap_err();
    assert!(matches!(error, SetupError::NoRegion { .. }));
    assert!(error.to_string().contains("AWS_REGION"), "{error}");
    let error = made(Some("us-east-1"), false).await.unwrap_err();
    assert!(matches!(error, SetupError::NoCredentials { .. }));
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert!(wire.sent().is_empty());
}

/// What `from_env` says in a process with this environment and no other.
fn said_with(environment: &[(&str, &str)]) -> String {
    let home = std::env::temp_dir();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kinesis_wire::setup::child_process",
            "--ignored",
            "--nocapture",
        ])
        .env_clear()
        .envs([
            ("HOME", home.join("kcl-no-such-home").to_str().unwrap()),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text
        .lines()
        .find_map(|line| line.split_once("SAID: "))
        .map(|(_, said)| said.to_owned());
    said.unwrap_or_else(|| panic!("nothing said: {text}"))
}

#[tokio::test]
#[ignore = "the process that the next test starts"]
async fn child_process() {
    match KinesisStream::from_env("orders".parse().unwrap()).await {
        Ok(stream) => println!(
            "SAID: {}",
            stream
                .list_shards(&ShardFilter::All, None)
                .await
                .unwrap_err()
        ),
        Err(error) => println!("SAID: {error}"),
    }
}

#[test]
fn the_environment_is_read_and_what_it_lacks_is_named() {
    let region = ("AWS_REGION", "eu-west-1");
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let no_region = said_with(&keys);
    assert!(
        no_region.starts_with("no AWS region for stream `orders`: set AWS_REGION"),
        "{no_region}"
    );
    let no_credentials = said_with(&[region]);
    assert!(
        no_credentials.starts_with("no AWS credentials for stream `orders`: set AWS_ACCESS_KEY_ID"),
        "{no_credentials}"
    );
    // Nobody listens on port 1 of this machine: the endpoint was taken from the environment and
    // called.
    let called = said_with(&[
        region,
        keys[0],
        keys[1],
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ]);
    assert!(called.starts_with("ListShards: no connection"), "{called}");
    // Whoever has another region or endpoint in mind sees it.
    assert!(
        called.contains("(asked: http://127.0.0.1:1, region eu-west-1)"),
        "{called}"
    );
}
