use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kcl_core::model::Moment;
use kcl_core::{Clock, SystemClock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::sim::Dice;

use super::answer::{self, Body};
use super::harm::{Harm, Trouble};

/// A service that links lead to, and the requests that were held back on the way to it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is: `http://host:port`.
    endpoint: String,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Requests that arrive whatever becomes of who sent them.
    late: Mutex<JoinSet<()>>,
    /// How many requests were harmed, by [`Harm`].
    harmed: [AtomicU64; 7],
}

/// The way of one process to one service: it passes requests on, and harms them while it is told
/// to.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    way: Arc<LinkWay>,
    /// Ends with the link, and the connections with it.
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct LinkWay {
    upstream: Arc<Upstream>,
    trouble: Mutex<Option<(Trouble, Moment)>>,
    dice: Mutex<Dice>,
}

/// Held-back answers and requests go on at the latest after this, longer than any client waits.
const LONGEST: Duration = Duration::from_secs(40);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

impl Upstream {
    /// The service at this endpoint, `http://host:port`.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            client: Client::builder(TokioExecutor::new()).build(connector),
            late: Mutex::default(),
            harmed: Default::default(),
        }
    }

    /// How many requests were harmed in this way.
    #[must_use]
    pub fn harmed(&self, harm: Harm) -> u64 {
        self.harmed[harm as usize].load(Ordering::SeqCst)
    }

    /// Does this whatever becomes of who asked for it.
    fn later(&self, request: impl Future<Output = ()> + Send + 'static) {
        let mut late = locked(&self.late);
        while late.try_join_next().is_some() {}
        late.spawn(request);
    }

    /// Carries a request out.
    async fn forward(&self, parts: Parts, body: Bytes) -> io::Result<Response<Bytes>> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("{}{path}", self.endpoint)
            .parse()
            .map_err(io::Error::other)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = parts.headers;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(io::Error::other)?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

impl Link {
    /// Opens a link to a service. Chance comes from these dice.
    ///
    /// # Errors
    /// There is no port for it.
    pub fn open(upstream: &Arc<Upstream>, dice: Dice) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let way = Arc::new(LinkWay {
            upstream: Arc::clone(upstream),
            trouble: Mutex::default(),
            dice: Mutex::new(dice),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&way)));
        Ok(Self {
            address,
            way,
            _serving: serving,
        })
    }

    /// Where the process finds it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Harms requests from now on, for the span of the trouble. It takes the place of what was
    /// before.
    pub fn harm(&self, trouble: Trouble) {
        *locked(&self.way.trouble) = Some((trouble, SystemClock.now() + trouble.span));
    }

    /// Harms nothing any more.
    pub fn heal(&self) {
        *locked(&self.way.trouble) = None;
    }
}

/// Serves connections until it is dropped.
async fn serve(listener: TcpListener, way: Arc<LinkWay>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((connection, _)) => {
                connections.spawn(Arc::clone(&way).connection(connection));
            }
            Err(error) => {
                tracing::warn!(%error, "a link cannot accept a connection");
                SystemClock
                    .sleep_until(SystemClock.now() + Duration::from_millis(100))
                    .await;
            }
        }
    }
}

impl LinkWay {
    async fn connection(self: Arc<Self>, connection: TcpStream) {
        // A connection that cannot have it is slower.
        let _ = connection.set_nodelay(true);
        let answer = service_fn(|request| self.answer(request));
        if let Err(error) = http1::Builder::new()
            .serve_connection(TokioIo::new(connection), answer)
            .await
        {
            tracing::debug!(%error, "a connection of a link ended");
        }
    }

    /// An error closes the connection without an answer.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let like = header(&parts.headers, CONTENT_TYPE.as_str()).to_owned();
        let Some((harm, until)) = self.drawn(header(&parts.headers, "x-amz-target")) else {
            return self
                .upstream
                .forward(parts, body)
                .await
                .map(|answer| answer.map(answer::whole));
        };
        self.upstream.harmed[harm as usize].fetch_add(1, Ordering::SeqCst);
        match harm {
            Harm::Break => match self.chance(3) {
                0 => Err(broken()),
                1 => Err(self
                    .upstream
                    .forward(parts, body)
                    .await
                    .err()
                    .unwrap_or_else(broken)),
                _ => self.upstream.forward(parts, body).await.map(answer::cut),
            },
            Harm::Hold => {
                let answer = self.upstream.forward(parts, body).await?;
                SystemClock.sleep_until(until).await;
                Ok(answer.map(answer::whole))
            }
            Harm::Late => {
                let (tell, told) = oneshot::channel();
                let upstream = Arc::clone(&self.upstream);
                self.upstream.later(async move {
                    SystemClock.sleep_until(until).await;
                    // Who sent it may be gone.
                    let _ = tell.send(upstream.forward(parts, body).await);
                });
                told.await
                    .map_err(|_| broken())?
                    .map(|answer| answer.map(answer::whole))
            }
            Harm::Expired => {
                let said = "The security token included in the request is expired";
                Ok(answer::refusal(
                    StatusCode::BAD_REQUEST,
                    &like,
                    "ExpiredTokenException",
                    said,
                ))
            }
            Harm::Throttle => {
                let code = "ProvisionedThroughputExceededException";
                Ok(answer::refusal(
                    StatusCode::BAD_REQUEST,
                    &like,
                    code,
                    "Rate exceeded, said by nobody",
                ))
            }
            Harm::Error if self.chance(2) == 0 => Ok(answer::unavailable()),
            Harm::Error => Ok(answer::refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                &like,
                "InternalFailure",
                "",
            )),
            Harm::Odd => Ok(answer::empty(&like)),
        }
    }

    /// A number below `sides`.
    fn chance(&self, sides: usize) -> usize {
        locked(&self.dice).index(sides)
    }

    /// What is to happen to a request, and when a delay of it is to end.
    fn drawn(&self, target: &str) -> Option<(Harm, Moment)> {
        let now = SystemClock.now();
        let (trouble, end) = locked(&self.trouble).filter(|(_, end)| now < *end)?;
        let odd_elsewhere = trouble.harm == Harm::Odd && !target.ends_with(".GetRecords");
        if odd_elsewhere || self.chance(100) >= usize::from(trouble.percent) {
            return None;
        }
        // Some delays outlast the trouble.
        let more = trouble.span.mul_f64(self.chance(100) as f64 / 100.0);
        Some((trouble.harm, (end + more).min(now + LONGEST)))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
