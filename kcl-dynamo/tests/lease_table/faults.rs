//! What is said of calls that are refused, lost or late, through the real SDK on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kcl_core::lease::{Consistency, Error, LeaseTable as _, Write};
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_dynamo::{DynamoLeaseTable, OpenOptions};

use crate::support::{Dynamo, Fault, TimerClock};

fn key() -> LeaseKey {
    LeaseKey::single("shardId-000000000000")
}

async fn held() -> (Dynamo, DynamoLeaseTable, Lease) {
    let dynamo = Dynamo::new();
    let table = OpenOptions::new()
        .open_with_client(&dynamo.client(), "application")
        .unwrap();
    table.setup().await.unwrap();
    let row =
        Lease::new(key(), Checkpoint::TrimHorizon).owned_by("rust-1".into(), "token-1".into());
    table.create(&row).await.unwrap();
    dynamo.take_calls();
    (dynamo, table, row)
}

fn name<T: std::fmt::Debug>(answer: &Result<T, Error>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(Error::Conflict { .. }) => "conflict",
        Err(Error::Unknown { .. }) => "unknown",
        Err(Error::Throttled { .. }) => "throttled",
        Err(Error::Denied { .. }) => "denied",
        Err(_) => "another",
    }
}

/// Each failure of a write is said as what it is and no write is sent twice.
#[tokio::test(start_paused = true)]
async fn each_failed_write_is_told_and_none_is_sent_twice() {
    let refused = Fault::Refused;
    for (fault, said, done) in [
        (
            refused(400, "ProvisionedThroughputExceededException", "slow down"),
            "throttled",
            false,
        ),
        (
            refused(400, "ThrottlingException", "slow down"),
            "throttled",
            false,
        ),
        (
            refused(500, "InternalServerError", "sorry"),
            "unknown",
            false,
        ),
        (
            refused(503, "ServiceUnavailable", "sorry"),
            "unknown",
            false,
        ),
        (
            refused(400, "AccessDeniedException", "not authorized"),
            "denied",
            false,
        ),
        (Fault::Dropped, "unknown", false),
        (Fault::AnswerLost, "unknown", true),
        (Fault::AnswerLate(Duration::from_secs(1)), "done", true),
        (Fault::AnswerLate(Duration::from_secs(5)), "unknown", true),
        (Fault::DoneLate(Duration::from_secs(1)), "done", true),
    ] {
        let (dynamo, table, row) = held().await;
        dynamo.fault("UpdateItem", fault.clone());
        let write = Write::renew(&row);
        let answer = table.update(&key(), &write).await;
        assert_eq!(name(&answer), said, "{fault:?}: {answer:?}");
        assert!(dynamo.take_calls().len() <= 1, "{fault:?}: sent again");
        let counter = table.get(&key()).await.unwrap().unwrap().counter;
        assert_eq!(counter, row.counter + u64::from(done), "{fault:?}");
    }
}

/// A write that lands after its caller gave up is shown by the refusal of the next.
#[tokio::test(start_paused = true)]
async fn a_late_write_is_shown_by_the_refusal_of_the_next() {
    let (dynamo, table, row) = held().await;
    dynamo.fault("UpdateItem", Fault::DoneLate(Duration::from_secs(3)));
    let write = Write::renew(&row);
    assert_eq!(name(&table.update(&key(), &write).await), "unknown");
    assert_eq!(
        table.get(&key()).await.unwrap().unwrap().counter,
        row.counter,
        "not yet"
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "until the late write has landed, on a paused clock"
    )]
    tokio::time::sleep(Duration::from_secs(2)).await;
    match table.update(&key(), &write).await {
        Err(Error::Conflict {
            row: Some(standing),
        }) => {
            assert_eq!(
                (standing.counter, standing.token),
                (row.counter + 1, row.token)
            );
        }
        other => panic!("{other:?}"),
    }
}

/// Reads of one row are consistent, scans are as they are asked for, and the signal is cheap.
#[tokio::test]
async fn reads_are_as_consistent_as_they_are_asked_for() {
    let (dynamo, table, row) = held().await;
    let consistent = |what: &str| {
        let calls = dynamo.take_calls();
        assert_eq!(calls.len(), 1, "{what}");
        calls[0].body["ConsistentRead"] == true
    };
    table.get(&row.key).await.unwrap();
    assert!(consistent("a lease"));
    table.get_worker(&"rust-1".into()).await.unwrap();
    assert!(consistent("a worker"));
    table.scan(None, Consistency::Strong).await.unwrap();
    assert!(consistent("a strong look"));
    table.scan(None, Consistency::Eventual).await.unwrap();
    assert!(!consistent("a look"));
    table.change_signal().await.unwrap();
    assert!(!consistent("the change signal"));
}

#[tokio::test(start_paused = true)]
async fn each_failure_of_a_read_is_said_as_what_it_is() {
    for (fault, said) in [
        (
            Fault::Refused(400, "ProvisionedThroughputExceededException", "slow down"),
            "throttled",
        ),
        (
            Fault::Refused(500, "InternalServerError", "sorry"),
            "throttled",
        ),
        (
            Fault::Refused(400, "AccessDeniedException", "not authorized"),
            "denied",
        ),
        (Fault::AnswerLost, "throttled"),
        (Fault::AnswerLate(Duration::from_secs(5)), "throttled"),
    ] {
        let (dynamo, table, _) = held().await;
        dynamo.fault("GetItem", fault.clone());
        dynamo.fault("Scan", fault.clone());
        assert_eq!(name(&table.get(&key()).await), said, "{fault:?}");
        assert_eq!(
            name(&table.scan(None, Consistency::Eventual).await),
            said,
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_within_its_limit() {
    let (dynamo, table, row) = held().await;
    #[expect(clippy::disallowed_methods, reason = "the paused clock")]
    let before = tokio::time::Instant::now();
    dynamo.fault("UpdateItem", Fault::AnswerLate(Duration::from_secs(3600)));
    let write = Write::renew(&row);
    assert_eq!(name(&table.update(&key(), &write).await), "unknown");
    assert!(
        before.elapsed() <= Duration::from_millis(2100),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_was_lost_shows_its_own_row() {
    let (dynamo, table, _) = held().await;
    let row = Lease::new(LeaseKey::single("shardId-000000000001"), Checkpoint::Latest)
        .owned_by("rust-1".into(), "t".into());
    dynamo.fault("PutItem", Fault::AnswerLost);
    assert_eq!(name(&table.create(&row).await), "unknown");
    match table.create(&row).await {
        Err(Error::Conflict {
            row: Some(standing),
        }) => assert_eq!(*standing, row),
        other => panic!("{other:?}"),
    }
}

/// Of the renewals that come due together, no more are sent than can be answered in time.
#[tokio::test(start_paused = true)]
async fn no_more_renewals_are_sent_than_are_answered_in_time() {
    let dynamo = Dynamo::new();
    let options = OpenOptions::new().clock(Arc::new(TimerClock::new()));
    let table = options
        .open_with_client(&dynamo.client(), "application")
        .unwrap();
    table.setup().await.unwrap();
    let row =
        Lease::new(key(), Checkpoint::TrimHorizon).owned_by("rust-1".into(), "token-1".into());
    table.create(&row).await.unwrap();
    dynamo.take_calls();
    for _ in 0..1000 {
        dynamo.fault("UpdateItem", Fault::AnswerLate(Duration::from_millis(400)));
    }
    let (renewal, take) = (
        Write::renew(&row),
        Write::take(&row, "rust-2".into(), "token-2".into()),
    );
    let renewals = join_all((0..600).map(|_| table.update(&row.key, &renewal)));
    #[expect(clippy::disallowed_methods, reason = "the paused clock")]
    let began = tokio::time::Instant::now();
    let taken = async {
        let answer = table.update(&row.key, &take).await;
        (answer, began.elapsed())
    };
    let (answers, (_, taken)) = tokio::join!(renewals, taken);
    assert!(
        taken < Duration::from_millis(450),
        "a lease that is taken does not wait for them: {taken:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "nobody waits for all the others: {:?}",
        began.elapsed()
    );
    let throttled = answers
        .iter()
        .filter(|answer| name(answer) == "throttled")
        .count();
    // Two rounds of 64, and the one that takes.
    assert_eq!(
        (throttled, dynamo.take_calls().len()),
        (600 - 128, 129),
        "who was refused was never sent"
    );
}
