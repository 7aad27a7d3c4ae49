//! `kcl multilang`, with a child that behaves as the Python library does.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use kcl_core::{Clock as _, SystemClock};
use kcl_local::stream::LocalStream;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::program::kcl_with;

/// A properties file in a folder, with what the child does beside it.
struct Daemon {
    folder: TempDir,
    stream: LocalStream,
}

impl Daemon {
    async fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stream = LocalStream::builder().start().await.unwrap();
        stream.create("orders", 1).await.unwrap();
        for n in 0..20 {
            stream.put("orders", "k", n.to_string()).await.unwrap();
        }
        let daemon = Self { folder, stream };
        let child = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../kcl-multilang/src/daemon_test/child.py"
        );
        let text = format!(
            "executableName = python3 {child} py {}\nstreamName = orders\napplicationName = app\n\
             AwsCredentialsProvider = DefaultCredentialsProvider\ninitialPositionInStream = TRIM_HORIZON\n{lines}\n",
            daemon.path("log").display()
        );
        std::fs::write(daemon.path("properties"), text).unwrap();
        daemon
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program on the embedded stream and an SQLite file, and waits until the child was
    /// given all records.
    async fn start(&self, more: &[&str]) -> Child {
        let errors = std::fs::File::create(self.path("errors")).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_kcl"))
            .args(["multilang", "--log-format", "json", "--properties-file"])
            .arg(self.path("properties"))
            .arg("--lease-table")
            .arg(format!("sqlite:{}", self.path("leases").display()))
            .args(["--endpoint", self.stream.endpoint()])
            .args(more)
            .envs([
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "any"),
                ("AWS_SECRET_ACCESS_KEY", "any"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.until("all records", || self.records().len() >= 20)
            .await;
        program
    }

    /// What has happened of this kind in the children.
    fn all(&self, what: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.filter(|line: &Value| line["what"] == what).collect()
    }

    /// The payloads that the children were given.
    fn records(&self) -> Vec<Value> {
        let records = |line: &Value| line["records"].as_array().unwrap().clone();
        self.all("records").iter().flat_map(records).collect()
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.path("errors")).unwrap()
    }

    async fn until(&self, what: &str, wanted: impl Fn() -> bool) {
        for _ in 0..6000 {
            if wanted() {
                return;
            }
            let soon = SystemClock.now() + Duration::from_millis(20);
            SystemClock.sleep_until(soon).await;
        }
        panic!("still waiting for {what}: {}", self.errors());
    }

    /// Waits until none of the children is left.
    async fn has_no_children(&self) {
        let runs = |pid: &Value| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie has ended.
            !stat.is_empty() && !stat.contains(") Z ")
        };
        self.until("the end of the children", || {
            !self.all("started").iter().any(|line| runs(&line["pid"]))
        })
        .await;
    }
}

async fn signal(program: &mut Child, name: &str) -> ExitStatus {
    let pid = program.id().unwrap().to_string();
    let sent = Command::new("kill")
        .args([name, &pid])
        .status()
        .await
        .unwrap();
    assert!(sent.success());
    program.wait().await.unwrap()
}

/// By fan-out, as the file leaves it open.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_daemon_is_orderly() {
    let daemon = Daemon::new("").await;
    let mut program = daemon.start(&[]).await;
    let status = signal(&mut program, "-INT").await;
    assert_eq!(status.code(), Some(0), "{}", daemon.errors());
    assert_eq!(daemon.all("shutdownRequested").len(), 1);
    assert_eq!(daemon.all("leaseLost").len(), 1);
    daemon.has_no_children().await;
    // Each line of the log is an object, and those of the child have its shard.
    let errors = daemon.errors();
    let lines: Vec<Value> = errors
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_child = |line: &Value| {
        line["target"] == "child"
            && line["from"] == "stderr"
            && line["shard"] == "shardId-000000000000"
            && line["message"]
                .as_str()
                .unwrap()
                .contains("a log without a newline")
    };
    assert!(lines.iter().any(of_child), "{errors}");
    // The next daemon goes on: nothing comes twice.
    daemon.stream.put("orders", "k", "more").await.unwrap();
    let mut program = daemon.start(&[]).await;
    daemon
        .until("the next record", || daemon.records().len() >= 21)
        .await;
    signal(&mut program, "-TERM").await;
    assert_eq!(daemon.records().len(), 21, "{:?}", daemon.records());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn children_end_with_a_daemon_that_is_killed() {
    let daemon = Daemon::new("").await;
    let mut program = daemon.start(&[]).await;
    // That of the shard, and the one ahead of need.
    daemon
        .until("two children", || daemon.all("started").len() == 2)
        .await;
    signal(&mut program, "-KILL").await;
    daemon.has_no_children().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_fails_ends_the_daemon_if_it_should() {
    let daemon = Daemon::new("onChildError = exit").await;
    let poison = format!("die:{}", daemon.path("die").display());
    let mut program = daemon.start(&["--metrics", "127.0.0.1:0"]).await;
    daemon.stream.put("orders", "k", poison).await.unwrap();
    let status = program.wait().await.unwrap();
    assert_eq!(status.code(), Some(1));
    let errors = daemon.errors();
    assert!(errors.contains("onChildError is `exit`"), "{errors}");
}

/// The status and the body of an answer over HTTP.
async fn get(address: &str, path: &str) -> (String, String) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_answers_scrapers_and_probes() {
    let daemon = Daemon::new("").await;
    let _program = daemon.start(&["--metrics", "127.0.0.1:0"]).await;
    let errors = daemon.errors();
    let (_, address) = errors.split_once("metrics are at http://").unwrap();
    let (address, _) = address.split_once("/metrics").unwrap();
    for path in ["/healthz", "/readyz"] {
        let answer = get(address, path).await;
        assert_eq!(answer, ("200".to_owned(), "ok\n".to_owned()), "{path}");
    }
    let (code, metrics) = get(address, "/metrics").await;
    assert_eq!(code, "200");
    assert!(metrics.contains("kcl_leases"), "{metrics}");
}

fn written(folder: &Path, text: &str) -> String {
    let path = folder.join("properties");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_dry_run_says_what_becomes_of_each_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(
        folder.path(),
        "executableName = node app.js\nstreamName = orders\napplicationName = app\nawsCredentialsProvider = \
         DefaultCredentialsProvider\nmaxRecords = 100\nmetricsLevel = NONE\nRetrievalMode = FANOUT\n",
    );
    kcl_with(["multilang", "--dry-run", &file]).await.says(
        0,
        &[
            "how many records one call asks for",
            "no effect: no metrics are sent to CloudWatch",
            "`retrievalMode` is known",
            "node app.js",
            "lease table             dynamo",
            "Polling",
            "LATEST",
        ],
    );
}

#[tokio::test]
async fn what_keeps_the_daemon_from_starting_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let text = "executableName = no-such-program\nstreamName = orders\napplicationName = app\n\
        AwsCredentialsProvider = DefaultCredentialsProvider\n";
    let file = written(folder.path(), text);
    kcl_with(["multilang", "-p", &file])
        .await
        .complains(3, &["`no-such-program` is not found"]);
    let file = written(folder.path(), "streamName = orders\n");
    kcl_with(["multilang", "-p", &file])
        .await
        .complains(3, &["no `executableName`"]);
    kcl_with(["multilang", "-p", "/no/such/file"])
        .await
        .complains(3, &["cannot read /no/such/file"]);
    kcl_with(["multilang"]).await.complains(2, &["FILE"]);
}
