//! The DynamoDB lease table on Amazon's DynamoDB Local.
//!
//! ```text
//! bash tests/e2e/run dynamo
//! ```
//!
//! starts one and runs these tests; `KCL_E2E_DYNAMO` is its URL. With `KCL_E2E_LEASES=2000
//! KCL_E2E_HELD_SECONDS=180` one worker takes 2,000 leases and holds them for three minutes;
//! `KCL_E2E_TAKEN_SECONDS=10` is for a build with `--release`, which that script does not make.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Fresh, Timed, answers_as_the_table_in_memory};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use kcl_core::lease::{Consistency, LeaseTable as _};
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::Event;
use kcl_core::{Failure, RecordProcessor, Worker};
use kcl_dynamo::OpenOptions;

static TABLES: AtomicUsize = AtomicUsize::new(0);

fn client() -> Client {
    let endpoint = std::env::var("KCL_E2E_DYNAMO")
        .expect("KCL_E2E_DYNAMO is the URL of a DynamoDB Local: see tests/e2e/run");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

async fn fresh() -> Fresh<impl Fn() -> Client + Send + Sync> {
    let number = TABLES.fetch_add(1, Ordering::Relaxed);
    Fresh {
        table: format!("contract-{}-{number}", std::process::id()),
        client,
    }
}

#[tokio::test]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn the_contract_holds() {
    kcl_core::testing::lease_table::suite(fresh).await;
}

#[tokio::test]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn random_operations_are_answered_as_by_the_table_in_memory() {
    for seed in 1000..1010 {
        answers_as_the_table_in_memory(Arc::new(fresh().await.open()), seed, 60).await;
    }
}

const FAILOVER: Duration = Duration::from_secs(30);

struct Nothing;

impl RecordProcessor for Nothing {
    async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
#[expect(
    clippy::disallowed_methods,
    reason = "real time, against a real server"
)]
async fn many_leases_are_taken_and_held() {
    let setting = |name: &str, default: u32| {
        std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
    };
    let shards = setting("KCL_E2E_LEASES", 500);
    let held_for = setting("KCL_E2E_HELD_SECONDS", 20);
    let limit = Duration::from_secs(setting("KCL_E2E_TAKEN_SECONDS", 60).into());
    let name = format!("many-{}", std::process::id());
    let table = Timed::new(
        OpenOptions::new()
            .open_with_client(&client(), &name)
            .unwrap(),
    );
    // Who only measures has time: a busy machine may take longer for a look than a worker would
    // wait.
    let watched = OpenOptions::new()
        .call_limit(Duration::from_secs(60))
        .open_with_client(&client(), &name)
        .unwrap();
    watched.setup().await.unwrap();
    let worker = Worker::builder()
        .stream("orders")
        .application(&name)
        .source(MemoryStream::new("orders", shards))
        .lease_table(table.clone())
        .failover(FAILOVER)
        .processor(|_: &ShardRef| Nothing)
        .build()
        .unwrap();
    let lost = Arc::new(Mutex::new(Vec::new()));
    let (mut events, seen) = (worker.events(), Arc::clone(&lost));
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if matches!(event, Event::LeaseLost { .. }) {
                seen.lock().unwrap().push(event);
            }
        }
    });
    let running = worker.clone();
    let began = Instant::now();
    let run = tokio::spawn(async move { running.run().await });
    let counters = async || {
        let mut all = watched.scan(None, Consistency::Strong).await.unwrap();
        while let Some(next) = all.next.take() {
            all.append(
                watched
                    .scan(Some(&next), Consistency::Strong)
                    .await
                    .unwrap(),
            );
        }
        all.leases
            .into_iter()
            .filter(|lease| lease.owner.is_some())
            .map(|lease| lease.counter)
            .collect::<Vec<_>>()
    };
    while counters().await.len() < shards as usize {
        assert!(
            began.elapsed() < limit,
            "{} leases are held",
            counters().await.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let taken = began.elapsed();
    let before: u64 = counters().await.iter().sum();
    table.take();
    tokio::time::sleep(Duration::from_secs(held_for.into())).await;
    let after: u64 = counters().await.iter().sum();
    let each = (after as f64 - before as f64) / f64::from(shards) / f64::from(held_for) * 60.0;
    println!("{shards} leases: taken after {taken:?}; {each:.1} renewals a minute and lease");
    let [between, calls] = table.take();
    let of = |all: &[Duration], part: usize| {
        all.get(all.len().saturating_sub(1) * part / 1000)
            .copied()
            .unwrap_or_default()
    };
    let lags: Vec<Duration> = between
        .iter()
        .map(|span| span.saturating_sub(FAILOVER / 3))
        .collect();
    println!(
        "lag of {} renewals: median {:?}, 99 % {:?}, 99.9 % {:?}, greatest {:?}; a write takes: \
         median {:?}, 99 % {:?}, greatest {:?}",
        lags.len(),
        of(&lags, 500),
        of(&lags, 990),
        of(&lags, 999),
        of(&lags, 1000),
        of(&calls, 500),
        of(&calls, 990),
        of(&calls, 1000)
    );
    let lost = std::mem::take(&mut *lost.lock().unwrap());
    assert!(lost.is_empty(), "{} lost: {:?}", lost.len(), lost.first());
    assert_eq!(counters().await.len(), shards as usize);
    worker.shutdown(Duration::from_secs(60)).await;
    run.await.unwrap().unwrap();
}
