//! The stream that the numbered examples read: an embedded stream in this process, with records in
//! it.

use std::path::Path;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::BoxError;
use kcl_core::model::StreamName;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::worker::Builder;
use kcl_core::{Failure, KinesisStream, RecordProcessor, Worker};

use crate::embedded::Embedded;

/// A stream with records. An application that reads from AWS does not need it, nor `source`.
#[derive(Debug)]
pub struct Demo(Embedded);

impl Demo {
    /// Starts a stream with this name and number of shards, and puts this many records into it:
    /// `order 1`, `order 2` and so on, from ten customers.
    ///
    /// # Errors
    /// If the server cannot be started.
    pub async fn start(name: &'static str, shards: i32, records: u32) -> Result<Self, BoxError> {
        Self::filled(Embedded::in_memory(name, shards).await?, records).await
    }

    /// The same in a folder, in which the stream is kept from run to run. Each run puts this many
    /// records.
    ///
    /// # Errors
    /// If the server cannot be started, or another process uses the folder.
    pub async fn start_in(
        folder: &Path,
        name: &'static str,
        shards: i32,
        records: u32,
    ) -> Result<Self, BoxError> {
        Self::filled(Embedded::in_folder(name, shards, folder).await?, records).await
    }

    async fn filled(stream: Embedded, records: u32) -> Result<Self, BoxError> {
        let demo = Self(stream);
        for number in 1..=records {
            demo.put(
                &format!("customer-{}", number % 10),
                format!("order {number}"),
            )
            .await?;
        }
        Ok(demo)
    }

    /// Puts one record.
    ///
    /// # Errors
    /// If the stream rejects it.
    pub async fn put(&self, key: &str, data: impl Into<Vec<u8>>) -> Result<(), BoxError> {
        let put = self.0.client().put_record().stream_name(self.0.name());
        put.partition_key(key).data(Blob::new(data)).send().await?;
        Ok(())
    }

    /// The AWS SDK's client of its server.
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.0.client()
    }

    /// The stream as a source for a worker.
    ///
    /// # Errors
    /// If its name is not a valid stream name.
    pub fn source(&self) -> Result<KinesisStream, BoxError> {
        Ok(KinesisStream::new(
            self.0.client(),
            self.0.name().parse::<StreamName>()?,
        ))
    }

    /// The beginning of a worker of this application that reads it.
    ///
    /// # Errors
    /// It has no name that a stream can have.
    pub fn builder(&self, application: &str) -> Result<Builder, BoxError> {
        let builder = Worker::builder()
            .stream(self.0.name())
            .source(self.source()?);
        Ok(builder.application(application))
    }
}

/// A processor that prints every record, for examples that are about something else.
#[derive(Debug)]
pub struct Printer;

impl Printer {
    /// Creates the processor of a shard.
    #[must_use]
    pub const fn new(_: &ShardRef) -> Self {
        Self
    }
}

impl RecordProcessor for Printer {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            println!(
                "{} {}",
                record.partition_key,
                String::from_utf8_lossy(&record.data)
            );
        }
        Ok(())
    }
}
