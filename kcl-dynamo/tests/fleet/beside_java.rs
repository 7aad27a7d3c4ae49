//! Beside Java workers in 2.x mode, on rows as they write them: the schedules S37 to S45 of the
//! lease protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::worker::Event;
use kcl_dynamo::Coexistence;
use serde_json::{Value, json};

use crate::support::{FAILOVER, Fleet, Java, Kcl, Running};

pub(super) const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn s(text: &str) -> Value {
    json!({ "S": text })
}

/// Who owns how many leases.
pub(super) fn shares(fleet: &Fleet) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    fleet
        .owners()
        .into_iter()
        .for_each(|owner| *shares.entry(owner).or_default() += 1);
    shares
}

pub(super) async fn shared(fleet: &Fleet, limit: Duration, wanted: &[(&str, usize)]) -> Duration {
    let wanted: BTreeMap<_, _> = wanted
        .iter()
        .map(|(owner, leases)| ((*owner).to_owned(), *leases))
        .collect();
    fleet
        .until(&format!("{wanted:?}"), limit, || shares(fleet) == wanted)
        .await
}

/// Waits until a worker of ours beside one of Java has claimed its half of eight leases, and sees
/// that nothing moves after that.
async fn shared_for_good_by_hand_over(fleet: &Fleet) {
    let took = shared(fleet, 3 * MINUTE, &[("java", 4), ("rust", 4)]).await;
    println!("shared after {took:?}");
    let all_claimed = || {
        fleet
            .leases()
            .iter()
            .filter(|row| row["rsToken"].is_object())
            .count()
            == 4
    };
    fleet.until("the last claim", MINUTE, all_claimed).await;
    assert_eq!(moves_in(fleet, 5 * MINUTE).await, 0, "nothing flips");
}

/// Passes `span`; how often a lease had another owner than before, looked at each 250 ms: a tenth
/// of what a renewal waits for.
pub(super) async fn moves_in(fleet: &Fleet, span: Duration) -> usize {
    let (mut moves, mut before) = (0, fleet.owners());
    for _ in 0..span.as_millis() / 250 {
        fleet.pass(Duration::from_millis(250)).await;
        let now = fleet.owners();
        moves += before
            .iter()
            .zip(&now)
            .filter(|(before, now)| before != now)
            .count();
        before = now;
    }
    moves
}

pub(super) fn lost(worker: &Running) -> usize {
    worker.count(|event| matches!(event, Event::LeaseLost { .. }))
}

/// Requests for leases of this worker that were written since the calls were taken last.
fn requests(fleet: &Fleet, of: &str) -> usize {
    let asks = |body: &Value| {
        let update = body["UpdateExpression"].as_str().unwrap_or_default();
        let names = |values: &Value| {
            values
                .as_object()
                .is_some_and(|values| values.values().any(|value| *value == s(of)))
        };
        update.contains("#checkpointOwner = ")
            && update.starts_with("SET")
            && names(&body["ExpressionAttributeValues"])
    };
    fleet
        .dynamo
        .take_calls()
        .iter()
        .filter(|call| call.operation == "UpdateItem" && asks(&call.body))
        .count()
}

pub(super) fn compatible() -> Value {
    json!({ "leaseKey": s("Migration3.0"), "entityType": s("CLIENT_VERSION_MIGRATION"), "cv": s("CLIENT_VERSION_UPGRADE_FROM_2X") })
}

/// Worker metrics of a KCL 3.5, of this moment.
pub(super) fn metrics(fleet: &Fleet, worker: &str) -> Value {
    use kcl_core::Clock as _;
    let now = fleet.clock.wall().as_millis() / 1000;
    json!({
        "leaseKey": s(worker), "entityType": s("WORKER_METRIC_STATS"), "lut": { "N": now.to_string() }, "sts": { "M": {} },
        "opr": { "M": {} }, "sup": { "N": "1" }, "slu": { "N": now.to_string() },
    })
}

/// A KCL that is deaf to requests is asked for nothing and gives one lease in 20 seconds.
#[tokio::test(start_paused = true)]
async fn s37_a_kcl_deaf_to_requests_gives_one_lease_in_20_seconds() {
    let fleet = Fleet::new(8);
    fleet.old_leases(&json!({ "leaseOwner": s("java") }));
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    let rust = fleet.start("rust");
    let took = shared(&fleet, 3 * MINUTE, &[("java", 4), ("rust", 4)]).await;
    println!("shared after {took:?}");
    assert!(
        took >= Duration::from_secs(60),
        "four takes, 20 s apart: {took:?}"
    );
    assert_eq!(requests(&fleet, "java"), 0);
    assert_eq!(moves_in(&fleet, 12 * MINUTE).await, 0, "nothing flips");
    assert_eq!(
        (java.seen().lost, java.seen().holds.len(), lost(&rust)),
        (4, 4, 0)
    );
    rust.stop().await;
}

/// A KCL that took over leases of ours with their tokens is deaf as every other.
#[tokio::test(start_paused = true)]
async fn s37_a_kcl_that_took_leases_with_our_tokens_is_deaf_too() {
    let fleet = Fleet::new(4);
    let of_ours = json!({ "leaseOwner": s("java"), "rsToken": s("of-a-worker-that-was-killed"), "rsHolder": s("rust") });
    fleet.old_leases(&of_ours);
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    let rust = fleet.start("rust");
    let took = shared(&fleet, 2 * MINUTE, &[("java", 2), ("rust", 2)]).await;
    println!("shared after {took:?}");
    assert!(
        took <= Duration::from_secs(30),
        "two takes, 20 s apart: {took:?}"
    );
    assert_eq!(requests(&fleet, "java"), 0);
    assert_eq!(moves_in(&fleet, 5 * MINUTE).await, 0, "nothing flips");
    assert_eq!((java.seen().holds.len(), lost(&rust)), (2, 0));
    rust.stop().await;
}

// The same, told from the other side: what it takes from one of us is known for its own by all
// others.
#[tokio::test(start_paused = true)]
async fn s37_what_a_kcl_takes_from_some_of_us_nobody_of_us_asks_for() {
    let fleet = Fleet::new(9);
    fleet.old_leases(&json!({}));
    let (one, two) = (fleet.start("rust-1"), fleet.start("rust-2"));
    fleet
        .until("both to share", MINUTE, || {
            fleet.held_by("rust-1").min(fleet.held_by("rust-2")) == 4
        })
        .await;
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    fleet.pass(Duration::from_secs(10)).await;
    fleet.dynamo.take_calls();
    shared(
        &fleet,
        3 * MINUTE,
        &[("java", 3), ("rust-1", 3), ("rust-2", 3)],
    )
    .await;
    assert_eq!(requests(&fleet, "java"), 0, "it is deaf");
    assert_eq!(moves_in(&fleet, 5 * MINUTE).await, 0, "nothing flips");
    one.kill();
    java.stop();
    shared(&fleet, MINUTE, &[("rust-2", 9)]).await;
    // Its rows bear tokens of both: a worker of ours that comes knows whose they are.
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    fleet
        .until("its share", 3 * MINUTE, || fleet.held_by("java") == 4)
        .await;
    fleet.dynamo.take_calls();
    two.kill();
    let three = fleet.start("rust-3");
    fleet
        .until("their leases", MINUTE, || fleet.held_by("rust-2") == 0)
        .await;
    assert_eq!(requests(&fleet, "java"), 0, "it is deaf");
    java.stop();
    three.stop().await;
}

// Of rows without the name of the holder nobody can tell whose they are before one is asked for.
#[tokio::test(start_paused = true)]
async fn s37_a_kcl_whose_leases_bear_tokens_of_nobody_shares_them_too() {
    let fleet = Fleet::new(4);
    fleet.old_leases(
        &json!({ "leaseOwner": s("java"), "rsToken": s("of-a-worker-that-was-killed") }),
    );
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    let rust = fleet.start("rust");
    let took = shared(&fleet, 10 * MINUTE, &[("java", 2), ("rust", 2)]).await;
    println!("shared after {took:?}");
    fleet.pass(MINUTE).await;
    assert_eq!(moves_in(&fleet, 5 * MINUTE).await, 0, "nothing flips");
    assert_eq!(java.seen().holds.len(), 2);
    rust.stop().await;
}

/// What a KCL takes under our token is its own and nobody fights for it.
#[tokio::test(start_paused = true)]
async fn s37_what_a_kcl_takes_under_our_token_is_its_own() {
    let fleet = Fleet::new(8);
    fleet.old_leases(&json!({}));
    let rust = fleet.start("rust");
    shared(&fleet, MINUTE, &[("rust", 8)]).await;
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    let took = shared(&fleet, 3 * MINUTE, &[("java", 4), ("rust", 4)]).await;
    println!("shared after {took:?}");
    assert_eq!(moves_in(&fleet, 5 * MINUTE).await, 0, "nothing flips");
    let seen = java.seen();
    assert_eq!(
        (seen.takes, seen.lost, lost(&rust)),
        (4, 0, 4),
        "each take of it is a lost lease of ours, and it loses none"
    );
    // One side ends: the other has all.
    java.stop();
    shared(&fleet, FAILOVER + Duration::from_secs(5), &[("rust", 8)]).await;
    rust.stop().await;
}

/// A take in the midst of a hand-over ends both and the next take ends the request.
#[tokio::test(start_paused = true)]
async fn s38_a_take_in_the_midst_of_a_hand_over_ends_both() {
    let fleet = Fleet::new(2);
    fleet.old_leases(&json!({}));
    let rust = fleet.start("rust");
    shared(&fleet, MINUTE, &[("rust", 2)]).await;
    fleet.pass(Duration::from_secs(30)).await;
    // Another of ours asks, and before the owner can answer a KCL takes the lease: the request
    // stays in the row.
    let mut row = fleet.leases().remove(0);
    let counter: u64 = row["leaseCounter"]["N"].as_str().unwrap().parse().unwrap();
    row["leaseOwner"] = s("java");
    row["checkpointOwner"] = s("rust");
    row["leaseCounter"] = json!({ "N": (counter + 1).to_string() });
    row["ownerSwitchesSinceCheckpoint"] = json!({ "N": "5" });
    fleet.put(&row);
    let lease = row["leaseKey"].clone();
    let find = || {
        fleet
            .leases()
            .into_iter()
            .find(|row| row["leaseKey"] == lease)
            .unwrap()
    };
    fleet
        .until("the former owner to see it", Duration::from_secs(5), || {
            lost(&rust) == 1
        })
        .await;
    // It renews, and nobody disturbs it: not the former owner, and not a request that nobody can
    // answer any more.
    let mut counter = counter + 1;
    for _ in 0..20 {
        fleet.pass(Duration::from_millis(3308)).await;
        let found = find();
        assert_eq!(
            (&found["leaseOwner"], &found["leaseCounter"]),
            (&s("java"), &json!({ "N": counter.to_string() }))
        );
        counter += 1;
        let mut renewed = found;
        renewed["leaseCounter"] = json!({ "N": counter.to_string() });
        fleet.put(&renewed);
    }
    let took = fleet
        .until("its leases", FAILOVER + Duration::from_secs(5), || {
            find()["leaseOwner"] == s("rust")
        })
        .await;
    println!("taken after {took:?}");
    assert!(
        took >= FAILOVER,
        "it is judged by the KCL's failover time: {took:?}"
    );
    assert!(
        find()["checkpointOwner"].is_null(),
        "our take ends the request: {}",
        find()
    );
    rust.stop().await;
}

/// Beside an old KCL, no row is there that is no lease, not even after a kill.
#[tokio::test(start_paused = true)]
async fn s39_beside_an_old_kcl_only_leases_are_there_after_a_kill() {
    let fleet = Fleet::new(6);
    fleet.old_leases(&json!({ "leaseOwner": s("java") }));
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    let (one, two) = (fleet.start("rust-1"), fleet.start("rust-2"));
    // The list of a KCL before 3.5 throws on a row without a counter.
    let listable = || {
        fleet
            .rows()
            .iter()
            .all(|row| row["leaseCounter"].is_object())
    };
    for _ in 0..60 {
        fleet.pass(Duration::from_secs(1)).await;
        assert!(listable(), "{:?}", fleet.rows());
    }
    one.kill();
    fleet.pass(MINUTE).await;
    two.stop().await;
    assert!(listable(), "{:?}", fleet.rows());
    assert_eq!(fleet.coexistences(), [Coexistence::LeasesOnly; 2]);
    java.stop();
}

/// When an old KCL comes, the row of a worker that was killed goes too.
#[tokio::test(start_paused = true)]
async fn s39_the_row_of_a_killed_worker_goes_when_an_old_kcl_comes() {
    let fleet = Fleet::new(4);
    let (dead, rust) = (fleet.start("dead"), fleet.start("rust"));
    shared(&fleet, MINUTE, &[("dead", 2), ("rust", 2)]).await;
    dead.kill();
    let mut old = fleet.leases().remove(0);
    old.as_object_mut()
        .unwrap()
        .retain(|attribute, _| attribute != "entityType");
    fleet.put(&old);
    let no_rows = || {
        fleet
            .rows()
            .iter()
            .all(|row| row["rsIncarnation"].is_null())
    };
    let took = fleet
        .until("its row to go", Duration::from_secs(30), no_rows)
        .await;
    println!("gone after {took:?}");
    assert!(took <= FAILOVER + Duration::from_secs(5), "{took:?}");
    shared(&fleet, FAILOVER, &[("rust", 4)]).await;
    rust.stop().await;
}

/// A KCL 3x in 2x mode is asked and hands over and no request is taken back from it.
#[tokio::test(start_paused = true)]
async fn s37_a_kcl_3x_in_2x_mode_is_asked_and_hands_over() {
    let fleet = Fleet::new(8);
    fleet.old_leases(&json!({ "leaseOwner": s("java"), "entityType": s("LEASE") }));
    fleet.put(&compatible());
    fleet.put(&metrics(&fleet, "java"));
    let java = Java::start(
        &fleet.dynamo,
        "java",
        Kcl::V3Compatible,
        Duration::from_secs(1),
    );
    let rust = fleet.start("rust");
    shared_for_good_by_hand_over(&fleet).await;
    let seen = java.seen();
    assert_eq!(
        (seen.handed_over, seen.hand_overs_failed, seen.lost),
        (4, 0, 0),
        "{seen:?}"
    );
    assert_eq!(lost(&rust), 0);
    rust.stop().await;
    java.stop();
}

/// A KCL before 3.5 in 2x mode is known by what it measures and is asked.
#[tokio::test(start_paused = true)]
async fn s37_a_kcl_before_3_5_in_2x_mode_is_known_and_asked() {
    let fleet = Fleet::new(8);
    fleet.old_leases(&json!({ "leaseOwner": s("java") }));
    let java = Java::start(&fleet.dynamo, "java", Kcl::V3Old, Duration::from_secs(1));
    fleet.pass(MINUTE).await;
    let rust = fleet.start("rust");
    shared_for_good_by_hand_over(&fleet).await;
    let seen = java.seen();
    // Before it was known for what it is, one may have been taken.
    assert!(
        seen.handed_over >= 3 && seen.handed_over + seen.lost == 4 && seen.hand_overs_failed == 0,
        "{seen:?}"
    );
    rust.stop().await;
    java.stop();
}

#[tokio::test(start_paused = true)]
async fn s43_finished_leases_that_a_kcl_holds_move_nothing() {
    let fleet = Fleet::new(12);
    fleet.old_leases(&json!({}));
    let rust = fleet.start("rust");
    shared(&fleet, MINUTE, &[("rust", 12)]).await;
    // A reshard long ago: finished leases without an owner, which the KCL takes and renews as every
    // other.
    for number in 0..12 {
        fleet.put(&json!({
            "leaseKey": s(&format!("shardId-9{number:011}")), "leaseCounter": { "N": "3" },
            "ownerSwitchesSinceCheckpoint": { "N": "0" }, "checkpoint": s("SHARD_END"),
            "checkpointSubSequenceNumber": { "N": "0" }, "startingHashKey": s("0"), "endingHashKey": s("1"),
        }));
    }
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    fleet
        .until("the finished ones", 3 * MINUTE, || {
            java.seen().holds.len() >= 12
        })
        .await;
    fleet.pass(MINUTE).await;
    let (takes, lost_by_java) = (java.seen().takes, java.seen().lost);
    assert_eq!(
        moves_in(&fleet, 5 * MINUTE).await,
        0,
        "{:?}",
        shares(&fleet)
    );
    assert_eq!((java.seen().takes, java.seen().lost), (takes, lost_by_java));
    rust.stop().await;
}

/// Idle leases of ours never look very old to a KCL that starts.
#[tokio::test(start_paused = true)]
async fn s44_idle_leases_of_ours_never_look_very_old_to_a_kcl() {
    let fleet = Fleet::new(16);
    fleet.old_leases(&json!({}));
    let rust = fleet.start("rust");
    shared(&fleet, MINUTE, &[("rust", 16)]).await;
    fleet.pass(5 * MINUTE).await;
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    for look in 1..=3 {
        fleet.pass(Duration::from_secs(20)).await;
        assert!(
            java.seen().takes <= look + 1,
            "one a look, and not all: {:?}",
            java.seen()
        );
    }
    rust.stop().await;
    java.stop();
}

/// No lease of ours is made without an owner where a KCL would take them all.
#[tokio::test(start_paused = true)]
async fn s45_no_lease_is_made_without_an_owner_beside_a_kcl() {
    let fleet = Fleet::new(4);
    fleet.old_leases(&json!({}));
    let rust = fleet.start("rust");
    shared(&fleet, MINUTE, &[("rust", 4)]).await;
    let java = Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_secs(1));
    shared(&fleet, 3 * MINUTE, &[("rust", 2), ("java", 2)]).await;
    // A shard of ours is split: we make the leases of its children, whoever the KCL holds for the
    // one who looks for shards.
    let mine = fleet
        .leases()
        .into_iter()
        .find(|row| row["leaseOwner"] == s("rust"))
        .unwrap();
    let parent = mine["leaseKey"]["S"].as_str().unwrap().to_owned();
    fleet.dynamo.take_calls();
    fleet.stream.split_evenly(&parent.as_str().into()).unwrap();
    fleet
        .until("the children", MINUTE, || fleet.leases().len() == 6)
        .await;
    let made = fleet
        .dynamo
        .take_calls()
        .into_iter()
        .filter(|call| call.operation == "PutItem" && call.status == 200);
    let made: Vec<Value> = made.map(|call| call.body["Item"].clone()).collect();
    assert_eq!(made.len(), 2);
    for lease in made {
        assert_eq!(
            (&lease["leaseOwner"], &lease["leaseCounter"]),
            (&s("rust"), &json!({ "N": "1" })),
            "{lease}"
        );
    }
    rust.stop().await;
    java.stop();
}
