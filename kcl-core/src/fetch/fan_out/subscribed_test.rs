#![expect(clippy::disallowed_methods, reason = "a clock on tokio's paused time, and a task that reads")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::*;
use crate::deaggregate::OutOfRange;
use crate::fetch::fetched::End;
use crate::fetch::{ByteBudget, Resume};
use crate::lease::held::{Held, Shared};
use crate::meters::ShardMeters;
use crate::model::{Checkpoint, Facts, LeaseKey, Timestamp};
use crate::processor::{Fence, ShardRef};
use crate::runtime::pause;
use crate::stream::memory::{MemoryStream, Operation, SubscriptionFault};
use crate::stream::{FanOut, WhichConsumer};

/// The paused clock of the test's runtime.
#[derive(Debug)]
struct Virtual(Instant);

#[async_trait]
impl Clock for Virtual {
    fn now(&self) -> Moment {
        Moment::from_origin(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }

    async fn sleep_until(&self, moment: Moment) {
        tokio::time::sleep(moment.since(self.now())).await;
    }
}

struct Bench {
    clock: Arc<dyn Clock>,
    stream: MemoryStream,
    shard: ShardId,
    held: Held,
    budget: ByteBudget,
}

impl Bench {
    async fn new() -> (Self, Subscribed) {
        let clock: Arc<dyn Clock> = Arc::new(Virtual(Instant::now()));
        let stream = MemoryStream::with_clock("orders", 1, Arc::clone(&clock));
        let shard = stream.open_shards().remove(0);
        let key = LeaseKey::single(shard.clone());
        let shared = Arc::new(Shared::new(key.clone(), Fence(1), Checkpoint::TrimHorizon, clock.now()));
        let (orders, _) = tokio::sync::mpsc::unbounded_channel();
        let (_, loss) = tokio::sync::watch::channel(None);
        let held = Held::new(shared, orders, loss);
        let shard_ref = ShardRef::new("orders".parse().unwrap(), key, shard.clone());
        let budget = ByteBudget::new(ByteBudget::DEFAULT).unwrap();
        let call_limit = Duration::from_secs(30);
        let registration = Arc::new(Registration::new(
            "orders".parse().unwrap(),
            WhichConsumer::Name("app".into()),
            Arc::new(stream.clone()),
            Arc::clone(&clock),
            call_limit,
        ));
        let resume = Resume::new(&Checkpoint::TrimHorizon, &Facts::default()).unwrap();
        let meters = ShardMeters::new(&shard_ref, &"me".into());
        let subscribed = Subscribed::new(
            Arc::clone(&registration),
            registration.consumer(Moment::default()).await.unwrap(),
            shard.clone(),
            Arc::clone(&clock),
            SubscribedSettings { call_limit, memory_while_reading: 1.0 },
            budget.seat(),
            held.turns(Arc::clone(&clock)),
            SubscriptionMeters::new(&shard_ref, &"me".into()),
            Intake::new(Arc::clone(&clock), meters, resume, None, OutOfRange::default()),
        );
        (Self { clock, stream, shard, held, budget }, subscribed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_event_for_the_pace_or_through_silence_is_no_standstill() {
    let (bench, mut subscribed) = Bench::new().await;
    bench.stream.next_subscription(&bench.shard, SubscriptionFault::SilentAfter(1));
    bench.stream.fail_next(Operation::Subscribe, ErrorKind::Throttled, 4);
    let reading = tokio::spawn(async move { subscribed.next().await.map(|fetched| fetched.records.len()) });
    let mut longest = Duration::ZERO;
    while bench.clock.now() < Moment::from_origin(Duration::from_mins(12)) {
        pause(&*bench.clock, Duration::from_millis(50)).await;
        longest = longest.max(bench.held.progress().still_for(bench.clock.now()));
    }
    assert!(bench.stream.subscriptions().len() >= 3, "it is through and idles");
    assert!(longest <= Duration::from_millis(1100), "{longest:?}");
    bench.stream.put_to(&bench.shard, "k", "x").unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_its_end_a_shard_is_not_subscribed_to_any_more() {
    let (bench, mut subscribed) = Bench::new().await;
    bench.stream.close(&bench.shard).unwrap();
    assert!(matches!(subscribed.next().await.unwrap().end, Some(End::Closed(children)) if children.is_empty()));
    assert!(within(&*bench.clock, Duration::from_mins(60), subscribed.next()).await.is_none());
    assert_eq!(bench.stream.call_count(Operation::Subscribe, None), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_loses_no_event_and_holds_no_memory() {
    let (bench, mut subscribed) = Bench::new().await;
    for n in 0..20_u8 {
        assert!(within(&*bench.clock, Duration::from_secs(3), subscribed.next()).await.is_none());
        assert_eq!(bench.budget.used(), 0);
        let sequence = bench.stream.put_to(&bench.shard, "k", vec![n]).unwrap();
        let fetched = subscribed.next().await.unwrap();
        assert_eq!(fetched.records.iter().map(|record| &record.position.sequence).collect::<Vec<_>>(), [&sequence]);
        assert!(bench.budget.used() > 0);
    }
    assert_eq!(bench.stream.subscriptions().len(), 1);
}

/// A consumer's calls as they are, and subscriptions that give events of which it is known how much they take.
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
        Ok(Some(Pushed::new(vec![crate::model::RawRecord::new(sequence, "k", vec![0; bytes])])))
    }
}

#[async_trait]
impl FanOut for Announced {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<crate::stream::Consumer, Error> {
        self.stream.describe_consumer(which).await
    }

    async fn register_consumer(&self, name: &str) -> Result<crate::stream::Consumer, Error> {
        self.stream.register_consumer(name).await
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        self.stream.deregister_consumer(arn).await
    }

    async fn subscribe(&self, _: &ConsumerArn, _: &ShardId, _: &crate::stream::StartAt) -> Result<Box<dyn Subscription>, Error> {
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Large { left: vec![30 << 20, 31 << 20].into_iter(), next: None }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_memory_of_an_event_is_neither_silence_nor_a_standstill() {
    let (bench, mut subscribed) = Bench::new().await;
    let subscriptions = Arc::new(AtomicUsize::new(0));
    subscribed.registration = Arc::new(Registration::new(
        "orders".parse().unwrap(),
        WhichConsumer::Name("app".into()),
        Arc::new(Announced { stream: bench.stream.clone(), subscriptions: Arc::clone(&subscriptions) }),
        Arc::clone(&bench.clock),
        Duration::from_secs(30),
    ));
    // An equal share is a third: less than two of the events.
    let _others = [bench.budget.seat(), bench.budget.seat()];
    let first = subscribed.next().await.unwrap();
    assert_eq!(first.records[0].data.len(), 30 << 20);
    let reading = tokio::spawn(async move { (subscribed.next().await.map(|fetched| fetched.records[0].data.len()), subscribed) });
    let mut longest = Duration::ZERO;
    while bench.clock.now() < Moment::from_origin(4 * SILENCE) {
        pause(&*bench.clock, Duration::from_millis(50)).await;
        longest = longest.max(bench.held.progress().still_for(bench.clock.now()));
    }
    assert!(!reading.is_finished() && bench.budget.used() < 60 << 20, "{:?}", bench.budget);
    assert!(longest <= Duration::from_millis(1100), "{longest:?}");
    drop(first);
    let (second, mut subscribed) = reading.await.unwrap();
    assert_eq!(second.unwrap(), 31 << 20);
    assert_eq!(subscriptions.load(Ordering::SeqCst), 1);
    // But the silence after it is one.
    assert!(within(&*bench.clock, 2 * SILENCE, subscribed.next()).await.is_none_or(|fetched| fetched.is_ok()));
    assert!(subscriptions.load(Ordering::SeqCst) > 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_is_given_up_within_its_limit() {
    /// A stream that does not answer the first call.
    #[derive(Debug)]
    struct Deaf(MemoryStream, std::sync::atomic::AtomicBool);

    #[async_trait]
    impl FanOut for Deaf {
        async fn describe_consumer(&self, which: &WhichConsumer) -> Result<crate::stream::Consumer, Error> {
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

    let (bench, mut subscribed) = Bench::new().await;
    subscribed.registration = Arc::new(Registration::new(
        "orders".parse().unwrap(),
        WhichConsumer::Name("app".into()),
        Arc::new(Deaf(bench.stream.clone(), false.into())),
        Arc::clone(&bench.clock),
        Duration::from_secs(30),
    ));
    bench.stream.put_to(&bench.shard, "k", "x").unwrap();
    assert_eq!(subscribed.next().await.unwrap().records.len(), 1);
    let took = bench.clock.now().since_origin();
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(32), "{took:?}");
}
