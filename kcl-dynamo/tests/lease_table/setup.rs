//! The way to a table that can be used, and what is said when there is none.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
use kcl_core::lease::{Error, LeaseTable as _};
use kcl_dynamo::{DynamoLeaseTable, NewTable, OpenError, OpenOptions};
use serde_json::{Value, json};

use crate::support::{Dynamo, Fault, TimerClock};

fn open(dynamo: &Dynamo, options: OpenOptions) -> DynamoLeaseTable {
    options
        .open_with_client(&dynamo.client(), "application")
        .unwrap()
}

/// On the paused clock of the test.
fn patient(dynamo: &Dynamo, options: OpenOptions) -> DynamoLeaseTable {
    open(dynamo, options.clock(Arc::new(TimerClock::new())))
}

fn make(dynamo: &Dynamo, keys: &Value, definitions: &Value) {
    let body = json!({
        "TableName": "application", "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys, "AttributeDefinitions": definitions,
    });
    dynamo.ask("CreateTable", body);
}

fn fatal(answer: Result<(), Error>) -> String {
    match answer {
        Err(Error::Fatal { message, .. }) => message,
        other => panic!("a fatal error was due: {other:?}"),
    }
}

#[tokio::test]
async fn a_missing_table_is_made_as_it_was_asked_for() {
    let dynamo = Dynamo::new();
    let mut new = NewTable::new();
    new.tags = BTreeMap::from([("team".to_owned(), "billing".to_owned())]);
    new.deletion_protection = true;
    open(&dynamo, OpenOptions::new().create(Some(new)))
        .setup()
        .await
        .unwrap();
    let table = &dynamo.ask("DescribeTable", json!({ "TableName": "application" }))["Table"];
    assert_eq!(
        table["KeySchema"],
        json!([{ "AttributeName": "leaseKey", "KeyType": "HASH" }])
    );
    assert_eq!(
        table["BillingModeSummary"]["BillingMode"],
        "PAY_PER_REQUEST"
    );
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert!(table["GlobalSecondaryIndexes"].is_null());
    let tags = dynamo.ask(
        "ListTagsOfResource",
        json!({ "ResourceArn": table["TableArn"] }),
    );
    assert_eq!(tags["Tags"], json!([{ "Key": "team", "Value": "billing" }]));
}

#[tokio::test]
async fn a_table_that_is_never_to_be_made_is_asked_for() {
    let dynamo = Dynamo::new();
    let said = fatal(
        open(&dynamo, OpenOptions::new().create(None).table("elsewhere"))
            .setup()
            .await,
    );
    for part in ["no table `elsewhere`", "`leaseKey` (HASH, S)"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert!(
        dynamo
            .take_calls()
            .iter()
            .all(|call| call.operation == "DescribeTable")
    );
}

#[tokio::test]
async fn a_table_with_another_key_is_refused_and_left_alone() {
    let text = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let hash = |name: &str| json!({ "AttributeName": name, "KeyType": "HASH" });
    for (keys, definitions, found) in [
        (
            json!([hash("key")]),
            json!([text("key")]),
            "`key` (HASH, S)",
        ),
        (
            json!([hash("leaseKey")]),
            json!([{ "AttributeName": "leaseKey", "AttributeType": "N" }]),
            "`leaseKey` (HASH, N)",
        ),
        (
            json!([hash("leaseKey"), { "AttributeName": "sort", "KeyType": "RANGE" }]),
            json!([text("leaseKey"), text("sort")]),
            "`leaseKey` (HASH, S) and `sort` (RANGE, S)",
        ),
    ] {
        let dynamo = Dynamo::new();
        make(&dynamo, &keys, &definitions);
        let said = fatal(open(&dynamo, OpenOptions::new()).setup().await);
        assert!(
            said.contains(&format!(
                "has the key {found}: expected `leaseKey` (HASH, S) as the only key"
            )),
            "{said}"
        );
        assert!(
            dynamo
                .take_calls()
                .iter()
                .all(|call| call.operation == "DescribeTable")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_still_being_made_is_waited_for() {
    let dynamo = Dynamo::new();
    patient(&dynamo, OpenOptions::new()).setup().await.unwrap();
    let table = |status: &str| {
        let mut answer = dynamo.ask("DescribeTable", json!({ "TableName": "application" }));
        answer["Table"]["TableStatus"] = status.into();
        Fault::Answered(answer)
    };
    for _ in 0..7 {
        dynamo.fault("DescribeTable", table("CREATING"));
    }
    patient(&dynamo, OpenOptions::new()).setup().await.unwrap();
    dynamo.fault("DescribeTable", table("DELETING"));
    let said = fatal(patient(&dynamo, OpenOptions::new()).setup().await);
    assert!(said.contains("is DELETING"), "{said}");
    for _ in 0..100 {
        dynamo.fault("DescribeTable", table("CREATING"));
    }
    match patient(&dynamo, OpenOptions::new()).setup().await {
        Err(Error::Throttled { source }) => {
            assert!(
                source.to_string().contains("still being created"),
                "{source}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_is_turned_on_as_soon_as_the_new_table_allows_it() {
    let dynamo = Dynamo::new();
    let mut new = NewTable::new();
    new.point_in_time_recovery = true;
    for _ in 0..3 {
        let fault = Fault::Refused(400, "ContinuousBackupsUnavailableException", "not yet");
        dynamo.fault("UpdateContinuousBackups", fault);
    }
    let answer =
        json!({ "ContinuousBackupsDescription": { "ContinuousBackupsStatus": "ENABLED" } });
    dynamo.fault("UpdateContinuousBackups", Fault::Answered(answer));
    patient(&dynamo, OpenOptions::new().create(Some(new)))
        .setup()
        .await
        .unwrap();
    let calls = dynamo.take_calls();
    let asked: Vec<_> = calls
        .iter()
        .filter(|call| call.operation == "UpdateContinuousBackups")
        .collect();
    assert_eq!(asked.len(), 4);
    assert_eq!(
        asked[0].body["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        true
    );
}

/// A right that is missing is named at the start and nothing is written.
#[tokio::test]
async fn a_missing_right_is_named_at_the_start() {
    for action in [
        "DescribeTable",
        "CreateTable",
        "Scan",
        "GetItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
    ] {
        let dynamo = Dynamo::new();
        let words = format!(
            "User: arn:aws:iam::123456789012:user/x is not authorized to perform: \
             dynamodb:{action} on resource: arn:x"
        );
        dynamo.always(action, 400, "AccessDeniedException", &words);
        let said = match open(&dynamo, OpenOptions::new()).setup().await {
            Err(Error::Denied { message }) => message,
            other => panic!("a denial was due: {other:?}"),
        };
        for part in [
            format!("{action} on table `application`"),
            format!("need `dynamodb:{action}`"),
            "arn:x".to_owned(),
        ] {
            assert!(said.contains(&part), "{part} is not in: {said}");
        }
        if action.ends_with("Item") || action == "Scan" {
            assert_eq!(
                dynamo.ask("Scan", json!({ "TableName": "application" }))["Count"],
                0
            );
        }
    }
}

#[tokio::test]
async fn workers_that_start_at_once_make_one_table() {
    let dynamo = Dynamo::new();
    let tables: Vec<_> = (0..8).map(|_| open(&dynamo, OpenOptions::new())).collect();
    for answer in futures_util::future::join_all(tables.iter().map(DynamoLeaseTable::setup)).await {
        answer.unwrap();
    }
    assert_eq!(
        dynamo.ask("Scan", json!({ "TableName": "application" }))["Count"],
        0,
        "setting up writes no row"
    );
}

#[test]
fn settings_that_cannot_be_are_named() {
    let dynamo = Dynamo::new();
    let refused = |options: OpenOptions, application: &str| {
        options
            .open_with_client(&dynamo.client(), application)
            .unwrap_err()
    };
    let error = refused(OpenOptions::new(), "my application");
    assert!(
        matches!(&error, OpenError::TableName { .. })
            && error.to_string().contains("`my application`"),
        "{error}"
    );
    refused(OpenOptions::new(), "ab");
    refused(OpenOptions::new().table("a".repeat(256)), "application");
    let error = refused(
        OpenOptions::new().call_limit(Duration::from_millis(99)),
        "application",
    );
    assert!(
        error
            .to_string()
            .contains("invalid call_limit: got 99ms, expected 100ms to 60s"),
        "{error}"
    );
    refused(
        OpenOptions::new().call_limit(Duration::from_secs(61)),
        "application",
    );

    let nowhere = Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(dynamo.clone())
            .build(),
    );
    let error = OpenOptions::new()
        .open_with_client(&nowhere, "application")
        .unwrap_err();
    assert!(
        matches!(&error, OpenError::NoRegion { .. }) && error.to_string().contains("AWS_REGION"),
        "{error}"
    );
    let region = Region::new("eu-west-1");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .build();
    let opened = futures_util::FutureExt::now_or_never(
        OpenOptions::new().open_with_config(&config, "application"),
    );
    let error = opened.unwrap().unwrap_err();
    assert!(
        matches!(&error, OpenError::NoCredentials { .. })
            && error.to_string().contains("AWS_ACCESS_KEY_ID"),
        "{error}"
    );
}

/// What `open` says in a process with this environment and no other.
fn said_with(environment: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lease_table::setup::child_process",
            "--ignored",
            "--nocapture",
        ])
        .env_clear()
        .envs([
            ("HOME", "/no-such-home"),
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
    match DynamoLeaseTable::open("application").await {
        Ok(table) => println!("SAID: {:?}", table.setup().await.unwrap_err()),
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
        no_region.starts_with("no AWS region for the lease table `application`: set AWS_REGION"),
        "{no_region}"
    );
    let no_credentials = said_with(&[region]);
    assert!(
        no_credentials.starts_with("no AWS credentials for the lease table `application`"),
        "{no_credentials}"
    );
    // Nobody listens on port 1 of this machine: the endpoint was taken from the environment and
    // called.
    let called = said_with(&[
        region,
        keys[0],
        keys[1],
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
    ]);
    assert!(
        called.contains("DescribeTable on table") || called.contains("DescribeTable"),
        "{called}"
    );
    assert!(called.starts_with("Throttled"), "{called}");
}
