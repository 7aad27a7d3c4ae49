#![expect(clippy::disallowed_methods, reason = "a task that reads")]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::decide::bound::Bound;
use crate::decide::registration::LONGEST;
use crate::fetch::fetched::End;
use crate::fetch::scene::Scene;
use crate::model::{HashKeyRange, Timestamp};
use crate::runtime::pause;
use crate::stream::memory::{MemoryStream, Operation, SubscriptionFault};
use crate::stream::{FanOut, WhichConsumer};

async fn subscribed() -> (Scene, FanOutFetch) {
    let scene = Scene::new();
    let call_limit = Duration::from_secs(30);
    let registration = Arc::new(Registration::new(
        "orders".parse().unwrap(),
        WhichConsumer::Name("app".into()),
        Arc::new(scene.stream.clone()),
        Arc::clone(&scene.clock),
        call_limit,
        LONGEST,
    ));
    let subscribed = reader(&scene, registration).await;
    (scene, subscribed)
}

async fn reader(scene: &Scene, registration: Arc<Registration>) -> FanOutFetch {
    let call_limit = Duration::from_secs(30);
    FanOutFetch::new(
        Arc::clone(&registration),
        registration.consumer(Moment::default()).await.unwrap(),
        scene.shard.clone(),
        Arc::clone(&scene.clock),
        FanOutSettings {
            call_limit,
            memory_while_reading: 1.0,
        },
        scene.budget.seat(),
        scene.turns(),
        SubscriptionMeters::new(&scene.labels()),
        scene.intake(),
        Arc::new(scene.stream.clone()),
        ListedClosed::default(),
    )
}

#[tokio::test(start_paused = true)]
async fn waiting_for_events_pace_or_silence_is_no_standstill() {
    let (scene, mut subscribed) = subscribed().await;
    scene
        .stream
        .next_subscription(&scene.shard, SubscriptionFault::SilentAfter(1));
    scene
        .stream
        .fail_next(Operation::Subscribe, ErrorKind::Throttled, 4);
    let reading = tokio::spawn(async move {
        let tip = subscribed.next().await?;
        assert!(
            tip.at_tip && tip.records.is_empty(),
            "an empty shard is at its tip"
        );
        subscribed.next().await.map(|fetched| fetched.records.len())
    });
    let mut longest = Duration::ZERO;
    while scene.clock.now() < Moment::from_origin(Duration::from_mins(12)) {
        pause(&*scene.clock, Duration::from_millis(50)).await;
        longest = longest.max(scene.held.progress().still_for(scene.clock.now()));
    }
    assert!(
        scene.stream.subscriptions().len() >= 3,
        "it is through and idles"
    );
    assert!(longest <= Duration::from_millis(1100), "{longest:?}");
    scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_its_end_a_shard_is_not_subscribed_to_any_more() {
    let (scene, mut subscribed) = subscribed().await;
    scene.stream.close(&scene.shard).unwrap();
    assert!(
        matches!(subscribed.next().await.unwrap().end, Some(End::Closed(end)) if end.children.is_empty())
    );
    assert!(
        within(&*scene.clock, Duration::from_mins(60), subscribed.next())
            .await
            .is_none()
    );
    assert_eq!(scene.stream.call_count(Operation::Subscribe, None), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_polled_is_handed_on_and_an_end_with_who_follows() {
    let (scene, mut subscribed) = subscribed().await;
    scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    let polled = subscribed.ask().await.unwrap();
    // One was asked for, as nothing is known of their size: a full page, after which there may be
    // more whatever it says.
    assert_eq!(
        (
            polled.records.len(),
            polled.millis_behind_latest,
            polled.end.is_none()
        ),
        (1, Some(1), true)
    );
    subscribed.named = vec![ChildShard::new(
        "c",
        vec![scene.shard.clone()],
        HashKeyRange::WHOLE,
    )];
    scene.stream.close(&scene.shard).unwrap();
    subscribed.asking = None;
    let polled = subscribed.ask().await.unwrap();
    assert!(matches!(polled.end, Some(End::Closed(end)) if end.children == subscribed.named));
}

/// Reads a record, which ages out, and what is polled after it.
async fn polled_after_a_record(is_trusted: bool) -> Fetched {
    let (scene, mut subscribed) = subscribed().await;
    let last = scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    assert_eq!(subscribed.ask().await.unwrap().records.len(), 1);
    if is_trusted {
        subscribed
            .intake
            .resume
            .told(last.clone(), scene.clock.now() + Duration::from_mins(1));
    }
    scene.stream.put_to(&scene.shard, "k", "y").unwrap();
    assert_eq!(scene.stream.trim(&scene.shard, &last).unwrap(), 1);
    subscribed.asking = None;
    subscribed.ask().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_poll_from_the_last_record_on_shows_what_is_missing() {
    let polled = polled_after_a_record(false).await;
    assert_eq!((polled.records.len(), polled.gap.is_some()), (1, true));
    let polled = polled_after_a_record(true).await;
    assert_eq!(
        (polled.records.len(), polled.gap),
        (1, None),
        "nothing behind a place that is trusted has aged out"
    );
}

#[tokio::test(start_paused = true)]
async fn a_removed_consumer_is_made_again_and_no_shard_is_gone() {
    let (scene, mut subscribed) = subscribed().await;
    scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    // Its ARN tells when it was made.
    pause(&*scene.clock, Duration::from_secs(1)).await;
    scene
        .stream
        .deregister_consumer(&subscribed.consumer)
        .await
        .unwrap();
    let fetched = subscribed.next().await.unwrap();
    assert!(
        fetched.end.is_none() && fetched.records.len() == 1,
        "{:?}",
        fetched.end
    );
    scene.stream.drop_shard(&scene.shard).unwrap();
    assert!(
        matches!(subscribed.next().await.unwrap().end, Some(End::Gone)),
        "the consumer is there: it is the shard"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_given_up_and_opened_anew_keeps_the_pace() {
    let (scene, mut first) = subscribed().await;
    scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    scene
        .stream
        .fail_next(Operation::Subscribe, ErrorKind::Transient, 1);
    let called = scene.clock.now();
    assert!(
        within(&*scene.clock, Duration::from_millis(1), first.next())
            .await
            .is_none()
    );
    let registration = Arc::clone(&first.registration);
    drop(first);
    let mut second = reader(&scene, registration).await;
    assert_eq!(second.next().await.unwrap().records.len(), 1);
    let waited = scene.clock.now().since(called);
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_millis(1100),
        "{waited:?}"
    );
}

/// Reads a record, lets it age out while the shard is quiet and subscribed to anew, and gives what
/// comes then.
async fn after_a_quiet_time(retention: Duration) -> Fetched {
    let (scene, mut subscribed) = subscribed().await;
    scene.stream.set_retention(retention);
    let last = scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    assert_eq!(subscribed.next().await.unwrap().records.len(), 1);
    assert!(
        within(&*scene.clock, Duration::from_mins(4), subscribed.next())
            .await
            .is_none()
    );
    assert_eq!(scene.stream.trim(&scene.shard, &last).unwrap(), 1);
    assert!(
        within(&*scene.clock, Duration::from_mins(4), subscribed.next())
            .await
            .is_none()
    );
    assert_eq!(scene.stream.subscriptions().len(), 2);
    scene.stream.put_to(&scene.shard, "k", "y").unwrap();
    subscribed.next().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn that_the_last_record_of_a_quiet_shard_ages_out_is_no_gap() {
    let fetched = after_a_quiet_time(Duration::from_hours(24)).await;
    assert_eq!((fetched.records.len(), fetched.gap), (1, None));
    let fetched = after_a_quiet_time(Duration::ZERO).await;
    assert!(
        fetched.gap.is_some_and(|gap| !gap.certain),
        "where records may go at any time it may be one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_loses_no_event_and_holds_no_memory() {
    let (scene, mut subscribed) = subscribed().await;
    for n in 0..20_u8 {
        assert!(
            within(&*scene.clock, Duration::from_secs(3), subscribed.next())
                .await
                .is_none()
        );
        assert_eq!(scene.budget.used(), 0);
        let sequence = scene.stream.put_to(&scene.shard, "k", vec![n]).unwrap();
        let fetched = subscribed.next().await.unwrap();
        assert_eq!(
            fetched
                .records
                .iter()
                .map(|record| &record.position.sequence)
                .collect::<Vec<_>>(),
            [&sequence]
        );
        assert!(scene.budget.used() > 0);
    }
    assert_eq!(scene.stream.subscriptions().len(), 1);
}

/// A consumer's calls as they are, and subscriptions that give events of which it is known how much
/// they take.
#[derive(Debug)]
struct Announced {
    stream: MemoryStream,
    subscriptions: Arc<AtomicUsize>,
}

/// One record each, and then silence.
#[derive(Debug)]
struct Large {
    left: std::vec::IntoIter<usize>,
    next: Option<usize>,
}

#[async_trait]
impl Subscription for Large {
    async fn begins(&mut self) -> usize {
        if self.next.is_none() {
            self.next = self.left.next();
        }
        match self.next {
            Some(bytes) => bytes,
            None => std::future::pending().await,
        }
    }

    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        let bytes = self.next.take().expect("it has begun");
        let sequence = (1 + 2 - self.left.len()).to_string().parse().unwrap();
        Ok(Some(Pushed::new(vec![crate::model::RawRecord::new(
            sequence,
            "k",
            vec![0; bytes],
        )])))
    }
}

#[async_trait]
impl FanOut for Announced {
    async fn describe_consumer(
        &self,
        which: &WhichConsumer,
    ) -> Result<crate::stream::Consumer, Error> {
        self.stream.describe_consumer(which).await
    }

    async fn register_consumer(&self, name: &str) -> Result<crate::stream::Consumer, Error> {
        self.stream.register_consumer(name).await
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        self.stream.deregister_consumer(arn).await
    }

    async fn subscribe(
        &self,
        _: &ConsumerArn,
        _: &ShardId,
        _: &crate::stream::StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Large {
            left: vec![30 << 20, 31 << 20].into_iter(),
            next: None,
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_memory_is_neither_silence_nor_a_standstill() {
    let (scene, mut subscribed) = subscribed().await;
    let subscriptions = Arc::new(AtomicUsize::new(0));
    subscribed.registration = Arc::new(Registration::new(
        "orders".parse().unwrap(),
        WhichConsumer::Name("app".into()),
        Arc::new(Announced {
            stream: scene.stream.clone(),
            subscriptions: Arc::clone(&subscriptions),
        }),
        Arc::clone(&scene.clock),
        Duration::from_secs(30),
        LONGEST,
    ));
    // An equal share is a third: less than two of the events.
    let _others = [scene.budget.seat(), scene.budget.seat()];
    let first = subscribed.next().await.unwrap();
    assert_eq!(first.records[0].data.len(), 30 << 20);
    let reading = tokio::spawn(async move {
        (
            subscribed
                .next()
                .await
                .map(|fetched| fetched.records[0].data.len()),
            subscribed,
        )
    });
    let mut longest = Duration::ZERO;
    while scene.clock.now() < Moment::from_origin(4 * SILENCE) {
        pause(&*scene.clock, Duration::from_millis(50)).await;
        longest = longest.max(scene.held.progress().still_for(scene.clock.now()));
    }
    assert!(
        !reading.is_finished() && scene.budget.used() < 60 << 20,
        "{:?}",
        scene.budget
    );
    assert!(longest <= Duration::from_millis(1100), "{longest:?}");
    drop(first);
    let (second, mut subscribed) = reading.await.unwrap();
    assert_eq!(second.unwrap(), 31 << 20);
    assert_eq!(subscriptions.load(Ordering::SeqCst), 1);
    // But the silence after it is one.
    assert!(
        within(&*scene.clock, 2 * SILENCE, subscribed.next())
            .await
            .is_none_or(|fetched| fetched.is_ok())
    );
    assert!(subscriptions.load(Ordering::SeqCst) > 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_is_given_up_within_its_limit() {
    /// A stream that does not answer the first call.
    #[derive(Debug)]
    struct Deaf(MemoryStream, std::sync::atomic::AtomicBool);

    #[async_trait]
    impl FanOut for Deaf {
        async fn describe_consumer(
            &self,
            which: &WhichConsumer,
        ) -> Result<crate::stream::Consumer, Error> {
            self.0.describe_consumer(which).await
        }

        async fn register_consumer(&self, name: &str) -> Result<crate::stream::Consumer, Error> {
            self.0.register_consumer(name).await
        }

        async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
            self.0.deregister_consumer(arn).await
        }

        async fn subscribe(
            &self,
            consumer: &ConsumerArn,
            shard: &ShardId,
            at: &crate::stream::StartAt,
        ) -> Result<Box<dyn Subscription>, Error> {
            if !self.1.swap(true, Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            self.0.subscribe(consumer, shard, at).await
        }
    }

    let (scene, mut subscribed) = subscribed().await;
    subscribed.registration = Arc::new(Registration::new(
        "orders".parse().unwrap(),
        WhichConsumer::Name("app".into()),
        Arc::new(Deaf(scene.stream.clone(), false.into())),
        Arc::clone(&scene.clock),
        Duration::from_secs(30),
        LONGEST,
    ));
    scene.stream.put_to(&scene.shard, "k", "x").unwrap();
    assert_eq!(subscribed.next().await.unwrap().records.len(), 1);
    let took = scene.clock.now().since_origin();
    assert!(
        took >= Duration::from_secs(30) && took < Duration::from_secs(32),
        "{took:?}"
    );
}

/// A subscription whose events come after this long each.
#[derive(Debug)]
struct Late(Arc<dyn Clock>, Duration);

#[async_trait]
impl Subscription for Late {
    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        pause(&*self.0, self.1).await;
        Ok(Some(Pushed::default()))
    }
}

/// One that came at once may have lain in a buffer, and its word for being at the tip may be from
/// before the bound.
#[tokio::test(start_paused = true)]
async fn only_an_event_that_was_waited_for_is_known_to_be_new() {
    let (scene, mut subscribed) = subscribed().await;
    subscribed.intake = scene
        .intake()
        .until(Some(Bound::new(Timestamp::from_millis(1))));
    pause(&*scene.clock, Duration::from_secs(7)).await;
    for (millis, is_known) in [(0, false), (99, false), (101, true), (5_000, true)] {
        subscribed.subscription = Some(Box::new(Late(
            Arc::clone(&scene.clock),
            Duration::from_millis(millis),
        )));
        let mut permit = subscribed.make_room().await;
        assert!(matches!(
            subscribed.wait(&mut permit).await,
            Waited::Event(_)
        ));
        assert_eq!(
            subscribed.intake.is_read(Some(0)),
            is_known,
            "an event after {millis} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_failed_read_and_an_ordinary_end_is_none() {
    let (scene, mut subscribed) = subscribed().await;
    subscribed.over(Happened::Ended, None).unwrap();
    assert!(
        scene.held.failing().is_none(),
        "a subscription ends after five minutes"
    );
    subscribed.over(Happened::Silent, None).unwrap();
    let (_, error) = scene.held.failing().unwrap();
    assert!(error.contains("sent no event for 30s"), "{error}");
}
