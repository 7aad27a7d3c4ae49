use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body::Body;

use crate::BoxError;
use crate::runtime::within;

use super::address::without_userinfo;
use super::connection::NotSent;
use super::failure::ConnectionFailure;
use super::gate::{Gated, MessageGate};
use super::http1;
use super::origin::Route;
use super::pool::Pool;

/// Turns a request of the SDK into a response, with the time limits of one client.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// Where connections come from.
    pub(super) pool: Arc<Pool>,
    /// For the making of each connection. A call may need several.
    pub(super) connect_limit: Duration,
    /// For the head of a response; nothing for no limit.
    pub(super) read_limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.answer(request).await })
    }
}

impl Connector {
    /// Sends a request of the SDK within the limits. Dropping the future gives the place on its
    /// connection back.
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request
            .try_into_http1x()
            .map_err(|error| ConnectionFailure::wrong("not a valid HTTP request", error))?;
        let (mut head, body) = request.into_parts();
        head.uri = without_userinfo(head.uri)?;
        let Some(body) = body.bytes().map(Bytes::copy_from_slice) else {
            return Err(ConnectionFailure::wrong(
                "not a valid HTTP request",
                "its body is not in memory",
            )
            .into());
        };
        let request = Request::from_parts(head, body);
        let response = match self.read_limit {
            None => self.send(&request).await?,
            Some(limit) => match within(self.pool.clock(), limit, self.send(&request)).await {
                Some(response) => response?,
                None => {
                    return Err(ConnectionFailure::late(format_args!(
                        "no answer within {limit:?}"
                    ))
                    .into());
                }
            },
        };
        HttpResponse::try_from(response)
            .map_err(|error| ConnectionFailure::broken("not a valid HTTP response", error).into())
    }

    /// Sends a request by whatever way there is.
    ///
    /// A connection may close between the moment when it gives a place and the moment when the
    /// request is sent; the request is then sent by another one. That repeats no call: nothing was
    /// sent.
    async fn send(&self, request: &Request<Bytes>) -> Result<Response<SdkBody>, ConnectionFailure> {
        let origin = self.pool.origin(request.uri())?;
        loop {
            match origin.way(self.connect_limit).await? {
                Route::Http1(io) => {
                    let response = http1::send(io, request.clone()).await?;
                    origin.answered_http1();
                    return Ok(received(response, request));
                }
                Route::Http2 { place, new } => {
                    let mut sent = request.clone();
                    // The address has it already.
                    sent.headers_mut().remove(HOST);
                    match place.send(sent).await {
                        Ok(response) => return Ok(received(response, request)),
                        Err(NotSent::Failed(failure)) => return Err(failure),
                        // That one connection has been closed is no reason to fail: the next has a
                        // place, or is a new one. But a server that closes a new one at once would
                        // do so for ever.
                        Err(NotSent::Closed(failure)) if new => return Err(failure),
                        Err(NotSent::Closed(_)) => {}
                    }
                }
            }
        }
    }
}

/// The response with its body as the SDK has it: behind its gate, if the request came with one.
fn received<B>(response: Response<B>, request: &Request<Bytes>) -> Response<SdkBody>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + Sync + 'static,
{
    match request.extensions().get::<MessageGate>() {
        Some(gate) if MessageGate::is_for(response.headers()) => {
            response.map(|body| SdkBody::from_body_1_x(Gated::new(body, gate.clone())))
        }
        _ => response.map(SdkBody::from_body_1_x),
    }
}
