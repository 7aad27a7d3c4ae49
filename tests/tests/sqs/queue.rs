//! A queue as far as `SendMessage` goes, over HTTP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use kcl_sqs::aws_sdk_sqs;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the queue answers to a message instead of taking it.
pub(crate) enum Answer {
    /// An error with this code.
    Refused(&'static str),
    /// `200` with this body.
    Said(Value),
}

/// The requests that came, and the answers that the next ones get.
#[derive(Clone, Default)]
pub(crate) struct Queue {
    requests: Arc<Mutex<Vec<Value>>>,
    next: Arc<Mutex<VecDeque<Answer>>>,
}

impl Queue {
    /// Starts it, with these answers to the first messages, and a client of it.
    #[expect(clippy::disallowed_methods, reason = "the server ends with the test")]
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, Client) {
        let queue = Self::default();
        locked(&queue.next).extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(queue.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "tests"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(endpoint)
            .build();
        (queue, Client::from_conf(config))
    }

    /// What came, in order.
    pub(crate) fn requests(&self) -> Vec<Value> {
        locked(&self.requests).clone()
    }

    /// The letters in the messages that came.
    pub(crate) fn letters(&self) -> Vec<Value> {
        let body = |request: &Value| request["MessageBody"].as_str().map(str::to_owned);
        let bodies = locked(&self.requests)
            .iter()
            .filter_map(body)
            .collect::<Vec<_>>();
        let letter = |body: &String| serde_json::from_str(body).unwrap();
        bodies.iter().map(letter).collect()
    }
}

pub(crate) fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap()
}

async fn answer(State(queue): State<Queue>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-amz-target"), Some("AmazonSQS.SendMessage"));
    assert!(header("authorization").is_some_and(|value| value.contains("/sqs/aws4_request")));
    let request: Value = serde_json::from_slice(&body).unwrap();
    let digest = md5(request["MessageBody"].as_str().unwrap());
    locked(&queue.requests).push(request);
    let (status, said) = match locked(&queue.next).pop_front() {
        None => {
            let said = json!({"MessageId": "one", "MD5OfMessageBody": digest});
            (StatusCode::OK, said)
        }
        Some(Answer::Said(said)) => (StatusCode::OK, said),
        Some(Answer::Refused(code)) => {
            let said = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "no"});
            (StatusCode::BAD_REQUEST, said)
        }
    };
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    (status, kind, said.to_string())
}

fn md5(text: &str) -> String {
    use md5::{Digest, Md5};
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
