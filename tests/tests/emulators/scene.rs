#![expect(
    clippy::disallowed_methods,
    reason = "real time, against a real server"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, StreamStatus};
use kcl_core::lease::{Consistency, LeaseTable as _};
use kcl_core::model::{Checkpoint, InitialPosition, ShardId};
use kcl_core::processor::ShardRef;
use kcl_core::stream::kinesis::http::Http1Client;
use kcl_core::worker::{Event, Events, Mode, Stopped};
use kcl_core::{KinesisStream, Worker};
use kcl_local::SqliteLeaseTable;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::history::{History, Processor};

/// The keys of the records, and how many records each has before the worker starts and after each
/// reshard.
const KEYS: usize = 50;
const BEFORE: usize = 20;
const AFTER: usize = 4;
/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// A stream of two shards on a server, and a worker that is to read it.
pub(crate) struct Scene {
    client: Client,
    stream: String,
    mode: Mode,
    history: History,
    put: BTreeMap<String, usize>,
    folder: TempDir,
}

impl Scene {
    pub(crate) async fn new(endpoint: &str, name: &str, mode: Mode) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .retry_config(RetryConfig::disabled());
        let client = Client::from_conf(config.build());
        let stream = format!("{name}-{}", std::process::id());
        client
            .create_stream()
            .stream_name(&stream)
            .shard_count(2)
            .send()
            .await
            .expect("creates");
        let folder = tempfile::tempdir().expect("a folder");
        let scene = Self {
            client,
            stream,
            mode,
            history: History::default(),
            put: BTreeMap::new(),
            folder,
        };
        scene.active().await;
        scene
    }

    /// Reads what was there before, and what is put after a split and after a merge that follows it
    /// at once.
    pub(crate) async fn read_over_a_split_and_a_merge(mut self) {
        let backlog = self.put(BEFORE).await;
        let table = SqliteLeaseTable::open(self.folder.path().join("leases.sqlite"), "billing")
            .await
            .expect("a table");
        let history = self.history.clone();
        let worker = Worker::builder()
            .stream(self.stream.clone())
            .source(
                KinesisStream::new(&self.client, self.stream.parse().expect("a name"))
                    .read_over(Http1Client::new()),
            )
            .application("billing")
            .lease_table(table.clone())
            .initial_position(InitialPosition::TrimHorizon)
            .mode(self.mode.clone())
            // What was there before takes several pages, all but the last of them full.
            .max_records(100)
            // Only a listing shows that kinesis-mock has closed a shard.
            .audit_every(Duration::from_secs(5))
            .processor(move |shard: &ShardRef| Processor::new(&history, shard))
            .build()
            .expect("a worker");
        let caught_up = CaughtUp::default();
        let (mut events, seen, history) =
            (worker.events(), caught_up.clone(), self.history.clone());
        let mut following = JoinSet::new();
        following.spawn(async move { seen.follow(&mut events, &history).await });
        let running = worker.clone();
        let run = tokio::spawn(async move { running.run().await });

        let before = BEFORE * KEYS;
        self.until("what was there before is read", async || {
            self.history.given() == before
        })
        .await;
        let [low, high] = self.shards().await.try_into().expect("two shards");
        self.split(&low).await;
        self.put(AFTER).await;
        let children: Vec<Shard> = self
            .shards()
            .await
            .into_iter()
            .filter(|shard| shard.parent_shard_id.is_some())
            .collect();
        let neighbour = children
            .iter()
            .max_by_key(|shard| first_hash_key(shard))
            .expect("two children");
        self.merge(neighbour, &high).await;
        self.put(AFTER).await;

        let shards = self.shards().await;
        let is_closed = |shard: &&Shard| {
            shard
                .sequence_number_range()
                .and_then(|range| range.ending_sequence_number())
                .is_some()
        };
        let closed: BTreeSet<ShardId> = shards
            .iter()
            .filter(is_closed)
            .map(|shard| ShardId::from(&*shard.shard_id))
            .collect();
        assert_eq!(
            (closed.len(), shards.len()),
            (3, 5),
            "a split and a merge: {shards:?}"
        );
        let all = before + 2 * AFTER * KEYS;
        self.until("all is read and all parents have ended", async || {
            self.history.given() >= all && closed.iter().all(|shard| self.history.is_ended(shard))
        })
        .await;
        self.until("the ends are stored", async || {
            let leases = table
                .scan(None, Consistency::Strong)
                .await
                .expect("rows")
                .leases;
            let ended = leases
                .iter()
                .filter(|lease| lease.checkpoint == Checkpoint::ShardEnd);
            ended
                .map(|lease| lease.key.shard.clone())
                .collect::<BTreeSet<_>>()
                == closed
                && leases.len() == shards.len()
        })
        .await;

        let report = worker.shutdown(LIMIT).await;
        run.await.expect("no panic").expect("no error");
        assert_eq!(report.count(Stopped::Drained), 2, "{report}");
        self.history.assert_in_order(&self.put, &parents(&shards));
        let caught_up = caught_up.all();
        for (shard, records) in backlog {
            assert!(
                caught_up[&shard] >= records,
                "{shard} was said to be caught up at {} of {records} records",
                caught_up[&shard]
            );
        }
    }

    /// Puts so many records of each key, in their order. How many of them each shard has got.
    async fn put(&mut self, each: usize) -> BTreeMap<ShardId, usize> {
        let mut of = BTreeMap::new();
        for _ in 0..each {
            let entry = |key: usize| {
                let key = format!("key-{key}");
                let number = self.put.entry(key.clone()).or_default();
                let data = Blob::new(number.to_string());
                *number += 1;
                PutRecordsRequestEntry::builder()
                    .partition_key(key)
                    .data(data)
                    .build()
                    .expect("complete")
            };
            let entries = (0..KEYS).map(entry).collect();
            let put = self
                .client
                .put_records()
                .stream_name(&self.stream)
                .set_records(Some(entries))
                .send()
                .await
                .expect("puts");
            for result in put.records {
                *of.entry(ShardId::from(
                    &*result.shard_id.expect("no record is refused"),
                ))
                .or_default() += 1;
            }
        }
        of
    }

    async fn split(&self, shard: &Shard) {
        let range = shard.hash_key_range.as_ref().expect("a range");
        let last: u128 = range.ending_hash_key.parse().expect("a number");
        let middle = first_hash_key(shard).midpoint(last);
        let call = self
            .client
            .split_shard()
            .stream_name(&self.stream)
            .shard_to_split(&shard.shard_id);
        call.new_starting_hash_key(middle.to_string())
            .send()
            .await
            .expect("splits");
        self.active().await;
    }

    async fn merge(&self, shard: &Shard, neighbour: &Shard) {
        let call = self
            .client
            .merge_shards()
            .stream_name(&self.stream)
            .shard_to_merge(&shard.shard_id);
        call.adjacent_shard_to_merge(&neighbour.shard_id)
            .send()
            .await
            .expect("merges");
        self.active().await;
    }

    async fn active(&self) {
        self.until("the stream is active", async || {
            let described = self
                .client
                .describe_stream_summary()
                .stream_name(&self.stream)
                .send()
                .await
                .expect("describes");
            described
                .stream_description_summary
                .expect("a summary")
                .stream_status
                == StreamStatus::Active
        })
        .await;
    }

    /// The shards, by their hash keys; those that follow come behind their parents.
    async fn shards(&self) -> Vec<Shard> {
        let mut shards = self
            .client
            .list_shards()
            .stream_name(&self.stream)
            .send()
            .await
            .expect("lists")
            .shards
            .unwrap_or_default();
        shards.sort_by_key(|shard| (shard.parent_shard_id.is_some(), first_hash_key(shard)));
        shards
    }

    async fn until(&self, what: &str, mut is: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !is().await {
            assert!(
                began.elapsed() < LIMIT,
                "{what}: not within {LIMIT:?}; {} records were given",
                self.history.given()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn first_hash_key(shard: &Shard) -> u128 {
    shard
        .hash_key_range
        .as_ref()
        .expect("a range")
        .starting_hash_key
        .parse()
        .expect("a number")
}

/// The parents of each shard.
fn parents(shards: &[Shard]) -> BTreeMap<ShardId, Vec<ShardId>> {
    let of = |shard: &Shard| {
        let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
        parents
            .into_iter()
            .flatten()
            .map(|parent| ShardId::from(&**parent))
            .collect()
    };
    shards
        .iter()
        .map(|shard| (ShardId::from(&*shard.shard_id), of(shard)))
        .collect()
}

/// How many records of each shard were given when it was said to be caught up.
#[derive(Clone, Default)]
struct CaughtUp(Arc<Mutex<BTreeMap<ShardId, usize>>>);

impl CaughtUp {
    async fn follow(&self, events: &mut Events, history: &History) {
        while let Some(event) = events.next().await {
            if let Event::CaughtUp { shard } = event {
                let given = history.given_of(&shard.shard);
                self.0.lock().expect("no panic").insert(shard.shard, given);
            }
        }
    }

    fn all(&self) -> BTreeMap<ShardId, usize> {
        self.0.lock().expect("no panic").clone()
    }
}
