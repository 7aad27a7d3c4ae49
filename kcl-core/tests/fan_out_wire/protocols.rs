use std::process::Command;
use std::time::Duration;

use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use futures_util::future::join;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::kinesis::http::Http2Client;
use kcl_core::stream::{ErrorKind, Subscription};

use super::client::{STREAM, config, next, soon, stream, stream_with, subscribe, within};
use super::events;
use super::http1::Http1Server;
use super::proxy::Proxy;
use super::raw::{Listening, NO_ERROR};
use super::served::{Reply, Server};
use super::tls::{CERTIFICATE, acceptor};

/// A stream at this port of this machine, with TLS and a certificate that it trusts.
fn secure(port: u16) -> KinesisStream {
    let client = Http2Client::new().trusting(CERTIFICATE).unwrap();
    stream_with(config(&format!("https://localhost:{port}"))).subscribe_over(client)
}

async fn reads(mut subscription: Box<dyn Subscription>) -> Box<dyn Subscription> {
    assert_eq!(
        next(&mut subscription).await.unwrap(),
        Some(vec![b"a".to_vec()])
    );
    subscription
}

async fn granting(_: super::served::Asked, reply: Reply) {
    let mut events = reply.grant();
    events.send(events::one(1, b"a"));
    events.gone().await;
}

fn messages() -> Vec<bytes::Bytes> {
    vec![events::initial(), events::one(1, b"a")]
}

#[tokio::test]
async fn with_tls_and_http_2_one_connection_carries_everything() {
    let server = Server::start_with(100, Some(acceptor(&[b"h2", b"http/1.1"])), granting).await;
    let stream = secure(server.at.port());
    let _one = reads(subscribe(&stream, "one").await.unwrap()).await;
    let _two = reads(subscribe(&stream, "two").await.unwrap()).await;
    assert_eq!(*server.carried.borrow(), [2]);
}

#[tokio::test]
async fn with_tls_a_server_of_http_1_1_carries_each_by_its_own() {
    // One says so, and one does not know that it could.
    for protocols in [vec![b"http/1.1".as_slice()], vec![]] {
        let server = Http1Server::start(Some(acceptor(&protocols)), messages()).await;
        let stream = secure(server.at.port());
        let _one = reads(subscribe(&stream, "one").await.unwrap()).await;
        let _two = reads(subscribe(&stream, "two").await.unwrap()).await;
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let server = Server::start_with(100, Some(acceptor(&[b"h2"])), granting).await;
    let stream = stream_with(config(&format!("https://localhost:{}", server.at.port())));
    let error = subscribe(&stream, "one").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .contains("no TLS: invalid peer certificate"),
        "{error}"
    );
}

#[tokio::test]
async fn without_tls_http_2_is_spoken_to_a_server_that_knows_it() {
    let server = Server::start(100, granting).await;
    let stream = stream(server.at);
    let _one = reads(subscribe(&stream, "one").await.unwrap()).await;
    let _two = reads(subscribe(&stream, "two").await.unwrap()).await;
    assert_eq!(*server.carried.borrow(), [2]);
}

#[tokio::test]
async fn a_stream_made_from_a_configuration_has_these_connections_too() {
    let server = Server::start(100, granting).await;
    let keys = Credentials::new("AKID", "secret", None, None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .endpoint_url(format!("http://{}", server.at))
        .build();
    let stream = KinesisStream::from_config(&config, STREAM.parse().unwrap())
        .await
        .unwrap();
    let _one = reads(subscribe(&stream, "one").await.unwrap()).await;
    assert_eq!(*server.carried.borrow(), [1]);
}

#[tokio::test]
async fn without_tls_an_http_1_1_server_is_probed_once_for_http_2() {
    let server = Http1Server::start(None, messages()).await;
    let stream = stream(server.at);
    let _one = reads(subscribe(&stream, "one").await.unwrap()).await;
    assert_eq!(server.connections(), 2);
    let _two = reads(subscribe(&stream, "two").await.unwrap()).await;
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn without_tls_a_server_silent_to_http_2_gets_http_1_1() {
    let server = Http1Server::start_silent(messages()).await;
    // The half of this would use a call's 30 s up.
    let limits = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(20))
        .build();
    let stream = stream_with(config(&format!("http://{}", server.at)).timeout_config(limits));
    let (one, two) = within(
        Duration::from_secs(10),
        join(subscribe(&stream, "one"), subscribe(&stream, "two")),
    )
    .await;
    let _both = [reads(one.unwrap()).await, reads(two.unwrap()).await];
    // One was silent, one was asked.
    assert_eq!(server.connections(), 4);
    let _three = reads(subscribe(&stream, "three").await.unwrap()).await;
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_late_http_2_server_is_not_downgraded_to_http_1_1() {
    let (listening, at) = Listening::new().await;
    let limits = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(300))
        .build();
    let stream = stream_with(config(&format!("http://{at}")).timeout_config(limits));
    let serve = async {
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        raw.go_away(on, NO_ERROR).await;
        raw.close().await;
        let silent = listening.accept_in_silence().await;
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        (raw, silent)
    };
    let reading = async {
        let mut one = reads(subscribe(&stream, "one").await.unwrap()).await;
        next(&mut one).await.unwrap_err();
        let error = subscribe(&stream, "one").await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("did not begin to speak HTTP/2 within 300ms (asked: "),
            "{error}"
        );
        reads(subscribe(&stream, "one").await.unwrap()).await
    };
    soon(join(reading, serve)).await;
}

#[tokio::test]
#[ignore = "the process that the next test starts"]
async fn child_process() {
    let stream = secure(std::env::var("PORT").unwrap().parse().unwrap());
    let read = reads(subscribe(&stream, "one").await.unwrap()).await;
    println!("SAID: {read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_of_the_environment_is_used_for_tls() {
    let server = Server::start_with(100, Some(acceptor(&[b"h2"])), granting).await;
    let proxy = Proxy::start(server.at).await;
    let said = |no_proxy: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "fan_out_wire::protocols::child_process",
                "--ignored",
                "--nocapture",
            ])
            .env("PORT", server.at.port().to_string())
            .env("HTTPS_PROXY", format!("http://{}", proxy.at))
            .env("NO_PROXY", no_proxy)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let asked = format!("CONNECT localhost:{} HTTP/1.1", server.at.port());
    let text = tokio::task::block_in_place(|| said(""));
    assert!(text.contains("SAID: "), "{text}");
    assert_eq!(proxy.asked(), [asked.as_str()]);
    let text = tokio::task::block_in_place(|| said("localhost"));
    assert!(text.contains("SAID: "), "{text}");
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn what_is_no_certificate_is_refused_at_once() {
    for text in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let error = Http2Client::new().trusting(text.as_bytes()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no usable certificate in the input"),
            "{error}"
        );
    }
}
