//! HTTP/2 without an SDK: connections whose number and limits a test decides itself.

#![expect(
    clippy::disallowed_methods,
    reason = "a connection is driven by a task of its own"
)]

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// One connection over HTTP/2.
#[derive(Clone)]
pub(crate) struct Connection(http2::SendRequest<Full<Bytes>>);

impl Connection {
    /// A connection with prior knowledge.
    pub(crate) async fn plain(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("no delay");
        Self::over(stream).await
    }

    /// A connection over a stream of bytes that is there already.
    pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        stream: S,
    ) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        tokio::spawn(async move { drop(connection.await) });
        Self(sender)
    }

    /// Sends a request and waits for the head of its reply.
    pub(crate) async fn request(&self, operation: &str, body: &Value) -> Response<Incoming> {
        let request = Request::post("http://localhost/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            )
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        let mut sender = self.0.clone();
        sender.ready().await.expect("the connection is open");
        sender.send_request(request).await.expect("a reply")
    }

    /// Subscribes to a shard at its tip.
    pub(crate) async fn subscribe(&self, consumer: &str, shard: &str) -> Pushes {
        let start = json!({ "Type": "LATEST" });
        let body = json!({ "ConsumerARN": consumer, "ShardId": shard, "StartingPosition": start });
        let reply = self.request("SubscribeToShard", &body).await;
        assert_eq!(reply.status(), 200);
        Pushes {
            body: reply.into_body(),
            read: Vec::new(),
        }
    }
}

/// The events of a subscription.
pub(crate) struct Pushes {
    body: Incoming,
    read: Vec<u8>,
}

impl Pushes {
    /// The payload of the next event; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(payload) = self.frame() {
                return Some(payload);
            }
            let frame = self.body.frame().await?.expect("bytes");
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(data.chunk());
            }
        }
    }

    /// The data of the next records, as text.
    pub(crate) async fn records(&mut self) -> Option<Vec<Value>> {
        loop {
            let event = self.next().await?;
            if let Some(records) = event["Records"]
                .as_array()
                .filter(|records| !records.is_empty())
            {
                return Some(records.clone());
            }
        }
    }

    fn frame(&mut self) -> Option<Value> {
        let number = |at: usize| {
            Some(u32::from_be_bytes(self.read.get(at..at + 4)?.try_into().ok()?) as usize)
        };
        let (total, headers) = (number(0)?, number(4)?);
        let payload = self.read.get(12 + headers..total.checked_sub(4)?)?;
        let value = serde_json::from_slice(payload).expect("JSON");
        self.read.drain(..total);
        Some(value)
    }
}
