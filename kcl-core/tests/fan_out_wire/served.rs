//! A server of HTTP/2 that leaves nothing but the answers to the test.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::events;

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;
type Answer = Arc<dyn Fn(Asked, Reply) -> Done + Send + Sync>;

pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    /// The requests that each connection carries at present.
    pub(crate) carried: watch::Receiver<Vec<usize>>,
    _tasks: JoinSet<()>,
}

pub(crate) struct Asked {
    /// How many others its connection carries.
    pub(crate) others: usize,
    /// As the service names it.
    pub(crate) operation: String,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn shard(&self) -> String {
        self.body["ShardId"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) struct Reply(SendResponse<Bytes>);

/// A subscription, from the side of the service.
pub(crate) struct Events(SendStream<Bytes>);

impl Server {
    pub(crate) async fn start<F>(
        streams: u32,
        answer: impl Fn(Asked, Reply) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_with(streams, None, answer).await
    }

    pub(crate) async fn start_with<F>(
        streams: u32,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(Asked, Reply) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let answer: Answer = Arc::new(move |asked, reply| Box::pin(answer(asked, reply)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (carries, carried) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, streams, tls, answer, Arc::new(carries)));
        Self {
            at,
            carried,
            _tasks: tasks,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.carried.borrow().len()
    }

    /// Waits until so many requests are open in all.
    pub(crate) async fn carries(&self, requests: usize) {
        let mut carried = self.carried.clone();
        super::client::soon(carried.wait_for(|carried| carried.iter().sum::<usize>() == requests))
            .await
            .unwrap();
    }
}

/// How many bytes the client has taken, by shard.
pub(crate) type Taken = Arc<Vec<Mutex<usize>>>;

pub(crate) fn nothing_taken(shards: usize) -> Taken {
    Arc::new((0..shards).map(|_| Mutex::new(0)).collect())
}

/// Grants a subscription to a shard that has a number for a name, and sends all of it as there is
/// room.
pub(crate) async fn push(asked: &Asked, reply: Reply, all: &Bytes, taken: &Taken) {
    let mut events = reply.grant();
    events
        .send_as_there_is_room(all, &taken[asked.shard().parse::<usize>().unwrap()])
        .await;
    events.gone().await;
}

/// A server that pushes the same to each subscription.
pub(crate) async fn pushing(all: Bytes, taken: &Taken) -> Server {
    let taken = Arc::clone(taken);
    Server::start(100, move |asked, reply| {
        let (all, taken) = (all.clone(), Arc::clone(&taken));
        async move { push(&asked, reply, &all, &taken).await }
    })
    .await
}

async fn accept(
    listener: TcpListener,
    streams: u32,
    tls: Option<TlsAcceptor>,
    answer: Answer,
    carries: Arc<watch::Sender<Vec<usize>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (tls, answer, carries) = (tls.clone(), Arc::clone(&answer), Arc::clone(&carries));
        let mut number = 0;
        carries.send_modify(|carried| {
            number = carried.len();
            carried.push(0);
        });
        connections.spawn(async move {
            match tls {
                None => serve(socket, number, streams, answer, carries).await,
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        serve(socket, number, streams, answer, carries).await;
                    }
                }
            }
        });
    }
}

async fn serve<T>(
    io: T,
    number: usize,
    streams: u32,
    answer: Answer,
    carries: Arc<watch::Sender<Vec<usize>>>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = h2::server::Builder::new()
        .max_concurrent_streams(streams)
        .handshake(io)
        .await
    else {
        return;
    };
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            request = connection.accept() => {
                let Some(Ok((request, reply))) = request else { break };
                let one = Carried::new(number, Arc::clone(&carries));
                let answer = Arc::clone(&answer);
                requests.spawn(async move {
                    let others = one.carries.borrow()[number] - 1;
                    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
                    let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
                    let mut body = Vec::new();
                    let mut stream = request.into_body();
                    while let Some(Ok(piece)) = stream.data().await {
                        body.extend_from_slice(&piece);
                    }
                    let body = serde_json::from_slice(&body).unwrap_or_default();
                    answer(Asked { others, operation, body }, Reply(reply)).await;
                    drop(one);
                });
            }
            _ = requests.join_next(), if !requests.is_empty() => {}
        }
    }
}

/// A request that a connection carries.
struct Carried {
    number: usize,
    carries: Arc<watch::Sender<Vec<usize>>>,
}

impl Carried {
    fn new(number: usize, carries: Arc<watch::Sender<Vec<usize>>>) -> Self {
        carries.send_modify(|carried| carried[number] += 1);
        Self { number, carries }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.carries
            .send_modify(|carried| carried[self.number] -= 1);
    }
}

impl Reply {
    /// Grants the subscription.
    pub(crate) fn grant(mut self) -> Events {
        let head = http::Response::builder()
            .header("content-type", "application/vnd.amazon.eventstream")
            .body(())
            .unwrap();
        let mut events = Events(self.0.send_response(head, false).unwrap());
        events.send(events::initial());
        events
    }

    /// The head of an answer, and nothing after it.
    pub(crate) fn head(mut self) -> Events {
        Events(
            self.0
                .send_response(http::Response::new(()), false)
                .unwrap(),
        )
    }

    /// An answer that is a value.
    pub(crate) fn value(mut self, value: &Value) {
        let head = http::Response::builder()
            .header("content-type", "application/x-amz-json-1.1")
            .body(())
            .unwrap();
        self.0
            .send_response(head, false)
            .unwrap()
            .send_data(value.to_string().into(), true)
            .unwrap();
    }

    pub(crate) fn refuse_stream(mut self) {
        self.0.send_reset(Reason::REFUSED_STREAM);
    }

    pub(crate) fn error(mut self, code: &str, message: &str) {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        let head = http::Response::builder().status(400).body(()).unwrap();
        self.0
            .send_response(head, false)
            .unwrap()
            .send_data(body.into(), true)
            .unwrap();
    }
}

impl Events {
    pub(crate) fn send(&mut self, bytes: Bytes) {
        // The client may have gone: the next `gone` tells.
        let _ = self.0.send_data(bytes, false);
    }

    /// Sends no more than the client has room for: as much as it took before it had none for a
    /// while, or had gone, or all.
    pub(crate) async fn send_as_there_is_room(&mut self, bytes: &Bytes, taken: &Mutex<usize>) {
        let mut sent = 0;
        while sent < bytes.len() {
            self.0.reserve_capacity(bytes.len() - sent);
            let Some(Ok(room)) = std::future::poll_fn(|cx| self.0.poll_capacity(cx)).await else {
                return;
            };
            let end = bytes.len().min(sent + room);
            if self.0.send_data(bytes.slice(sent..end), false).is_err() {
                return;
            }
            sent = end;
            *taken.lock().unwrap() = sent;
        }
    }

    pub(crate) fn end(mut self) {
        // The client may have gone, as above.
        let _ = self.0.send_data(Bytes::new(), true);
    }

    pub(crate) fn reset(mut self) {
        self.0.send_reset(Reason::INTERNAL_ERROR);
    }

    /// Waits until the client wants no more.
    pub(crate) async fn gone(mut self) {
        let _ = std::future::poll_fn(|cx| self.0.poll_reset(cx)).await;
    }
}
