#![expect(clippy::disallowed_methods, reason = "a task that reads")]

use super::*;
use crate::decide::pace::PaceSettings;
use crate::fetch::fetched::End;
use crate::fetch::scene::Scene;
use crate::model::Moment;
use crate::runtime::within;
use crate::stream::memory::{MemoryStream, Operation};
use crate::stream::{ShardFilter, ShardPage, ShardPageToken, StartAt, StreamDescription};

fn polled() -> (Scene, PollingFetch) {
    let scene = Scene::new();
    let polling = PollingFetch::new(
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
    scene
        .stream
        .fail_next(Operation::Read, ErrorKind::Throttled, 6);
    scene
        .stream
        .fail_next(Operation::Read, ErrorKind::Transient, 6);
    let reading = tokio::spawn(async move {
        let tip = polling.next().await?;
        assert!(
            tip.at_tip && tip.records.is_empty(),
            "an empty shard is at its tip"
        );
        polling.next().await.map(|fetched| fetched.records.len())
    });
    let mut longest = Duration::ZERO;
    while scene.clock.now() < Moment::from_origin(Duration::from_secs(90)) {
        pause(&*scene.clock, Duration::from_millis(50)).await;
        longest = longest.max(scene.held.progress().still_for(scene.clock.now()));
    }
    assert!(
        scene.stream.call_count(Operation::Read, None) > 12,
        "it is through and idles"
    );
    assert!(longest <= Duration::from_millis(1100), "{longest:?}");
    scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_pause_after_a_failure_is_within_what_is_said_of_its_kind() {
    let (scene, mut polling) = polled();
    // The least and the most, in milliseconds, after the first failure in a row, the second and the
    // third.
    let cases = [
        (ErrorKind::Throttled, [(200, 400), (400, 800), (800, 1600)]),
        (ErrorKind::Transient, [(0, 100), (0, 200), (0, 400)]),
        (ErrorKind::Expired, [(0, 0), (0, 100), (0, 200)]),
        (ErrorKind::Gone, [(0, 0), (0, 100), (0, 200)]),
    ];
    for (kind, bounds) in cases {
        for (failures, (least, most)) in (0..).zip(bounds) {
            let mut longest = 0;
            for _ in 0..100 {
                polling.failures = failures;
                let began = scene.clock.now();
                polling
                    .recover(Error::new(kind, "GetRecords", "as the test wants it"))
                    .await
                    .unwrap();
                let took = scene.clock.now().since(began).as_millis();
                // The timer counts whole milliseconds.
                assert!(
                    (least..=most + 1).contains(&took),
                    "{kind:?} after {failures}: {took} ms"
                );
                longest = longest.max(took);
            }
            assert!(
                longest >= (least + most) / 2,
                "{kind:?} after {failures}: never more than {longest} ms"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_end_a_shard_is_not_asked_any_more() {
    let (scene, mut polling) = polled();
    scene.stream.close(&scene.shard).unwrap();
    assert!(
        matches!(polling.next().await.unwrap().end, Some(End::Closed(end)) if end.children.is_empty())
    );
    let calls = scene.stream.call_count(Operation::Read, None);
    assert!(
        within(&*scene.clock, Duration::from_secs(60), polling.next())
            .await
            .is_none()
    );
    assert_eq!(scene.stream.call_count(Operation::Read, None), calls);
}

/// A stream that is always at its tip, as it says.
#[derive(Debug)]
struct SaysNone(MemoryStream);

#[async_trait]
impl Stream for SaysNone {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.0.describe().await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        self.0.list_shards(filter, page).await
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        self.0.open(shard, at).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        Ok(self.0.read(cursor, limit).await?.behind(0))
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_page_means_that_there_is_more_whatever_it_says() {
    let (scene, mut polling) = polled();
    polling.stream = Arc::new(SaysNone(scene.stream.clone()));
    for _ in 0..250 {
        scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    }
    pause(&*scene.clock, Duration::from_mins(1)).await;
    polling
        .intake
        .meters
        .lag
        .is_to_be_read(scene.clock.now(), Duration::from_secs(5));
    let began = scene.clock.now();
    let mut read = 0;
    while read < 250 {
        let page = polling.next().await.unwrap();
        read += page.records.len();
        let is_last = read == 250;
        assert_eq!(page.at_tip, is_last, "{read} of 250 are read");
        assert_eq!(
            page.millis_behind_latest,
            Some(if is_last { 0 } else { 60_000 })
        );
        let (lag, _) = polling.intake.meters.lag.at(scene.clock.now());
        assert_eq!(lag, page.millis_behind_latest.map(Duration::from_millis));
    }
    assert_eq!(
        scene.clock.now().since(began),
        Duration::ZERO,
        "there was no reason to wait"
    );
}
