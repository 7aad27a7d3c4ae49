//! The real SDK on an HTTP client that answers from a list.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{
    BehaviorVersion, Builder, Credentials, HttpClient, Region, RuntimeComponents,
    SharedCredentialsProvider,
};
use aws_sdk_kinesis::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use kcl_core::stream::kinesis::KinesisStream;
use serde_json::Value;

/// What comes back for a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Http {
        status: u16,
        date: Option<&'static str>,
        body: String,
    },
    NoConnection,
    TimedOut,
    NotSendable,
    /// Nothing, ever.
    Silence,
}

impl Answer {
    pub(crate) fn ok(body: &Value) -> Self {
        Self::Http {
            status: 200,
            date: None,
            body: body.to_string(),
        }
    }

    pub(crate) fn dated(self, date: &'static str) -> Self {
        match self {
            Self::Http { status, body, .. } => Self::Http {
                status,
                date: Some(date),
                body,
            },
            other => other,
        }
    }

    /// An error as the service words it.
    pub(crate) fn error(code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        Self::Http {
            status: 400,
            date: None,
            body,
        }
    }
}

/// A call that the SDK made.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) operation: String,
    pub(crate) body: Value,
    pub(crate) uri: String,
}

#[derive(Clone, Default)]
pub(crate) struct Wire {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl fmt::Debug for Wire {
    /// Without the answers: the SDK logs its client, and a test looks for the answers in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let wire = Self::default();
        wire.answers.lock().unwrap().extend(answers);
        wire
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub(crate) fn settings(&self) -> Builder {
        aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKID", "secret", None, None, "test",
            )))
            .http_client(self.clone())
    }

    /// A stream of this name or ARN on this wire.
    pub(crate) fn stream(&self, name: &str) -> KinesisStream {
        KinesisStream::new(
            &Client::from_conf(self.settings().build()),
            name.parse().unwrap(),
        )
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body =
            serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        self.sent.lock().unwrap().push(Sent {
            operation,
            body,
            uri: request.uri().to_owned(),
        });
        let answer = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("one answer a call");
        let failed = |error| HttpConnectorFuture::ready(Err(error));
        match answer {
            Answer::Http { status, date, body } => {
                let mut response =
                    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
                if let Some(date) = date {
                    response.headers_mut().insert("date", date);
                }
                HttpConnectorFuture::ready(Ok(response))
            }
            Answer::NoConnection => failed(ConnectorError::io("connection refused".into())),
            Answer::TimedOut => failed(ConnectorError::timeout("too slow".into())),
            Answer::NotSendable => failed(ConnectorError::user("no address".into())),
            Answer::Silence => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
