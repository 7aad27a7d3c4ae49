//! How far behind its leases are, as a worker's row says it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{HeldLag, LeaseTable, ListedLag, Standstill};
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::Operation;
use kcl_core::{Clock as _, Failure};

use crate::support::{Run, Script};

use super::told::{Scene, seconds};

async fn row(table: &MemoryLeaseTable) -> HeldLag {
    let row = table.get_worker(&"me".into()).await.unwrap();
    row.expect("a row").lag.expect("a lag")
}

/// The one lease that the row names. It stands still, which is far from the tip, for so long.
async fn standing(table: &MemoryLeaseTable, by: Standstill) -> (ListedLag, Duration) {
    let lag = row(table).await;
    assert_eq!((lag.leases, lag.others), (1, Some(Duration::ZERO)));
    let [listed] = &lag.listed[..] else {
        panic!("one lease: {lag}");
    };
    let (said, span) = listed.standstill.expect("why it stands still");
    assert_eq!(said, by, "{lag}");
    (listed.clone(), span)
}

#[track_caller]
fn about(span: Duration, wanted: u64) {
    let (least, most) = (Duration::from_secs(wanted - 6), Duration::from_secs(wanted));
    assert!((least..=most).contains(&span), "{span:?}");
}

#[track_caller]
fn behind_as_its_status(scene: &Scene, run: &Run, listed: &ListedLag) {
    let status = scene.status(run).millis_behind_latest.unwrap();
    let row = listed.behind.unwrap().as_millis();
    // The row is at most a heartbeat older.
    assert!(u128::from(status) - row <= 3_100, "{status} {row}");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_that_a_handler_fails() {
    let (scene, table) = (Scene::new("lag-fails"), MemoryLeaseTable::new());
    let script = Script::process(|_| async { Err(Failure::new("poison")) });
    let run = scene.fleet_on(&table).start(script);
    seconds(20).await;
    let calm = row(&table).await;
    assert_eq!(calm.to_string(), "1 0", "at the tip");
    scene.put();
    seconds(90).await;
    let (listed, span) = standing(&table, Standstill::HandlerFails).await;
    assert_eq!(listed.lease, LeaseKey::single(scene.shard()));
    about(span, 90);
    about(listed.behind.unwrap(), 90);
    behind_as_its_status(&scene, &run, &listed);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_that_a_handler_hangs() {
    let (scene, table) = (Scene::new("lag-hangs"), MemoryLeaseTable::new());
    let script = Script::process(|_| async { pending().await });
    let run = scene.fleet_on(&table).start(script);
    seconds(20).await;
    scene.put();
    seconds(9).await;
    assert_eq!(
        row(&table).await.listed,
        [],
        "not for less than ten seconds"
    );
    seconds(51).await;
    let (listed, span) = standing(&table, Standstill::HandlerBusy).await;
    about(span, 60);
    behind_as_its_status(&scene, &run, &listed);
    run.crash().await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_that_a_shard_cannot_be_read() {
    let (scene, table) = (Scene::new("lag-silent"), MemoryLeaseTable::new());
    let run = scene.fleet_on(&table).start(Script::default());
    seconds(20).await;
    let (operation, kind) = (Operation::Read, ErrorKind::Transient);
    scene.stream.fail_next(operation, kind, u32::MAX);
    seconds(60).await;
    let (listed, span) = standing(&table, Standstill::ReadsFail).await;
    about(span, 60);
    behind_as_its_status(&scene, &run, &listed);
    run.crash().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_works_again_is_said_no_more() {
    let (scene, table) = (Scene::new("lag-again"), MemoryLeaseTable::new());
    let heals = Arc::new(AtomicBool::new(false));
    let healed = Arc::clone(&heals);
    let script = Script::process(move |_| {
        let is_well = healed.load(Ordering::SeqCst);
        async move {
            if is_well {
                Ok(())
            } else {
                Err(Failure::new("poison"))
            }
        }
    });
    let run = scene.fleet_on(&table).start(script);
    seconds(5).await;
    scene.put();
    seconds(25).await;
    standing(&table, Standstill::HandlerFails).await;
    heals.store(true, Ordering::SeqCst);
    seconds(60).await;
    assert_eq!(row(&table).await.to_string(), "1 0");
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_child_that_waits_is_held_and_not_behind() {
    let (scene, table) = (Scene::new("lag-waits"), MemoryLeaseTable::new());
    let script = Script::process(|_| async { Err(Failure::new("poison")) });
    let run = scene.fleet_on(&table).start(script);
    let parent = scene.shard();
    scene.put();
    seconds(5).await;
    for child in scene.stream.split_evenly(&parent).unwrap() {
        let mut row = Lease::new(LeaseKey::single(child), Checkpoint::TrimHorizon);
        row.parents = vec![parent.clone()];
        table.create(&row).await.unwrap();
    }
    seconds(120).await;
    let lag = row(&table).await;
    assert_eq!((lag.leases, lag.others), (3, Some(Duration::ZERO)), "{lag}");
    assert_eq!(lag.listed.len(), 1, "{lag}");
    run.stop().await.unwrap();
}

/// It fails whenever the worker takes stock, every three seconds, and succeeds in between.
#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_now_and_then_does_not_stand_still() {
    let (scene, table) = (Scene::new("lag-now-and-then"), MemoryLeaseTable::new());
    let clock = scene.clock;
    let begun = clock.now();
    let script = Script::process(move |_| async move {
        let phase = clock.now().since(begun).as_secs_f64() % 3.0;
        if (0.6..1.8).contains(&phase) {
            return Ok(());
        }
        Err(Failure::new("busy"))
    });
    let run = scene.fleet_on(&table).start(script);
    seconds(1).await;
    let mut failing = 0;
    for _ in 0..60 {
        scene.put();
        seconds(1).await;
        failing += usize::from(scene.status(&run).failures > 0);
        let lag = table.get_worker(&"me".into()).await.unwrap().unwrap().lag;
        let mut listed = lag.iter().flat_map(|lag| &lag.listed);
        assert!(!listed.any(|it| it.standstill.is_some()), "{lag:?}");
    }
    assert!(failing >= 20 && run.seen.records() > 10, "{failing}");
    run.stop().await.unwrap();
}
