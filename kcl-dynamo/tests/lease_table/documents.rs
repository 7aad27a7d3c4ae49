//! What the docs say of rights and of the table is what the calls need.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use kcl_core::lease::LeaseTable as _;
use kcl_dynamo::{NewTable, OpenOptions};
use serde_json::{Value, json};

use crate::support::{Call, Dynamo, Fault, Fresh};

const POLICY: &str = include_str!("../../docs/policy.json");
const CLOUDFORMATION: &str = include_str!("../../docs/cloudformation.json");
const TERRAFORM: &str = include_str!("../../docs/table.tf");

/// An action and the table that it is on.
type Right = (String, String);

fn allowed(statement: &str) -> BTreeSet<Right> {
    let policy: Value = serde_json::from_str(POLICY).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let statement = statements
        .iter()
        .find(|found| found["Sid"] == statement)
        .unwrap();
    let resources = match &statement["Resource"] {
        Value::Array(resources) => resources.clone(),
        resource => vec![resource.clone()],
    };
    let table = |resource: &Value| {
        resource
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .replace("APPLICATION", "application")
    };
    let actions = statement["Action"].as_array().unwrap();
    let right = |action: &Value, resource: &Value| {
        (
            action.as_str().unwrap().replace("dynamodb:", ""),
            table(resource),
        )
    };
    actions
        .iter()
        .flat_map(|action| resources.iter().map(|resource| right(action, resource)))
        .collect()
}

fn beside_java() -> BTreeSet<Right> {
    &allowed("BesideJavaVersion") | &allowed("BesideJavaWorkers")
}

/// What a policy has to allow for these calls.
fn needed(calls: &[Call]) -> BTreeSet<Right> {
    let mut needed = BTreeSet::new();
    for call in calls {
        let table = call.body["TableName"].as_str().unwrap().to_owned();
        // Tags of a new table are a right of their own.
        if call.operation == "CreateTable" && call.body["Tags"].is_array() {
            needed.insert(("TagResource".to_owned(), table.clone()));
        }
        needed.insert((call.operation.clone(), table));
    }
    needed
}

#[tokio::test]
async fn the_policy_allows_what_is_called_and_nothing_else() {
    let made = Dynamo::new();
    let mut new = NewTable::new();
    new.tags.insert("team".to_owned(), "billing".to_owned());
    new.point_in_time_recovery = true;
    let on = json!({ "ContinuousBackupsDescription": { "ContinuousBackupsStatus": "ENABLED" } });
    made.fault("UpdateContinuousBackups", Fault::Answered(on));
    OpenOptions::new()
        .create(Some(new))
        .open_with_client(&made.client(), "application")
        .unwrap()
        .setup()
        .await
        .unwrap();
    let making = needed(&made.take_calls());
    let both: BTreeSet<Right> = &allowed("MakeTheTable") | &allowed("Leases");
    assert!(allowed("MakeTheTable").is_subset(&making), "{making:?}");
    assert!(making.is_subset(&both), "{making:?}");

    // Everything that a table of a worker does.
    let dynamos = Arc::new(Mutex::new(Vec::<Dynamo>::new()));
    let fresh = || {
        let dynamos = Arc::clone(&dynamos);
        async move {
            let dynamo = Dynamo::new();
            dynamos.lock().unwrap().push(dynamo.clone());
            let table = Fresh {
                table: "application".to_owned(),
                client: move || dynamo.client(),
            };
            table.open().setup().await.unwrap();
            table
        }
    };
    kcl_core::testing::lease_table::suite(fresh).await;
    let mut working = BTreeSet::new();
    for dynamo in dynamos.lock().unwrap().iter() {
        working.append(&mut needed(&dynamo.take_calls()));
    }
    let made_by_the_suite = [("CreateTable".to_owned(), "application".to_owned())];
    let beside_java = beside_java();
    let rest: BTreeSet<Right> = working
        .into_iter()
        .filter(|right| !made_by_the_suite.contains(right))
        .collect();
    assert_eq!(&rest - &beside_java, allowed("Leases"));
}

#[tokio::test]
async fn beside_java_the_tables_of_an_older_kcl_are_read() {
    let dynamo = Dynamo::new();
    let table = OpenOptions::new()
        .open_with_client(&dynamo.client(), "application")
        .unwrap();
    table.setup().await.unwrap();
    let lease = json!({
        "leaseKey": { "S": "shardId-000000000000" }, "leaseCounter": { "N": "5" }, "checkpoint": { "S": "TRIM_HORIZON" },
    });
    dynamo.ask(
        "PutItem",
        json!({ "TableName": "application", "Item": lease }),
    );
    let state = json!({
        "TableName": "application-CoordinatorState", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "key", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "key", "AttributeType": "S" }],
    });
    dynamo.ask("CreateTable", state);
    dynamo.take_calls();
    table.setup().await.unwrap();
    let others: BTreeSet<Right> = needed(&dynamo.take_calls())
        .into_iter()
        .filter(|(_, table)| table != "application")
        .collect();
    assert_eq!(others, beside_java());
}

/// The table of the CloudFormation template is one that is worked with.
#[tokio::test]
async fn the_cloudformation_template_makes_a_table_that_works() {
    let template: Value = serde_json::from_str(CLOUDFORMATION).unwrap();
    let mut properties = template["Resources"]["LeaseTable"]["Properties"].clone();
    properties["TableName"] = "application".into();
    // What is no part of CreateTable.
    properties
        .as_object_mut()
        .unwrap()
        .remove("PointInTimeRecoverySpecification");
    let dynamo = Dynamo::new();
    dynamo.ask("CreateTable", properties);
    let table = OpenOptions::new()
        .create(None)
        .open_with_client(&dynamo.client(), "application")
        .unwrap();
    table.setup().await.unwrap();
}

/// The table of the Terraform resource is that of the CloudFormation template.
#[test]
fn terraform_and_cloudformation_make_the_same_table() {
    let template: Value = serde_json::from_str(CLOUDFORMATION).unwrap();
    let table = &template["Resources"]["LeaseTable"]["Properties"];
    // The arguments by the names of the blocks that they are in.
    let (mut blocks, mut arguments) = (Vec::new(), Vec::new());
    for line in TERRAFORM.lines().map(str::trim) {
        if let Some((block, "")) = line.split_once(" {") {
            blocks.push(block);
        } else if line == "}" {
            blocks.pop().unwrap();
        } else if let Some((name, value)) = line.split_once('=') {
            arguments.push((
                blocks[1..].join("."),
                name.trim(),
                serde_json::from_str::<Value>(value.trim()).unwrap(),
            ));
        }
    }
    let recovers = &table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
    let wanted = [
        ("", "name", &table["TableName"]),
        ("", "billing_mode", &table["BillingMode"]),
        ("", "hash_key", &table["KeySchema"][0]["AttributeName"]),
        (
            "",
            "deletion_protection_enabled",
            &table["DeletionProtectionEnabled"],
        ),
        (
            "attribute",
            "name",
            &table["AttributeDefinitions"][0]["AttributeName"],
        ),
        (
            "attribute",
            "type",
            &table["AttributeDefinitions"][0]["AttributeType"],
        ),
        ("point_in_time_recovery", "enabled", recovers),
    ];
    let wanted = wanted.map(|(block, name, value)| (block.to_owned(), name, value.clone()));
    assert_eq!(arguments, wanted);
}
