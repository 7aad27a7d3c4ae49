use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tracing::debug;

use crate::runtime::Tasks;

use super::dial::Io;
use super::failure::ConnectionFailure;

/// Sends a request by a connection of its own that speaks HTTP/1.1. It is closed when the body of
/// the response is dropped.
///
/// For subscriptions where there is no HTTP/2: emulators, and proxies in between. HTTP/1.1 has no
/// streams, so each shard takes a connection.
///
/// Must be called where the connection's task may live.
pub(super) async fn send(
    io: Box<dyn Io>,
    request: Request<Bytes>,
) -> Result<Response<OwnBody>, ConnectionFailure> {
    exchange(
        io,
        request,
        "no HTTP/2 there: a subscription has a connection of its own, with HTTP/1.1",
    )
    .await
}

/// Asks a server whether it answers HTTP/1.1, and for nothing else: any answer will do. The
/// connection is closed after it.
///
/// Must be called where the connection's task may live.
pub(super) async fn ask(io: Box<dyn Io>, to: &Uri) -> Result<(), ConnectionFailure> {
    let request = Request::head(to.clone())
        .body(Bytes::new())
        .map_err(|error| ConnectionFailure::wrong("not a valid HTTP request", error))?;
    exchange(
        io,
        request,
        "no answer to HTTP/2: asking for one to HTTP/1.1",
    )
    .await
    .map(drop)
}

/// Sends one request by a connection that nobody else uses. `why` is logged, as a reason for
/// HTTP/1.1.
async fn exchange(
    io: Box<dyn Io>,
    request: Request<Bytes>,
    why: &'static str,
) -> Result<Response<OwnBody>, ConnectionFailure> {
    let failed = |error| ConnectionFailure::broken("no answer", error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(failed)?;
    let mut driver = Tasks::new();
    let to = request.uri().clone();
    driver.start(async move {
        // Said here, by a task of its own: the SDK's calls, in which this is done, are kept out of
        // the log.
        debug!(%to, "{why}");
        // How it ends is seen by who reads the response.
        let _ = connection.await;
    });
    let response = sender
        .send_request(addressed(request)?.map(SdkBody::from))
        .await
        .map_err(failed)?;
    Ok(response.map(|body| OwnBody {
        body,
        _driver: driver,
    }))
}

/// As HTTP/1.1 has it: the host in a header, the path alone in the line above.
fn addressed(mut request: Request<Bytes>) -> Result<Request<Bytes>, ConnectionFailure> {
    let wrong = |error| ConnectionFailure::wrong("the endpoint is no address", error);
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let host = HeaderValue::try_from(host.unwrap_or_default())
        .map_err(|error| wrong(http::Error::from(error)))?;
    request.headers_mut().entry(HOST).or_insert(host);
    let path = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::builder().path_and_query(path).build().map_err(wrong)?;
    Ok(request)
}

/// What comes by a connection of its own.
#[derive(Debug)]
pub(super) struct OwnBody {
    /// What comes; it ends when the connection breaks.
    body: Incoming,
    /// Reads and writes the socket. Dropped with the body, which closes the connection.
    _driver: Tasks,
}

impl Body for OwnBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
