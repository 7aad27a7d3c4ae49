use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kcl_core::stream::kinesis::http::Http2Settings;

/// HTTP/2 with prior knowledge, as one gets it from `hyper-util`: one connection to a host. The
/// SDK's own client speaks HTTP/1.1 without TLS.
#[derive(Clone, Debug)]
pub(super) struct H2c(Client<Tcp, SdkBody>);

impl H2c {
    /// With the windows and pings of the worker's connections.
    pub(super) fn new() -> Self {
        let settings = Http2Settings::default();
        let mut tcp = Tcp::new();
        tcp.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_initial_stream_window_size(settings.window)
            .http2_initial_connection_window_size(settings.connection_window())
            .http2_keep_alive_interval(settings.ping_every)
            .http2_keep_alive_timeout(settings.ping_limit)
            .build(tcp);
        Self(client)
    }
}

impl HttpClient for H2c {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for H2c {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let response = client
                .request(request)
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            let response = HttpResponse::try_from(response.map(SdkBody::from_body_1_x));
            response.map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
