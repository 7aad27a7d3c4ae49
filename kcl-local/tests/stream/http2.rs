//! The embedded stream over HTTP/2, with prior knowledge and over TLS.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start tasks and set limits of time"
)]

use std::time::Duration;

use super::support::http2::{Connection, Pushes};
use super::support::{create, fill, id, register, soon};
use kcl_local::stream::{LocalStream, StartError};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Shards, and subscriptions, of the tests with many.
const MANY: usize = 256;

/// What a stream with `MANY` shards pushes over `connections`, as soon as a record is in each
/// shard.
async fn a_record_of_each_shard(stream: &LocalStream, connections: usize) {
    let client = stream.client();
    create(&client, "s", MANY as i32).await;
    let consumer = register(&client, "s").await;
    let mut all: Vec<Pushes> = Vec::new();
    for batch in 0..connections {
        let connection = Connection::plain(stream.address()).await;
        for shard in (0..MANY).filter(|shard| shard % connections == batch) {
            all.push(soon(connection.subscribe(&consumer, &id(shard))).await);
        }
    }
    fill(&client, "s", MANY * 20, 8).await;
    let reading = all.iter_mut().map(Pushes::records);
    let first = soon(futures_util::future::join_all(reading)).await;
    assert!(
        first
            .into_iter()
            .all(|records| records.is_some_and(|records| !records.is_empty())),
        "one of them ended"
    );
}

#[tokio::test]
async fn one_connection_carries_256_subscriptions() {
    let stream = LocalStream::builder()
        .max_concurrent_streams(MANY as u32)
        .start()
        .await
        .expect("starts");
    a_record_of_each_shard(&stream, 1).await;
}

/// Several connections carry 256 subscriptions below the limit of each.
#[tokio::test]
async fn several_connections_carry_256_subscriptions() {
    let stream = LocalStream::builder()
        .max_concurrent_streams(100)
        .start()
        .await
        .expect("starts");
    a_record_of_each_shard(&stream, 3).await;
}

/// A subscription beyond the limit of a connection waits for another to end.
#[tokio::test]
async fn a_subscription_beyond_the_limit_waits_for_another_to_end() {
    let stream = LocalStream::builder()
        .max_concurrent_streams(2)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 3).await;
    let consumer = register(&client, "s").await;
    let connection = Connection::plain(stream.address()).await;
    // The limit is told at the beginning, and this reply comes behind it.
    assert_eq!(
        connection.request("ListStreams", &json!({})).await.status(),
        200
    );
    let first = connection.subscribe(&consumer, &id(0)).await;
    let mut second = connection.subscribe(&consumer, &id(1)).await;
    let shard = id(2);
    let third = connection.subscribe(&consumer, &shard);
    let mut third = std::pin::pin!(third);
    for _ in 0..3 {
        tokio::select! {
            biased;
            _ = third.as_mut() => panic!("a third request on a connection that takes two"),
            event = second.next() => assert!(event.is_some(), "the second goes on"),
        }
    }
    drop(first);
    let mut third = soon(third).await;
    assert!(soon(third.next()).await.is_some());
}

#[tokio::test]
async fn a_limit_of_no_requests_is_refused() {
    let error = LocalStream::builder()
        .max_concurrent_streams(0)
        .start()
        .await
        .expect_err("no request could be sent");
    assert!(
        matches!(
            error,
            StartError::Setting {
                setting: "max_concurrent_streams",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_stopped_server_ends_its_connections() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let connection = Connection::plain(stream.address()).await;
    let mut session = connection.subscribe(&consumer, &id(0)).await;
    let idle = tokio::net::TcpStream::connect(stream.address())
        .await
        .expect("connects");
    tokio::time::timeout(Duration::from_secs(4), stream.stop())
        .await
        .expect("it waits for nobody who says nothing");
    while session.next().await.is_some() {}
    drop(idle);
}

/// A server without HTTP/2 closes what begins with it and answers HTTP/1.
#[tokio::test]
async fn a_server_without_http_2_answers_http_1_alone() {
    let stream = LocalStream::builder()
        .http2(false)
        .start()
        .await
        .expect("starts");
    let mut connection = tokio::net::TcpStream::connect(stream.address())
        .await
        .expect("connects");
    connection
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("sends");
    let mut reply = Vec::new();
    drop(soon(connection.read_to_end(&mut reply)).await);
    assert!(
        reply.is_empty() || reply.starts_with(b"HTTP/1.1 400"),
        "{reply:?}"
    );
    stream.client().list_streams().send().await.expect("lists");
}

#[cfg(feature = "stream-tls")]
mod tls {
    use std::sync::Arc;

    use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
    use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::*;

    const AUTHORITY: &[u8] = include_bytes!("tls/authority.pem");
    const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
    const KEY: &[u8] = include_bytes!("tls/server.key.pem");

    async fn started() -> LocalStream {
        LocalStream::builder()
            .tls(CERTIFICATE, KEY)
            .start()
            .await
            .expect("starts")
    }

    async fn connect(
        stream: &LocalStream,
        protocols: &[&[u8]],
    ) -> TlsStream<tokio::net::TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(AUTHORITY).expect("a certificate"))
            .expect("trusts it");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config
            .with_safe_default_protocol_versions()
            .expect("versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let plain = tokio::net::TcpStream::connect(stream.address())
            .await
            .expect("connects");
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, plain)
            .await
            .expect("shakes hands")
    }

    fn sdk(stream: &LocalStream) -> aws_sdk_kinesis::Client {
        let trust = TrustStore::empty().with_pem_certificate(AUTHORITY);
        let context = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .expect("a context");
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        let config = stream
            .client()
            .config()
            .to_builder()
            .http_client(http.tls_context(context).build_https());
        aws_sdk_kinesis::Client::from_conf(config.build())
    }

    #[tokio::test]
    async fn the_sdk_is_served_over_https() {
        let stream = started().await;
        assert!(stream.endpoint().starts_with("https://127.0.0.1:"));
        let client = sdk(&stream);
        create(&client, "s", 2).await;
        let consumer = register(&client, "s").await;
        let start = aws_sdk_kinesis::types::StartingPosition::builder();
        let start = start
            .r#type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon)
            .build()
            .expect("complete");
        fill(&client, "s", 100, 1_000).await;
        let mut records = 0;
        for shard in 0..2 {
            let request = client
                .subscribe_to_shard()
                .consumer_arn(&consumer)
                .shard_id(id(shard));
            let mut session = request
                .starting_position(start.clone())
                .send()
                .await
                .expect("subscribes");
            let event = session
                .event_stream
                .recv()
                .await
                .expect("an event")
                .expect("the session goes on");
            records += event
                .as_subscribe_to_shard_event()
                .expect("an event")
                .records
                .len();
        }
        assert_eq!(records, 100);
    }

    #[tokio::test]
    async fn alpn_decides_between_http_2_and_http_1() {
        let stream = started().await;
        let connection = connect(&stream, &[b"h2", b"http/1.1"]).await;
        assert_eq!(connection.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let connection = Connection::over(connection).await;
        assert_eq!(
            connection.request("ListStreams", &json!({})).await.status(),
            200
        );

        let mut connection = connect(&stream, &[b"http/1.1"]).await;
        assert_eq!(
            connection.get_ref().1.alpn_protocol(),
            Some(&b"http/1.1"[..])
        );
        let request = "GET /_health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        connection
            .write_all(request.as_bytes())
            .await
            .expect("sends");
        let mut reply = String::new();
        connection
            .read_to_string(&mut reply)
            .await
            .expect("receives");
        assert!(reply.starts_with("HTTP/1.1 "), "{reply}");

        let old = LocalStream::builder()
            .http2(false)
            .tls(CERTIFICATE, KEY)
            .start()
            .await
            .expect("starts");
        let connection = connect(&old, &[b"h2", b"http/1.1"]).await;
        assert_eq!(
            connection.get_ref().1.alpn_protocol(),
            Some(&b"http/1.1"[..])
        );
    }

    /// A client without TLS or trust is turned away and others are served.
    #[tokio::test]
    async fn a_client_without_tls_or_trust_is_turned_away() {
        let stream = started().await;
        let mut plain = tokio::net::TcpStream::connect(stream.address())
            .await
            .expect("connects");
        plain
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .expect("sends");
        let mut reply = Vec::new();
        drop(soon(plain.read_to_end(&mut reply)).await);
        assert!(!reply.starts_with(b"HTTP/"), "an answer in plain text");
        stream
            .client()
            .list_streams()
            .send()
            .await
            .expect_err("the certificate is not one that the system trusts");
        sdk(&stream)
            .list_streams()
            .send()
            .await
            .expect("who trusts it is served");
    }

    #[tokio::test]
    async fn certificate_and_key_may_be_der() {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
        let stream = LocalStream::builder()
            .tls(certificate.to_vec(), key.secret_der())
            .start()
            .await
            .expect("starts");
        sdk(&stream).list_streams().send().await.expect("lists");
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_refused_with_the_reason() {
        let cases: [(&[u8], &[u8], &str); 6] = [
            (b"", KEY, "the TLS library refuses them"),
            (CERTIFICATE, b"", "the private key is neither PEM nor DER"),
            (KEY, KEY, "there is no CERTIFICATE in the PEM"),
            (
                b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
                KEY,
                "the PEM of the certificate cannot be read",
            ),
            (
                CERTIFICATE,
                CERTIFICATE,
                "there is no private key in the PEM",
            ),
            (AUTHORITY, KEY, "the TLS library refuses them"),
        ];
        for (certificate, key, problem) in cases {
            let error = LocalStream::builder()
                .tls(certificate, key)
                .start()
                .await
                .expect_err(problem);
            assert!(error.to_string().contains(problem), "{error}");
            assert!(matches!(error, StartError::Identity { .. }));
        }
    }
}
