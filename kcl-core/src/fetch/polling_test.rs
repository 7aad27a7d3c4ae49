#![expect(clippy::disallowed_methods, reason = "a clock on tokio's paused time, and a task that reads")]

use tokio::time::Instant;

use super::*;
use crate::deaggregate::OutOfRange;
use crate::fetch::fetched::End;
use crate::fetch::{ByteBudget, Resume};
use crate::lease::held::{Held, Shared};
use crate::meters::ShardMeters;
use crate::model::{Checkpoint, Facts, LeaseKey, Moment, Timestamp};
use crate::processor::{Fence, ShardRef};
use crate::runtime::within;
use crate::stream::memory::{MemoryStream, Operation};

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
}

impl Bench {
    fn new() -> (Self, Polling) {
        let clock: Arc<dyn Clock> = Arc::new(Virtual(Instant::now()));
        let stream = MemoryStream::with_clock("orders", 1, Arc::clone(&clock));
        let shard = stream.open_shards().remove(0);
        let key = LeaseKey::single(shard.clone());
        let shared = Arc::new(Shared::new(key.clone(), Fence(1), Checkpoint::TrimHorizon, clock.now()));
        let (orders, _) = tokio::sync::mpsc::unbounded_channel();
        let (_, loss) = tokio::sync::watch::channel(None);
        let held = Held::new(shared, orders, loss);
        let shard_ref = ShardRef::new("orders".parse().unwrap(), key, shard.clone());
        let polling = Polling::new(
            Arc::new(stream.clone()),
            shard.clone(),
            Arc::clone(&clock),
            PollingSettings { pace: PaceSettings::default(), max_records: 100, call_limit: Duration::from_secs(30) },
            ByteBudget::new(ByteBudget::DEFAULT).unwrap().seat(),
            held.turns(Arc::clone(&clock)),
            Intake::new(
                Arc::clone(&clock),
                ShardMeters::new(&shard_ref, &"me".into()),
                Resume::new(&Checkpoint::TrimHorizon, &Facts::default()).unwrap(),
                None,
                OutOfRange::default(),
            ),
        );
        (Self { clock, stream, shard, held }, polling)
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_pace_or_after_a_refused_call_is_no_standstill() {
    let (bench, mut polling) = Bench::new();
    bench.stream.fail_next(Operation::Read, ErrorKind::Throttled, 6);
    bench.stream.fail_next(Operation::Read, ErrorKind::Transient, 6);
    let reading = tokio::spawn(async move { polling.next().await.map(|fetched| fetched.records.len()) });
    let mut longest = Duration::ZERO;
    while bench.clock.now() < Moment::from_origin(Duration::from_secs(90)) {
        pause(&*bench.clock, Duration::from_millis(50)).await;
        longest = longest.max(bench.held.progress().still_for(bench.clock.now()));
    }
    assert!(bench.stream.call_count(Operation::Read, None) > 12, "it is through and idles");
    assert!(longest <= Duration::from_millis(1100), "{longest:?}");
    bench.stream.put_to(&bench.shard, "k", "x").unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_its_end_a_shard_is_not_asked_any_more() {
    let (bench, mut polling) = Bench::new();
    bench.stream.close(&bench.shard).unwrap();
    assert!(matches!(polling.next().await.unwrap().end, Some(End::Closed(children)) if children.is_empty()));
    let calls = bench.stream.call_count(Operation::Read, None);
    assert!(within(&*bench.clock, Duration::from_secs(60), polling.next()).await.is_none());
    assert_eq!(bench.stream.call_count(Operation::Read, None), calls);
}
