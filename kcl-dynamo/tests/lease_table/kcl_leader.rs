//! Beside a Java worker that leads: by what it is known, and that nothing more is taken then.

use crate::support::{Call, Dynamo, TimerClock};
use kcl_core::Clock as _;
use kcl_core::lease::{Consistency, Error, LeaseTable as _, Write};
use kcl_dynamo::{Coexistence, KclIsLeading, OpenOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

use super::kcl_compat::{
    COMPATIBLE, TWO_WORKERS, at_work, items, leader, lease, live, old_lease, open, put, rows,
    seconds, table_of, take, with, worker,
};

/// A fleet that leads is a typed error at the start and nothing is written.
#[tokio::test]
async fn a_kcl_that_leads_is_a_typed_error_at_the_start() {
    let dynamo = with(&at_work(items(TWO_WORKERS)));
    let before = rows(&dynamo);
    let error = open(&dynamo, OpenOptions::new()).setup().await.unwrap_err();
    assert!(!error.is_transient());
    let source =
        std::error::Error::source(&error).and_then(|source| source.downcast_ref::<KclIsLeading>());
    let leading = source.unwrap_or_else(|| panic!("{error}"));
    for part in [
        "`application`",
        "CLIENT_VERSION_3X",
        "`w1`",
        "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X",
    ] {
        assert!(
            leading.to_string().contains(part),
            "{part} is not in: {leading}"
        );
    }
    let waiting = open(&dynamo, OpenOptions::new().wait_for_kcl(true));
    assert!(
        waiting.setup().await.unwrap_err().is_transient(),
        "it is tried again"
    );
    assert_eq!(rows(&dynamo), before);
    assert!(
        dynamo
            .take_calls()
            .iter()
            .all(|call| ["DescribeTable", "GetItem", "Scan"].contains(&call.operation.as_str()))
    );

    // It has stopped: its last metrics are old.
    put(&dynamo, &items(TWO_WORKERS));
    waiting.setup().await.unwrap();
    assert_eq!(waiting.coexistence(), Coexistence::Exclusive);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_clock_is_wrong_is_known_by_its_row_that_moves() {
    for moves in [true, false] {
        let clock = TimerClock::new();
        let mut items = items(TWO_WORKERS);
        let old = clock.wall().as_millis() / 1000 - 600;
        for item in items
            .iter_mut()
            .filter(|item| item["entityType"]["S"] == "WORKER_METRIC_STATS")
        {
            item["lut"]["N"] = old.to_string().into();
        }
        let dynamo = with(&items);
        let table = open(&dynamo, OpenOptions::new().clock(Arc::new(clock)));
        let heartbeats = async {
            for beat in 0.. {
                clock
                    .sleep_until(clock.now() + Duration::from_secs(29))
                    .await;
                let mut leader = items
                    .iter()
                    .find(|item| item["leaseKey"]["S"] == "Leader")
                    .unwrap()
                    .clone();
                leader["recordVersionNumber"]["S"] = format!("beat {beat}").into();
                if moves {
                    put(&dynamo, &[leader]);
                }
            }
        };
        let began = clock.now();
        let answer = tokio::select! {
            biased;
            () = heartbeats => unreachable!(),
            answer = table.setup() => answer,
        };
        if moves {
            let error = answer.unwrap_err();
            let leading = std::error::Error::source(&error)
                .and_then(|source| source.downcast_ref::<KclIsLeading>());
            assert!(leading.is_some(), "{error}");
        } else {
            answer.unwrap();
            assert_eq!(table.coexistence(), Coexistence::Exclusive, "it was killed");
        }
        let took = clock.now().since(began);
        assert!(
            took >= Duration::from_secs(29) && took <= Duration::from_secs(40),
            "{took:?}"
        );
        let ours = |call: &Call| {
            ["PutItem", "UpdateItem", "DeleteItem"].contains(&call.operation.as_str())
                && call.status == 200
        };
        assert!(!dynamo.take_calls().iter().any(ours), "nothing is written");
    }
}

/// A fleet of a KCL before 3.5 that leads is found in its own tables.
#[tokio::test]
async fn a_leading_kcl_before_3_5_is_found_in_its_own_tables() {
    let dynamo = with(&[old_lease()]);
    table_of(&dynamo, "application-CoordinatorState", "key");
    table_of(&dynamo, "application-WorkerMetricStats", "wid");
    let migration = json!({ "key": { "S": "Migration3.0" }, "cv": { "S": "CLIENT_VERSION_3X" } });
    dynamo.ask(
        "PutItem",
        json!({ "TableName": "application-CoordinatorState", "Item": migration }),
    );
    let metrics = json!({ "wid": { "S": "java-1" }, "lut": { "N": seconds().to_string() } });
    dynamo.ask(
        "PutItem",
        json!({ "TableName": "application-WorkerMetricStats", "Item": metrics }),
    );
    let error = open(&dynamo, OpenOptions::new()).setup().await.unwrap_err();
    assert!(error.to_string().contains("`java-1`"), "{error}");
}

/// A KCL before 3.5 that goes over to 3x while we run is found in its own tables.
#[tokio::test(start_paused = true)]
async fn an_old_kcl_that_goes_over_to_3x_is_found_in_its_own_tables() {
    let dynamo = with(&[old_lease()]);
    let clock = TimerClock::new();
    let table = open(&dynamo, OpenOptions::new().clock(Arc::new(clock)));
    table.setup().await.unwrap();
    // It comes later than we: the tables are made, and it is in 2.x mode.
    table_of(&dynamo, "application-CoordinatorState", "key");
    table_of(&dynamo, "application-WorkerMetricStats", "wid");
    let wall = || clock.wall().as_millis() / 1000;
    let writes = |version: &str| {
        let migration = json!({ "key": { "S": "Migration3.0" }, "cv": { "S": version } });
        dynamo.ask(
            "PutItem",
            json!({ "TableName": "application-CoordinatorState", "Item": migration }),
        );
        let metrics = json!({ "wid": { "S": "java-1" }, "lut": { "N": wall().to_string() } });
        dynamo.ask(
            "PutItem",
            json!({ "TableName": "application-WorkerMetricStats", "Item": metrics }),
        );
    };
    let half_a_minute = async || {
        for _ in 0..16 {
            clock
                .sleep_until(clock.now() + Duration::from_secs(2))
                .await;
            table.change_signal().await.unwrap();
            table.scan(None, Consistency::Eventual).await.unwrap();
        }
    };
    writes("CLIENT_VERSION_UPGRADE_FROM_2X");
    half_a_minute().await;
    assert_eq!(table.coexistence(), Coexistence::LeasesOnly);
    writes("CLIENT_VERSION_3X_WITH_ROLLBACK");
    half_a_minute().await;
    assert_eq!(table.coexistence(), Coexistence::KclLeads);
    dynamo.take_calls();
    half_a_minute().await;
    let beside = dynamo
        .take_calls()
        .iter()
        .filter(|call| call.table != "application")
        .count();
    assert_eq!(beside, 0, "there is nothing more to learn");
}

/// When a fleet begins to lead while we run, nothing more is taken, and what is held goes on.
#[tokio::test]
async fn nothing_more_is_taken_once_a_kcl_begins_to_lead() {
    for by_metrics in [true, false] {
        let dynamo = with(&[leader("a")]);
        let table = open(&dynamo, OpenOptions::new());
        table.setup().await.unwrap();
        live(&table).await;
        let held = table.create(&lease()).await.unwrap();
        // It stands still.
        table.scan(None, Consistency::Strong).await.unwrap();
        assert_eq!(table.coexistence(), Coexistence::Exclusive);
        put(
            &dynamo,
            &if by_metrics {
                at_work(items(TWO_WORKERS))
            } else {
                vec![leader("b")]
            },
        );
        table.scan(None, Consistency::Eventual).await.unwrap();
        assert_eq!(table.coexistence(), Coexistence::KclLeads);
        match take(&table).await {
            Err(Error::Throttled { source }) => assert!(source.is::<KclIsLeading>()),
            other => panic!("{other:?}"),
        }
        let renewal = Write::renew(&held);
        table.update(&held.key, &renewal).await.unwrap();
        let row = worker().next();
        table
            .write_worker(&row.worker, Some(&row), Some(&row.next()))
            .await
            .unwrap();
        assert!(
            rows(&dynamo)
                .iter()
                .all(|row| row["rsIncarnation"].is_null() && row["leaseKey"]["S"] != "~fleet-0")
        );
    }
}

#[tokio::test]
async fn no_mixed_table_ever_looks_ready_for_3x_to_java() {
    // The KCL's own rule (MigrationReadyMonitor): every owner of a lease has a row of metrics
    // younger than 60 s.
    let ready = |dynamo: &Dynamo, now: i64| {
        let rows = rows(dynamo);
        let fresh: Vec<&Value> = rows
            .iter()
            .filter(|row| row["entityType"]["S"] == "WORKER_METRIC_STATS")
            .filter(|row| row["lut"]["N"].as_str().unwrap().parse::<i64>().unwrap() + 60 > now)
            .map(|row| &row["leaseKey"]["S"])
            .collect();
        let owners = rows
            .iter()
            .filter(|row| row["checkpoint"].is_object())
            .map(|row| &row["leaseOwner"]["S"]);
        owners.into_iter().all(|owner| fresh.contains(&owner))
    };
    let dynamo = with(&at_work(items(COMPATIBLE)));
    assert!(
        ready(&dynamo, seconds()),
        "alone, the Java worker would be ready"
    );
    let table = open(&dynamo, OpenOptions::new());
    table.setup().await.unwrap();
    live(&table).await;
    take(&table).await.unwrap();
    for _ in 0..3 {
        table.scan(None, Consistency::Strong).await.unwrap();
        assert!(!ready(&dynamo, seconds()));
    }
}
