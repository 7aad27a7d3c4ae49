//! A server of HTTP/1.1 that answers from a list.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use kcl_core::stream::kinesis::KinesisStream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::wire::Answer;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Served {
    /// It answers with these bytes.
    Bytes(Vec<u8>),
    /// It answers with these bytes and closes the connection.
    Last(Vec<u8>),
    /// It closes the connection.
    Closed,
    /// It answers nothing, ever.
    Silence,
}

impl Served {
    pub(crate) fn new(status: u16, content_type: &str, body: &[u8]) -> Self {
        Self::with(status, &format!("content-type: {content_type}\r\n"), body)
    }

    pub(crate) fn with(status: u16, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\r\n");
        Self::Bytes([head.as_bytes(), body].concat())
    }

    pub(crate) fn json(value: &serde_json::Value) -> Self {
        let body = value.to_string();
        Self::new(200, "application/x-amz-json-1.1", body.as_bytes())
    }

    /// The value in CBOR, its bytes as text.
    pub(crate) fn cbor(status: u16, value: &serde_json::Value) -> Self {
        let mut body = Vec::new();
        ciborium::into_writer(value, &mut body).unwrap();
        Self::new(status, "application/x-amz-cbor-1.1", &body)
    }
}

impl From<&Answer> for Served {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Http { status, body, .. } => {
                Self::new(*status, "application/x-amz-json-1.1", body.as_bytes())
            }
            Answer::Silence => Self::Silence,
            _ => Self::Closed,
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The number of the connection that it came by.
    pub(crate) connection: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn is_cbor(&self) -> bool {
        self.header("content-type") == Some("application/x-amz-cbor-1.1")
    }

    pub(crate) fn members(&self) -> serde_json::Value {
        if self.is_cbor() {
            ciborium::from_reader(&self.body[..]).unwrap()
        } else {
            serde_json::from_slice(&self.body).unwrap()
        }
    }
}

#[derive(Default)]
struct Board {
    answers: VecDeque<Served>,
    asked: Vec<Asked>,
}

pub(crate) struct PageDesk {
    pub(crate) at: SocketAddr,
    board: Arc<Mutex<Board>>,
    is_tls: bool,
    _tasks: JoinSet<()>,
}

impl PageDesk {
    pub(crate) async fn answering(answers: impl IntoIterator<Item = Served>) -> Self {
        Self::start(answers, None).await
    }

    pub(crate) async fn start(
        answers: impl IntoIterator<Item = Served>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let board = Arc::new(Mutex::new(Board::default()));
        board.lock().unwrap().answers.extend(answers);
        let (shared, is_tls) = (Arc::clone(&board), tls.is_some());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            for number in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                served.spawn(async move {
                    match tls {
                        None => serve(socket, number, &shared).await,
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => serve(socket, number, &shared).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self {
            at,
            board,
            is_tls,
            _tasks: tasks,
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.board.lock().unwrap().asked.clone()
    }

    /// A configuration with this limit of a call.
    pub(crate) fn config(&self, limit: Duration) -> SdkConfig {
        let keys = Credentials::new("AKID", "secret", Some("a-token".to_owned()), None, "test");
        let scheme = if self.is_tls { "https" } else { "http" };
        let timeouts = TimeoutConfig::builder().operation_timeout(limit).build();
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .timeout_config(timeouts)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .endpoint_url(format!("{scheme}://localhost:{}", self.at.port()))
            .build()
    }

    pub(crate) async fn stream(&self, name: &str) -> KinesisStream {
        let config = self.config(Duration::from_secs(30));
        KinesisStream::from_config(&config, name.parse().unwrap())
            .await
            .unwrap()
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    board: &Mutex<Board>,
) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(read.drain(..end).collect()).unwrap();
        let mut asked = Asked {
            head,
            body: Vec::new(),
            connection,
        };
        let length: usize = asked.header("content-length").unwrap().parse().unwrap();
        while read.len() < length {
            if socket.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
        asked.body = read.drain(..length).collect();
        let served = {
            let mut board = board.lock().unwrap();
            board.asked.push(asked);
            board.answers.pop_front().expect("an answer for each call")
        };
        match served {
            Served::Bytes(bytes) => {
                socket.write_all(&bytes).await.ok()?;
                socket.flush().await.ok()?;
            }
            Served::Last(bytes) => {
                socket.write_all(&bytes).await.ok()?;
                socket.shutdown().await.ok()?;
                return None;
            }
            Served::Closed => return None,
            Served::Silence => std::future::pending().await,
        }
    }
}
