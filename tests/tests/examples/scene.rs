//! A stream to consume.

use std::fs;
use std::path::{Path, PathBuf};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl_core::lease::{Consistency, LeaseTable};
use kcl_core::model::Lease;
use kcl_core::stream::kinesis::http::Http2Client;
use kcl_local::SqliteLeaseTable;
use kcl_local::stream::{LocalStream, LocalStreamBuilder};
use tempfile::TempDir;

use super::program::Program;

/// A stream `orders` and a folder for what the programs write.
pub(crate) struct Scene {
    pub(crate) stream: LocalStream,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
}

/// The shards of the stream.
pub(crate) const SHARDS: usize = 4;
/// The bytes of a record.
pub(crate) const BYTES: usize = 100;

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(LocalStream::builder()).await
    }

    /// The stream is served as these settings say.
    pub(crate) async fn of(settings: LocalStreamBuilder) -> Self {
        let stream = settings.start().await.unwrap();
        let trusting = Http2Client::new()
            .trusting(&fs::read(authority()).unwrap())
            .unwrap();
        let client = Client::from_conf(
            stream
                .client()
                .config()
                .to_builder()
                .http_client(trusting)
                .build(),
        );
        client
            .create_stream()
            .stream_name("orders")
            .shard_count(SHARDS as i32)
            .send()
            .await
            .unwrap();
        // Shards are listed only once the stream is there; puts are refused before.
        while client
            .put_record()
            .stream_name("orders")
            .partition_key("0")
            .data(Blob::new([b'x'; BYTES]))
            .send()
            .await
            .is_err()
        {}
        Self {
            stream,
            client,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Puts records; with the first put of all, one more is in the stream.
    pub(crate) async fn put(&self, records: usize) {
        for from in (0..records).step_by(500) {
            let entry = |key: usize| {
                let entry = PutRecordsRequestEntry::builder().partition_key(key.to_string());
                entry.data(Blob::new([b'x'; BYTES])).build().unwrap()
            };
            let entries = (from..records.min(from + 500)).map(entry).collect();
            let put = self
                .client
                .put_records()
                .stream_name("orders")
                .set_records(Some(entries))
                .send()
                .await
                .unwrap();
            assert_eq!(put.failed_record_count(), Some(0));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn arguments(&self, more: &str) -> Vec<String> {
        let table = self.path("leases.sqlite");
        let first = [
            "--stream",
            "orders",
            "--application",
            "billing",
            "--endpoint",
            self.stream.endpoint(),
            "--lease-table",
        ];
        let mut all: Vec<String> = first.map(ToOwned::to_owned).into();
        all.push(format!("sqlite:{}", table.display()));
        all.extend(more.split_whitespace().map(ToOwned::to_owned));
        all
    }

    pub(crate) fn consume(&self, trace: &Path, more: &str) -> Program {
        let mut arguments = self.arguments(more);
        arguments.extend(["--trace".to_owned(), trace.to_str().unwrap().to_owned()]);
        Program::start("consume", arguments)
    }

    pub(crate) async fn leases(&self) -> Vec<Lease> {
        let table = SqliteLeaseTable::open(self.path("leases.sqlite"), "billing")
            .await
            .unwrap();
        table.scan(None, Consistency::Strong).await.unwrap().leases
    }
}

/// The file with the authority whose certificate `secured` serves.
pub(crate) fn authority() -> PathBuf {
    tls("authority.pem")
}

/// Settings of a stream over https.
pub(crate) fn secured() -> LocalStreamBuilder {
    LocalStream::builder().tls(
        fs::read(tls("server.pem")).unwrap(),
        fs::read(tls("server.key.pem")).unwrap(),
    )
}

fn tls(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../kcl-local/tests/stream/tls")
        .join(file)
}
