#![expect(clippy::disallowed_methods, reason = "a task that reads")]

use super::*;
use crate::decide::pace::PaceSettings;
use crate::fetch::fetched::End;
use crate::fetch::scene::Scene;
use crate::model::Moment;
use crate::runtime::within;
use crate::stream::memory::Operation;

fn polled() -> (Scene, Polling) {
    let scene = Scene::new();
    let polling = Polling::new(
        Arc::new(scene.stream.clone()),
        scene.shard.clone(),
        Arc::clone(&scene.clock),
        PollingSettings {
            pace: PaceSettings::default(),
            max_records: 100,
            call_limit: Duration::from_secs(30),
            read_limit: Duration::from_secs(10),
        },
        scene.budget.seat(),
        scene.turns(),
        scene.intake(),
    );
    (scene, polling)
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_pace_or_after_a_refused_call_is_no_standstill() {
    let (scene, mut polling) = polled();
    scene.stream.fail_next(Operation::Read, ErrorKind::Throttled, 6);
    scene.stream.fail_next(Operation::Read, ErrorKind::Transient, 6);
    let reading = tokio::spawn(async move {
        let tip = polling.next().await?;
        assert!(tip.at_tip && tip.records.is_empty(), "an empty shard is at its tip");
        polling.next().await.map(|fetched| fetched.records.len())
    });
    let mut longest = Duration::ZERO;
    while scene.clock.now() < Moment::from_origin(Duration::from_secs(90)) {
        pause(&*scene.clock, Duration::from_millis(50)).await;
        longest = longest.max(scene.held.progress().still_for(scene.clock.now()));
    }
    assert!(scene.stream.call_count(Operation::Read, None) > 12, "it is through and idles");
    assert!(longest <= Duration::from_millis(1100), "{longest:?}");
    scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_its_end_a_shard_is_not_asked_any_more() {
    let (scene, mut polling) = polled();
    scene.stream.close(&scene.shard).unwrap();
    assert!(matches!(polling.next().await.unwrap().end, Some(End::Closed(end)) if end.children.is_empty()));
    let calls = scene.stream.call_count(Operation::Read, None);
    assert!(within(&*scene.clock, Duration::from_secs(60), polling.next()).await.is_none());
    assert_eq!(scene.stream.call_count(Operation::Read, None), calls);
}
