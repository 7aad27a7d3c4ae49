//! Events that are longer than a frame: received when there is room for them, and not before.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use kcl_core::ByteBudget;
use kcl_core::processor::{Failure, ProcessRecordsInput, RecordProcessor, ShardRef};
use tokio::sync::watch;

use super::client::{next, soon, stream, subscribe, windows_of};
use super::http1::Http1Server;
use super::served::{Asked, Reply, Server, Taken, nothing_taken, push, pushing};
use super::{events, service};

const WINDOW: usize = 64 << 10;
const RECORD: usize = 300_000;

/// The start of a response is no event: it is there in any case. What is held back of an event fills
/// the window, though it has been taken from the connection.
fn most_before_it_is_asked_for() -> usize {
    WINDOW + events::initial().len()
}

/// Even when it has begun to arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_not_received_before_it_is_requested() {
    const SHARDS: usize = 20;
    let taken = nothing_taken(SHARDS);
    let all = (1..=3)
        .map(|number| events::one(number, &vec![b'x'; RECORD]))
        .collect::<Vec<_>>();
    let length = all[0].len();
    let server = pushing(all.concat().into(), &taken).await;
    let stream = stream(server.at).subscribe_over(windows_of(WINDOW));
    let shards: Vec<String> = (0..SHARDS).map(|number| number.to_string()).collect();
    let subscriptions = join_all(shards.iter().map(|shard| subscribe(&stream, shard))).await;
    let mut subscriptions: Vec<_> = subscriptions.into_iter().map(Result::unwrap).collect();

    for event in 0..3 {
        for subscription in &mut subscriptions {
            let memory = soon(subscription.begins()).await;
            assert!(
                memory >= 2 * length && memory < 4 * length,
                "{memory} for a message of {length}"
            );
            // It is no more there when it is asked again.
            assert_eq!(soon(subscription.begins()).await, memory);
        }
        // One after the other: what the first has shows what the last has not.
        for (number, subscription) in subscriptions.iter_mut().enumerate() {
            assert_eq!(next(subscription).await.unwrap().unwrap()[0].len(), RECORD);
            for held in &taken[number + 1..] {
                let held = *held.lock().unwrap() - event * length;
                assert!(
                    held <= most_before_it_is_asked_for(),
                    "{held} bytes of an event that nobody has asked for"
                );
            }
        }
    }
}

/// The next one who asks is told its length again.
#[tokio::test]
async fn giving_up_within_an_event_loses_nothing() {
    let event = events::one(1, &vec![b'x'; RECORD]);
    let (first, second) = (event.slice(..150_000), event.slice(150_000..));
    let (go, gone) = watch::channel(false);
    let server = Server::start(100, move |_, reply: Reply| {
        let (first, second, mut gone) = (first.clone(), second.clone(), gone.clone());
        async move {
            let mut events = reply.grant();
            events.send(first);
            gone.wait_for(|gone| *gone).await.unwrap();
            events.send(second);
            events.send(events::one(2, b"short"));
            events.gone().await;
        }
    })
    .await;
    let stream = stream(server.at).subscribe_over(windows_of(WINDOW));
    let mut subscription = subscribe(&stream, "0").await.unwrap();
    let memory = soon(subscription.begins()).await;
    // It reads what there is, and then there is nothing for a while.
    assert!(
        tokio::time::timeout(Duration::from_millis(300), subscription.next())
            .await
            .is_err()
    );
    go.send_replace(true);
    assert_eq!(soon(subscription.begins()).await, memory);
    assert_eq!(
        next(&mut subscription).await.unwrap().unwrap()[0].len(),
        RECORD
    );
    assert_eq!(
        soon(subscription.begins()).await,
        0,
        "what is short is there"
    );
    assert_eq!(next(&mut subscription).await.unwrap().unwrap(), [b"short"]);
}

#[tokio::test]
async fn the_same_holds_by_http_1_1() {
    let messages = vec![
        events::initial(),
        events::one(1, b"short"),
        events::one(2, &vec![b'x'; RECORD]),
        events::one(3, b"end"),
    ];
    let length = messages[2].len();
    let server = Http1Server::start(None, messages).await;
    let stream = stream(server.at);
    let mut subscription = subscribe(&stream, "0").await.unwrap();
    assert_eq!(soon(subscription.begins()).await, 0);
    assert_eq!(next(&mut subscription).await.unwrap().unwrap(), [b"short"]);
    assert!(soon(subscription.begins()).await >= 2 * length);
    assert_eq!(
        next(&mut subscription).await.unwrap().unwrap()[0].len(),
        RECORD
    );
    assert_eq!(soon(subscription.begins()).await, 0);
    assert_eq!(next(&mut subscription).await.unwrap().unwrap(), [b"end"]);
}

const SHARDS: usize = 40;
const STOPPED: usize = 3;
const EVENTS: usize = 2;
const LARGE: usize = 1_000_000;
const BUDGET: usize = 16 << 20;

async fn answer(asked: Asked, reply: Reply, all: Bytes, taken: Taken) {
    let Some(reply) = service::describe(&asked, reply, SHARDS, |shard| shard.to_string()) else {
        return;
    };
    match asked.operation.as_str() {
        "SubscribeToShard" => {
            assert_eq!(
                asked.body["StartingPosition"]["Type"], "TRIM_HORIZON",
                "no subscription is replaced"
            );
            push(&asked, reply, &all, &taken).await;
        }
        other => reply.error("UnknownOperationException", other),
    }
}

/// What the handlers see.
struct Watched {
    taken: Taken,
    length: usize,
    /// Records that were handled, by shard.
    handled: Mutex<BTreeMap<usize, usize>>,
    /// The most events that were received, or had begun to be, and not handled.
    most: Mutex<usize>,
    done: watch::Sender<usize>,
}

impl Watched {
    fn look(&self) {
        let handled = self.handled.lock().unwrap();
        let beyond_window = |(shard, taken): (usize, &Mutex<usize>)| {
            let taken = taken
                .lock()
                .unwrap()
                .saturating_sub(most_before_it_is_asked_for());
            taken
                .div_ceil(self.length)
                .saturating_sub(handled.get(&shard).copied().unwrap_or_default())
        };
        let events: usize = self.taken.iter().enumerate().map(beyond_window).sum();
        let mut most = self.most.lock().unwrap();
        *most = events.max(*most);
    }
}

struct Handler {
    shard: usize,
    stopped: Option<watch::Receiver<bool>>,
    watched: Arc<Watched>,
}

impl RecordProcessor for Handler {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        if let Some(stopped) = &mut self.stopped {
            stopped.wait_for(|go_on| *go_on).await.unwrap();
        }
        self.watched.look();
        assert!(
            input
                .records
                .iter()
                .all(|record| record.data.len() == LARGE)
        );
        *self
            .watched
            .handled
            .lock()
            .unwrap()
            .entry(self.shard)
            .or_default() += input.records.len();
        self.watched
            .done
            .send_modify(|done| *done += input.records.len());
        Ok(())
    }
}

/// A worker receives no more of them than its budget has room for, and handlers that have stopped
/// delay no other shard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_events_stay_within_the_budget_of_a_worker() {
    let taken = nothing_taken(SHARDS);
    let all = (1..=EVENTS)
        .map(|number| events::one(u32::try_from(number).unwrap(), &vec![b'x'; LARGE]))
        .collect::<Vec<_>>();
    let length = all[0].len();
    let (told, all) = (Arc::clone(&taken), Bytes::from(all.concat()));
    let server = Server::start(100, move |asked, reply| {
        answer(asked, reply, all.clone(), Arc::clone(&told))
    })
    .await;
    let (done, mut counted) = watch::channel(0);
    let watched = Arc::new(Watched {
        taken,
        length,
        handled: Mutex::default(),
        most: Mutex::default(),
        done,
    });
    let (go_on, stopped) = watch::channel(false);
    let told = Arc::clone(&watched);
    let worker = service::worker(server.at, windows_of(WINDOW))
        .byte_budget(ByteBudget::new(BUDGET).unwrap())
        .processor(move |shard: &ShardRef| {
            let shard: usize = shard.shard.as_str().parse().unwrap();
            Handler {
                shard,
                stopped: (shard < STOPPED).then(|| stopped.clone()),
                watched: Arc::clone(&told),
            }
        })
        .build()
        .unwrap();
    let running = service::start(&worker);
    soon(counted.wait_for(|done| *done == (SHARDS - STOPPED) * EVENTS))
        .await
        .unwrap();
    assert!((0..STOPPED).all(|shard| !watched.handled.lock().unwrap().contains_key(&shard)));
    go_on.send_replace(true);
    soon(counted.wait_for(|done| *done == SHARDS * EVENTS))
        .await
        .unwrap();
    soon(worker.shutdown(Duration::from_secs(30))).await;
    soon(running).await.unwrap().unwrap();
    let most = *watched.most.lock().unwrap();
    println!("{most} events of {SHARDS} shards at once");
    assert!(
        most <= BUDGET / LARGE,
        "{most} events of {LARGE} bytes in a budget of {BUDGET}"
    );
}
