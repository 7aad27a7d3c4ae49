use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Config, Credentials, HttpClient, Region, RuntimeComponents,
};
use aws_sdk_dynamodb::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};

/// A call that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub operation: String,
    pub table: String,
    /// What DynamoDB would charge for it.
    pub units: f64,
    pub body: Value,
    pub status: u16,
}

/// What happens to a call instead of being done and answered.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is not done; this is answered.
    Refused(u16, &'static str, &'static str),
    /// It is not done; this is answered.
    Answered(Value),
    /// It is not done, and no answer comes because the connection breaks.
    Dropped,
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
    /// It is done, and the answer comes after this time.
    AnswerLate(Duration),
    /// It is done only after this time, and then answered, whoever still waits.
    DoneLate(Duration),
}

/// An emulator of DynamoDB as an HTTP client of the SDK. Clones share the tables.
#[derive(Clone)]
pub struct Dynamo(Arc<Inner>);

struct Inner {
    database: Database,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// For the next calls of these operations, in order.
    faults: VecDeque<(&'static str, Fault)>,
    /// What every call of these operations is answered with.
    always: Vec<(String, u16, String, String)>,
    /// What every third call of an operation meets, in turn.
    turns: Option<(&'static str, Vec<Fault>, usize)>,
}

impl State {
    fn turn(&mut self, operation: &str) -> Option<Fault> {
        let (name, faults, turn) = self
            .turns
            .as_mut()
            .filter(|(name, ..)| *name == operation)?;
        debug_assert_eq!(*name, operation);
        *turn += 1;
        (*turn % 3 == 0).then(|| faults[*turn / 3 % faults.len()].clone())
    }
}

impl fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dynamo")
    }
}

impl Dynamo {
    pub fn new() -> Self {
        let database = Database::memory().expect("an emulator in memory");
        Self(Arc::new(Inner {
            database,
            state: Mutex::default(),
        }))
    }

    /// A client of its own. Its own tries are on: what uses it has to turn them off.
    pub fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
            .retry_config(RetryConfig::standard())
            .http_client(self.clone());
        Client::from_conf(config.build())
    }

    /// The next call of this operation that has no fault yet meets this one.
    pub fn fault(&self, operation: &'static str, fault: Fault) {
        self.0
            .state
            .lock()
            .unwrap()
            .faults
            .push_back((operation, fault));
    }

    /// Every third call of this operation meets one of these, in turn.
    pub fn every_third(&self, operation: &'static str, faults: Vec<Fault>) {
        self.0.state.lock().unwrap().turns = Some((operation, faults, 0));
    }

    /// Every call of this operation is answered with this and not done.
    pub fn always(&self, operation: &str, status: u16, code: &str, message: &str) {
        let answer = (
            operation.to_owned(),
            status,
            code.to_owned(),
            message.to_owned(),
        );
        self.0.state.lock().unwrap().always.push(answer);
    }

    /// Calls are done again.
    pub fn end_always(&self) {
        let mut state = self.0.state.lock().unwrap();
        state.always.clear();
        state.turns = None;
    }

    /// The calls since this was asked last.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.state.lock().unwrap().calls)
    }

    /// Does a call past the SDK.
    pub fn ask(&self, operation: &str, body: Value) -> Value {
        self.try_ask(operation, body)
            .unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// The same, where it may be refused.
    pub fn try_ask(&self, operation: &str, body: Value) -> Result<Value, Value> {
        match self.perform(operation, body) {
            (200, answer) => Ok(answer),
            (_, error) => Err(error),
        }
    }

    fn perform(&self, operation: &str, body: Value) -> (u16, Value) {
        let database = &self.0.database;
        macro_rules! dispatch {
            ($($name:literal => $method:ident),* $(,)?) => {
                match operation {
                    $($name => match serde_json::from_value(body) {
                        Ok(request) => database.$method(request).map(|answer| serde_json::to_value(answer).unwrap()),
                        Err(error) => Err(DynoxideError::ValidationException(error.to_string())),
                    },)*
                    _ => return (400, json!({ "__type": "UnknownOperationException", "message": operation })),
                }
            };
        }
        let result = dispatch! {
            "CreateTable" => create_table,
            "DescribeTable" => describe_table,
            "DeleteTable" => delete_table,
            "ListTagsOfResource" => list_tags_of_resource,
            "GetItem" => get_item,
            "PutItem" => put_item,
            "UpdateItem" => update_item,
            "DeleteItem" => delete_item,
            "Scan" => scan,
        };
        match result {
            Ok(answer) => (200, answer),
            Err(error) => (
                error.status_code(),
                serde_json::from_str(&error.to_json()).unwrap(),
            ),
        }
    }

    fn carry_out(&self, operation: &str, mut body: Value) -> HttpResponse {
        let asked = body.clone();
        let always = {
            let state = self.0.state.lock().unwrap();
            state
                .always
                .iter()
                .find(|(name, ..)| name == operation)
                .cloned()
        };
        if operation.ends_with("Item") || operation == "Scan" {
            body["ReturnConsumedCapacity"] = "TOTAL".into();
        }
        let (status, answer) = match always {
            Some((_, status, code, message)) => {
                (status, json!({ "__type": code, "message": message }))
            }
            None => self.perform(operation, body),
        };
        let mut units = answer["ConsumedCapacity"]["CapacityUnits"]
            .as_f64()
            .unwrap_or(0.0);
        if status != 200 && operation.ends_with("Item") && units == 0.0 {
            // A refused condition costs the write of what stands there; rows of leases are below 1
            // KB.
            units = 1.0;
        }
        let call = Call {
            operation: operation.to_owned(),
            table: asked["TableName"].as_str().unwrap_or_default().to_owned(),
            units,
            body: asked,
            status,
        };
        self.0.state.lock().unwrap().calls.push(call);
        response(status, &answer)
    }
}

fn response(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()))
}

fn broken() -> ConnectorError {
    ConnectorError::io("the connection broke".into())
}

impl HttpConnector for Dynamo {
    #[expect(
        clippy::disallowed_methods,
        reason = "a late answer on the test's clock, and a call that nobody waits for"
    )]
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value =
            serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
        let fault = {
            let mut state = self.0.state.lock().unwrap();
            let next = state.faults.iter().position(|(name, _)| *name == operation);
            next.and_then(|at| state.faults.remove(at))
                .map(|(_, fault)| fault)
                .or_else(|| state.turn(&operation))
        };
        match fault {
            None => HttpConnectorFuture::ready(Ok(self.carry_out(&operation, body))),
            Some(Fault::Refused(status, code, message)) => {
                let call = Call {
                    operation,
                    table: String::new(),
                    units: 0.0,
                    body,
                    status,
                };
                self.0.state.lock().unwrap().calls.push(call);
                let answer = response(status, &json!({ "__type": code, "message": message }));
                HttpConnectorFuture::ready(Ok(answer))
            }
            Some(Fault::Answered(answer)) => {
                let call = Call {
                    operation,
                    table: String::new(),
                    units: 0.0,
                    body,
                    status: 200,
                };
                self.0.state.lock().unwrap().calls.push(call);
                HttpConnectorFuture::ready(Ok(response(200, &answer)))
            }
            Some(Fault::Dropped) => HttpConnectorFuture::ready(Err(broken())),
            Some(Fault::AnswerLost) => {
                drop(self.carry_out(&operation, body));
                HttpConnectorFuture::ready(Err(broken()))
            }
            Some(Fault::AnswerLate(span)) => {
                let answer = self.carry_out(&operation, body);
                HttpConnectorFuture::new(async move {
                    tokio::time::sleep(span).await;
                    Ok(answer)
                })
            }
            Some(Fault::DoneLate(span)) => {
                let dynamo = self.clone();
                let done = tokio::spawn(async move {
                    tokio::time::sleep(span).await;
                    dynamo.carry_out(&operation, body)
                });
                HttpConnectorFuture::new(async move { done.await.map_err(|_| broken()) })
            }
        }
    }
}

impl HttpClient for Dynamo {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
