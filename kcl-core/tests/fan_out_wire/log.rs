//! The log at its finest level, in a process of its own: it is of the whole process.

use std::process::Command;
use std::time::Duration;

use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_smithy_types::base64;

use super::client::{config, next, stream, stream_with, subscribe};
use super::events;
use super::http1::Http1Server;
use super::raw::Listening;
use super::served::{Reply, Server};

#[tokio::test]
#[ignore = "the process that the next test starts"]
async fn child_process() {
    log_all();
    let garbage = events::message(
        &[
            (":message-type", "event"),
            (":event-type", "SubscribeToShardEvent"),
        ],
        br#"{"Records": [{"Data": "canary-garbage"}, canary-garbage"#,
    );
    let cut = events::one(2, b"canary-cut");
    for last in [
        garbage,
        cut.slice(..cut.len() - 20),
        events::one(3, b"canary-three"),
    ] {
        let server = Server::start(100, move |_, reply: Reply| {
            let last = last.clone();
            async move {
                let mut events = reply.grant();
                events.send(events::one(1, b"canary-data"));
                events.send(last);
                events.end();
            }
        })
        .await;
        let mut subscription = subscribe(&stream(server.at), "shardId-0").await.unwrap();
        assert!(next(&mut subscription).await.unwrap().is_some());
        println!(
            "SAID: {:?} {subscription:?}",
            subscription.next().await.map(|_| ())
        );
    }
}

#[tokio::test]
#[ignore = "the process that a test below starts"]
async fn child_process_with_a_password_in_the_endpoint() {
    log_all();
    let http2 = Server::start(100, |_, reply: Reply| async move {
        let mut events = reply.grant();
        events.send(events::one(1, b"a"));
        events.end();
    })
    .await;
    let http1 = Http1Server::start(None, vec![events::initial(), events::one(1, b"a")]).await;
    let (_silent, silent) = Listening::new().await;
    let (listening, nobody) = Listening::new().await;
    drop(listening);
    for (scheme, at) in [
        ("http", http2.at),
        ("http", http1.at),
        ("http", silent),
        ("http", nobody),
        ("https", http1.at),
    ] {
        let limits = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(200))
            .build();
        let stream = stream_with(
            config(&format!("{scheme}://canary-user:canary-pass@{at}")).timeout_config(limits),
        );
        match subscribe(&stream, "shardId-0").await {
            Ok(mut subscription) => {
                println!("SAID: {:?} {subscription:?}", next(&mut subscription).await);
            }
            Err(error) => println!("SAID: {error} {error:?}"),
        }
    }
}

fn log_all() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .init();
}

/// What a test says in a process of its own, and all that it logs.
fn told_by(test: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("fan_out_wire::log::{test}"),
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn no_log_or_error_shows_an_endpoints_user_or_password() {
    let text = told_by("child_process_with_a_password_in_the_endpoint");
    assert!(
        text.contains("an HTTP/2 connection for subscriptions is open to=http://127.0.0.1:"),
        "the log was caught: {text}"
    );
    assert!(
        text.contains("with HTTP/1.1 to=http://127.0.0.1:"),
        "the log was caught: {text}"
    );
    assert!(
        text.contains("SAID: Ok(") && text.contains("did not begin to speak HTTP/2"),
        "{text}"
    );
    for secret in [
        "canary-user",
        "canary-pass",
        &base64::encode("canary-user:canary-pass"),
    ] {
        assert_eq!(
            text.lines().find(|line| line.contains(secret)),
            None,
            "{secret}"
        );
    }
}

#[test]
fn no_record_and_no_key_appears_in_a_log_or_an_error() {
    let text = told_by("child_process");
    assert!(
        text.contains("an HTTP/2 connection for subscriptions is open"),
        "the log was caught: {text}"
    );
    assert!(
        text.contains("SAID: Err(") && text.contains("SAID: Ok("),
        "{text}"
    );
    for secret in [
        "canary-data",
        "canary-cut",
        "canary-garbage",
        "canary-three",
        "customer-7",
    ] {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for writing in [
            secret.to_owned(),
            base64::encode(secret),
            hex,
            format!("{:?}", secret.as_bytes()),
        ] {
            let line = text.lines().find(|line| line.contains(&writing));
            assert_eq!(line, None, "{writing}");
        }
    }
}
