//! Workers on servers that others have written to imitate the service: over a split and a merge
//! each record is done once and in order, each parent ends, and its children are read.
//!
//! ```text
//! bash tests/e2e/run emulators
//! ```
//!
//! installs and starts kinesis-mock, which LocalStack runs, and runs these tests;
//! `KCL_E2E_KINESIS_MOCK` is its URL. ferrokinesis is served here as its crate is, without what the
//! embedded stream changes of it.
//!
//! Neither ends a subscription to a closed shard as the service does: kinesis-mock says nothing of
//! a reshard, ferrokinesis names the shards that follow beside a place to go on at. And both may
//! say that nothing follows a page (`MillisBehindLatest` 0) though more does.

mod ferrokinesis;
mod history;
mod scene;

use kcl_core::worker::{FanOutConfig, Mode};
use scene::Scene;

fn kinesis_mock() -> String {
    std::env::var("KCL_E2E_KINESIS_MOCK")
        .expect("KCL_E2E_KINESIS_MOCK is the URL of a kinesis-mock: see tests/e2e/run")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a kinesis-mock: tests/e2e/run emulators"]
async fn kinesis_mock_is_polled_over_a_split_and_a_merge() {
    Scene::new(&kinesis_mock(), "polled", Mode::Polling)
        .await
        .read_over_a_split_and_a_merge()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a kinesis-mock: tests/e2e/run emulators"]
async fn kinesis_mock_pushes_over_a_split_and_a_merge() {
    Scene::new(
        &kinesis_mock(),
        "pushed",
        Mode::FanOut(FanOutConfig::default()),
    )
    .await
    .read_over_a_split_and_a_merge()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "goes with the other server: tests/e2e/run emulators"]
async fn ferrokinesis_is_polled_over_a_split_and_a_merge() {
    let server = ferrokinesis::Server::start().await;
    Scene::new(&server.endpoint, "polled", Mode::Polling)
        .await
        .read_over_a_split_and_a_merge()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "goes with the other server: tests/e2e/run emulators"]
async fn ferrokinesis_pushes_over_a_split_and_a_merge() {
    let server = ferrokinesis::Server::start().await;
    Scene::new(
        &server.endpoint,
        "pushed",
        Mode::FanOut(FanOutConfig::default()),
    )
    .await
    .read_over_a_split_and_a_merge()
    .await;
}
