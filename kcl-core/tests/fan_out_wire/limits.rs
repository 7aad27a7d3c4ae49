use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use kcl_core::stream::kinesis::http::Http2Client;
use kcl_core::stream::{ErrorKind, Subscription};

use super::client::{next, settings, soon, stream, subscribe};
use super::events;
use super::served::{Asked, Reply, Server};

const SHARDS: usize = 256;

/// Sends one record that holds the shard's name, and nothing more.
async fn name_of_the_shard(asked: Asked, reply: Reply) {
    let mut events = reply.grant();
    events.send(events::one(1, asked.shard().as_bytes()));
    events.gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_shards_are_read_whatever_the_limit_of_streams() {
    for (limit, connections) in [(1000, 6), (100, 6), (10, 26)] {
        let server = Server::start(limit, name_of_the_shard).await;
        let stream = stream(server.at);
        let all = soon(join_all((0..SHARDS).map(async |number| {
            let shard = format!("shardId-{number:012}");
            let mut subscription = subscribe(&stream, &shard).await.unwrap();
            let read = next(&mut subscription).await.unwrap().unwrap();
            assert_eq!(read, [shard.into_bytes()]);
            subscription
        })))
        .await;
        server.carries(SHARDS).await;
        assert_eq!(
            server.connections(),
            connections,
            "{limit} streams a connection"
        );
        // Places come back, and no new connection is made for who comes after.
        drop(all);
        server.carries(0).await;
        let mut again = subscribe(&stream, "shardId-1").await.unwrap();
        assert!(next(&mut again).await.unwrap().is_some());
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_place_is_held_until_the_subscription_is_dropped() {
    let server = Server::start(100, name_of_the_shard).await;
    let one = Http2Client::new().with_settings(settings(|settings| settings.streams = 1));
    let stream = stream(server.at).subscribe_over(one);
    let first = subscribe(&stream, "first").await.unwrap();
    let _second = subscribe(&stream, "second").await.unwrap();
    assert_eq!(*server.carried.borrow(), [1, 1]);
    drop(first);
    server.carries(1).await;
    let _third = subscribe(&stream, "third").await.unwrap();
    assert_eq!(*server.carried.borrow(), [1, 1]);
}

#[tokio::test]
async fn an_undeclared_limit_of_streams_is_learned() {
    let refused = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&refused);
    let server = Server::start(1000, move |asked, reply| {
        let count = std::sync::Arc::clone(&count);
        async move {
            if asked.others < 10 {
                name_of_the_shard(asked, reply).await;
            } else {
                count.fetch_add(1, Ordering::Relaxed);
                reply.refuse_stream();
            }
        }
    })
    .await;
    let stream = stream(server.at);
    let read = |number: usize| {
        let stream = stream.clone();
        async move {
            let shard = format!("shardId-{number:012}");
            let mut subscription: Box<dyn Subscription> = loop {
                match subscribe(&stream, &shard).await {
                    Ok(subscription) => break subscription,
                    Err(error) => assert_eq!(error.kind, ErrorKind::Unreachable, "{error}"),
                }
            };
            next(&mut subscription).await.unwrap();
            subscription
        }
    };
    let _all = soon(join_all((0..45).map(read))).await;
    server.carries(45).await;
    assert!(refused.load(Ordering::Relaxed) > 0);
    assert!(
        server.connections() <= 6,
        "{} connections",
        server.connections()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_and_dropped_subscriptions_wear_no_connection_out() {
    let server = Server::start(100, |asked: Asked, reply: Reply| async move {
        let mut events = reply.grant();
        events.send(events::one(1, b"a"));
        match asked.shard().as_str() {
            "ends" => events.end(),
            _ => events.gone().await,
        }
    })
    .await;
    let stream = stream(server.at);
    for _ in 0..300 {
        let mut ends = subscribe(&stream, "ends").await.unwrap();
        assert!(next(&mut ends).await.unwrap().is_some());
        assert_eq!(next(&mut ends).await.unwrap(), None);
        let mut dropped = subscribe(&stream, "dropped").await.unwrap();
        assert!(next(&mut dropped).await.unwrap().is_some());
    }
    assert_eq!(server.connections(), 1);
}
