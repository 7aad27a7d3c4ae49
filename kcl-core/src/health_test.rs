use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::*;
use crate::lease::{Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow, Write};
use crate::model::{Lease, LeaseKey, WorkerId};
use crate::processor::{ProcessRecordsInput, ShardRef};
use crate::{Clock as _, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor};

struct Nothing;

impl RecordProcessor for Nothing {
    async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
        Ok(())
    }
}

/// A table that can be taken out of reach.
#[derive(Debug, Default)]
struct Unsteady {
    table: MemoryLeaseTable,
    is_gone: AtomicBool,
}

impl Unsteady {
    fn reached(&self) -> Result<&MemoryLeaseTable, Error> {
        if self.is_gone.load(Ordering::SeqCst) {
            return Err(Error::Throttled {
                source: "out of reach".into(),
            });
        }
        Ok(&self.table)
    }
}

#[async_trait]
impl LeaseTable for Unsteady {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.reached()?.get(key).await
    }

    async fn scan(&self, from: Option<&PageToken>, how: Consistency) -> Result<ScanPage, Error> {
        self.reached()?.scan(from, how).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.reached()?.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        self.reached()?.update(key, write).await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.reached()?.delete(key, expect).await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        self.reached()?.write_worker(worker, seen, row).await
    }
}

fn worker(table: Arc<Unsteady>) -> Worker {
    Worker::builder()
        .stream("orders")
        .source(MemoryStream::new("orders", 1))
        .application("app")
        .lease_table(table as Arc<dyn LeaseTable>)
        .failover(Duration::from_secs(2))
        .processor(|_: &ShardRef| Nothing)
        .build()
        .unwrap()
}

/// Sends this, and returns the answer as it came.
async fn ask(server: &HealthServer, request: &str) -> String {
    let mut connection = TcpStream::connect(server.address().unwrap()).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    text
}

/// The status and the body.
async fn get(server: &HealthServer, path: &str) -> (String, String) {
    let text = ask(server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = SystemClock.now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(SystemClock.now() < end, "{what} took too long");
        pause(&SystemClock, Duration::from_millis(20)).await;
    }
}

/// A worker from its start to its end, with a table that goes and comes back meanwhile.
#[tokio::test]
async fn readiness_and_health_follow_the_worker() {
    let table = Arc::new(Unsteady::default());
    let worker = worker(Arc::clone(&table));
    let server = HealthServer::new(&worker)
        .serve("127.0.0.1:0")
        .await
        .unwrap();
    assert_eq!(
        get(&server, "/healthz").await,
        ("200".to_owned(), "ok\n".to_owned())
    );
    let (code, why) = get(&server, "/readyz").await;
    assert_eq!(
        (code.as_str(), why.contains("not started yet")),
        ("503", true),
        "{why}"
    );

    let mut run = Tasks::new();
    let running = worker.clone();
    run.start(async move { running.run().await.map(drop).unwrap() });
    until("being ready", async || {
        get(&server, "/readyz").await.0 == "200"
    })
    .await;

    table.is_gone.store(true, Ordering::SeqCst);
    until("missing the table", async || {
        get(&server, "/readyz").await.0 == "503"
    })
    .await;
    let (_, why) = get(&server, "/readyz").await;
    assert!(
        why.contains("the lease table has not answered for"),
        "{why}"
    );
    assert_eq!(
        get(&server, "/healthz").await.0,
        "200",
        "a restart would not mend it"
    );
    table.is_gone.store(false, Ordering::SeqCst);
    until("finding it again", async || {
        get(&server, "/readyz").await.0 == "200"
    })
    .await;

    worker.shutdown(Duration::from_secs(5)).await;
    run.next().await.unwrap().unwrap();
    for path in ["/healthz", "/readyz"] {
        let (code, why) = get(&server, path).await;
        assert_eq!(
            (code.as_str(), why.as_str()),
            ("503", "the worker has stopped\n")
        );
    }
}

#[tokio::test]
async fn metrics_are_those_of_the_recorder() {
    let worker = worker(Arc::default());
    let bare = HealthServer::new(&worker)
        .serve("127.0.0.1:0")
        .await
        .unwrap();
    assert_eq!(get(&bare, "/metrics").await.0, "404");
    let server = HealthServer::new(&worker)
        .metrics(|| "kcl_leases 3\n".to_owned())
        .serve("127.0.0.1:0")
        .await
        .unwrap();
    let text = ask(&server, "GET /metrics?x=1 HTTP/1.0\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(
        text.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{text}"
    );
    assert!(text.ends_with("Content-Length: 13\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nkcl_leases 3\n"), "{text}");
    let head = ask(&server, "HEAD /metrics HTTP/1.1\r\n\r\n").await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert!(
        ask(&server, "POST /healthz HTTP/1.1\r\n\r\n")
            .await
            .contains(" 405 ")
    );
    assert_eq!(get(&server, "/").await.0, "404");
}

/// Connections that say nothing, or too much, do not keep a probe from its answer.
#[tokio::test]
async fn silent_and_endless_connections_stop_nobody() {
    let worker = worker(Arc::default());
    let server = HealthServer::new(&worker)
        .serve("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.address().unwrap();
    let mut silent = Vec::new();
    for _ in 0..AT_ONCE - 1 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(get(&server, "/healthz").await.0, "200");
    let mut endless = TcpStream::connect(address).await.unwrap();
    let mut sent = 0;
    // It is closed while it sends, which either side may notice first.
    while sent < 100 * LONGEST && endless.write_all(&[b'x'; 1024]).await.is_ok() {
        sent += 1024;
    }
    assert_eq!(get(&server, "/healthz").await.0, "200");
    // Silent ones are closed in the end, without an answer.
    let mut text = Vec::new();
    silent[0].read_to_end(&mut text).await.unwrap();
    assert!(text.is_empty());
}

#[tokio::test]
async fn a_server_that_is_dropped_stops_listening() {
    let worker = worker(Arc::default());
    let server = HealthServer::new(&worker)
        .serve("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.address().unwrap();
    let taken = HealthServer::new(&worker).serve(address).await.unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    drop(server);
    until("closing", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
}
