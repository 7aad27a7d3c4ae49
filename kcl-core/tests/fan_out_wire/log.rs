//! The log at its finest level, in a process of its own: it is of the whole process.

use std::process::Command;

use aws_smithy_types::base64;

use crate::client::{next, stream, subscribe};
use crate::events;
use crate::served::{Reply, Server};

#[tokio::test]
#[ignore = "the process that the next test starts"]
async fn child_process() {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE).with_ansi(false).init();
    let garbage = events::message(
        &[(":message-type", "event"), (":event-type", "SubscribeToShardEvent")],
        br#"{"Records": [{"Data": "canary-garbage"}, canary-garbage"#,
    );
    let cut = events::one(2, b"canary-cut");
    for last in [garbage, cut.slice(..cut.len() - 20), events::one(3, b"canary-three")] {
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
        println!("SAID: {:?} {subscription:?}", subscription.next().await.map(|_| ()));
    }
}

#[test]
fn no_record_and_no_key_appears_in_a_log_or_an_error() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::child_process", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("an HTTP/2 connection for subscriptions is open"), "the log was caught: {text}");
    assert!(text.contains("SAID: Err(") && text.contains("SAID: Ok("), "{text}");
    for secret in ["canary-data", "canary-cut", "canary-garbage", "canary-three", "customer-7"] {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for writing in [secret.to_owned(), base64::encode(secret), hex, format!("{:?}", secret.as_bytes())] {
            let line = text.lines().find(|line| line.contains(&writing));
            assert_eq!(line, None, "{writing}");
        }
    }
}
