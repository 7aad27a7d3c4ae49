//! A worker on the real SDK against a service that ends, breaks and refuses subscriptions a
//! thousand times.
#![expect(clippy::disallowed_methods, reason = "what is measured is real time")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kcl_core::processor::{Failure, ProcessRecordsInput, RecordProcessor, ShardRef};
use kcl_core::stream::kinesis::http::Http2Client;
use tokio::sync::watch;

use super::client::within;
use super::served::{Asked, Reply, Server};
use super::{events, service};

const SHARDS: usize = 50;
/// Of each shard. Beside these are the refusals.
const TROUBLES: usize = 21;
const RECORDS_BETWEEN: u32 = 2;
const RECORDS: u32 = TROUBLES as u32 * RECORDS_BETWEEN + 1;

/// What the service does with the calls for one shard, in turn.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It grants a subscription, and ends it after these events.
    End(u32),
    /// The subscription is reset.
    Reset(u32),
    /// It ends in the middle of an event.
    Cut(u32),
    /// The service says that somebody else has it now.
    TakenOver(u32),
    /// No subscription: there is one, or the last one is too young.
    InUse,
    /// No subscription: the consumer is not active.
    NotActive,
    /// No subscription, in passing.
    Failed,
}

impl Trouble {
    /// The same for the same shard and number each time, and each kind equally often.
    fn of(shard: usize, number: usize) -> Self {
        let events = ((shard + number) % 3) as u32;
        match (shard * 5 + number) % 7 {
            0 => Self::End(events),
            1 => Self::Reset(events),
            2 => Self::Cut(events),
            3 => Self::TakenOver(events),
            4 => Self::InUse,
            5 => Self::NotActive,
            _ => Self::Failed,
        }
    }
}

/// What the service knows of a shard.
#[derive(Default)]
struct Shard {
    calls: Vec<Instant>,
    /// When it would have accepted a call again.
    open_since: Option<Instant>,
    longest_wait: Duration,
    spaces: Vec<Duration>,
}

#[derive(Default)]
struct Service {
    shards: Mutex<BTreeMap<usize, Shard>>,
}

impl Service {
    /// Takes a call in, and says the how manieth of its shard it is.
    fn called(&self, shard: usize) -> usize {
        let now = Instant::now();
        let mut shards = self.shards.lock().unwrap();
        let shard = shards.entry(shard).or_default();
        if let Some(last) = shard.calls.last() {
            shard.spaces.push(now - *last);
        }
        if let Some(open) = shard.open_since.take() {
            // It may not ask before a second has gone by.
            let allowed = shard
                .calls
                .last()
                .map_or(open, |last| open.max(*last + Duration::from_secs(1)));
            shard.longest_wait = shard
                .longest_wait
                .max(now.saturating_duration_since(allowed));
        }
        shard.calls.push(now);
        shard.calls.len() - 1
    }

    fn is_open_again(&self, shard: usize) {
        self.shards
            .lock()
            .unwrap()
            .entry(shard)
            .or_default()
            .open_since = Some(Instant::now());
    }

    async fn answer(self: Arc<Self>, asked: Asked, reply: Reply) {
        let Some(reply) = service::describe(&asked, reply, SHARDS, name_of) else {
            return;
        };
        match asked.operation.as_str() {
            "SubscribeToShard" => self.subscribe(asked, reply).await,
            other => reply.error("UnknownOperationException", other),
        }
    }

    async fn subscribe(&self, asked: Asked, reply: Reply) {
        let shard = number_of(&asked.shard());
        let trouble = self.called(shard);
        let position = &asked.body["StartingPosition"];
        let mut next = match position["Type"].as_str() {
            Some("TRIM_HORIZON") => 1,
            Some("AT_SEQUENCE_NUMBER") => position["SequenceNumber"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
            other => panic!("begins {other:?}"),
        };
        if trouble >= TROUBLES {
            let mut events = reply.grant();
            (next..=RECORDS).for_each(|sequence| events.send(record(shard, sequence)));
            return events.gone().await;
        }
        let trouble = Trouble::of(shard, trouble);
        let (Trouble::End(count)
        | Trouble::Reset(count)
        | Trouble::Cut(count)
        | Trouble::TakenOver(count)) = trouble
        else {
            let (code, message) = match trouble {
                Trouble::InUse => (
                    "ResourceInUseException",
                    "Another active subscription exists for this consumer",
                ),
                Trouble::NotActive => ("ResourceInUseException", "Consumer is not ACTIVE"),
                _ => ("InternalFailureException", "in passing"),
            };
            reply.error(code, message);
            return self.is_open_again(shard);
        };
        let mut events = reply.grant();
        for _ in 0..count {
            events.send(record(shard, next));
            next += 1;
        }
        match trouble {
            Trouble::Reset(_) => events.reset(),
            Trouble::Cut(_) => {
                let whole = record(shard, next);
                events.send(whole.slice(..whole.len() * (shard % 7 + 1) / 9));
                events.end();
            }
            Trouble::TakenOver(_) => {
                events.send(events::exception(
                    "ResourceInUseException",
                    "another one has taken over",
                ));
                events.end();
            }
            _ => events.end(),
        }
        self.is_open_again(shard);
    }
}

fn name_of(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

fn number_of(shard: &str) -> usize {
    shard.trim_start_matches("shardId-").parse().unwrap()
}

fn record(shard: usize, sequence: u32) -> bytes::Bytes {
    events::one(sequence, format!("{shard}/{sequence}").as_bytes())
}

/// What the handlers were given, by shard.
type DeliveredByShard = Arc<Mutex<BTreeMap<String, Vec<u32>>>>;

struct Collects(DeliveredByShard, Arc<watch::Sender<usize>>);

impl RecordProcessor for Collects {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            let (shard, sequence) = text.split_once('/').unwrap();
            self.0
                .lock()
                .unwrap()
                .entry(shard.to_owned())
                .or_default()
                .push(sequence.parse().unwrap());
        }
        self.1.send_modify(|count| *count += input.records.len());
        Ok(())
    }
}

/// And no shard is subscribed to twice within a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_faults_lose_and_repeat_nothing() {
    let service = Arc::new(Service::default());
    let answering = Arc::clone(&service);
    let server = Server::start(100, move |asked, reply| {
        Arc::clone(&answering).answer(asked, reply)
    })
    .await;
    let (seen, count) = (DeliveredByShard::default(), Arc::new(watch::Sender::new(0)));
    let mut counted = count.subscribe();
    let (collected, told) = (Arc::clone(&seen), Arc::clone(&count));
    let worker = service::worker(server.at, Http2Client::new())
        .processor(move |_: &ShardRef| Collects(Arc::clone(&collected), Arc::clone(&told)))
        .build()
        .unwrap();
    let running = service::start(&worker);
    let all = SHARDS * RECORDS as usize;
    within(
        Duration::from_mins(4),
        counted.wait_for(|count| *count >= all),
    )
    .await
    .unwrap();
    worker.shutdown(Duration::from_secs(30)).await;
    running.await.unwrap().unwrap();

    let expected: Vec<u32> = (1..=RECORDS).collect();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), SHARDS);
    for (shard, sequences) in &*seen {
        assert_eq!(*sequences, expected, "shard {shard}");
    }
    let shards = service.shards.lock().unwrap();
    let troubles = shards
        .values()
        .map(|shard| shard.calls.len() - 1)
        .sum::<usize>();
    assert!(troubles >= 1_000, "{troubles}");
    let shortest = shards
        .values()
        .flat_map(|shard| &shard.spaces)
        .min()
        .unwrap();
    assert!(
        *shortest >= Duration::from_secs(1),
        "two calls for a shard within {shortest:?}"
    );
    // Shown, not judged: on a busy machine everything takes longer. What the pauses are is judged
    // on a paused clock elsewhere.
    let longest = shards
        .values()
        .map(|shard| shard.longest_wait)
        .max()
        .unwrap();
    println!(
        "{troubles} troubles: the longest time until the next call {longest:?}, the shortest \
         between two {shortest:?}"
    );
}
