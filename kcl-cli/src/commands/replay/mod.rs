//! `replay`: the records of a range of time once more, beside the live application.
//!
//! ```text
//!   stream ---> Worker, bounded, with leases of its own ---> RecordWriter ---> Sink: lines of JSON
//!                                  |                                            |
//!                              data gaps --------> exit code 1       how far each shard is: the bar
//! ```
//!
//! It is an application of its own: its name contains the stream and the range, so it never touches
//! the leases of another one, and a second run of the same range finds its own again.

mod sink;
mod writer;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::future::{Either, join, select};
use kcl_core::lease::LeaseTable;
use kcl_core::model::{StreamName, Timestamp};
use kcl_core::processor::ShardRef;
use kcl_core::stream::Stream as _;
use kcl_core::worker::{Event, Events};
use kcl_core::{Clock as _, InitialPosition, KinesisStream, MemoryLeaseTable, SystemClock, Worker};

use crate::arguments::StreamArguments;
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Progress, count};
use crate::stream_at;
use crate::table_at::{OpenTable, TableAt};

use sink::{Range, Sink};
use writer::RecordWriter;

/// How long the shards have to be given up after a signal: what is written is stored then.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the bar moves.
const MOVES: Duration = Duration::from_millis(200);

/// Reads the records of a range of time once more and writes them as lines of JSON, beside the live
/// application and without touching its leases. It ends by itself.
///
/// Records of one shard are in order, and those of a child shard come after those of its parents;
/// aggregates are taken apart. Each is written at least once: a replay that is interrupted and goes on
/// may write its last batch again. A progress bar is on standard error if that is a terminal.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl replay orders --from 2026-01-31T08:00:00Z --to 2026-01-31T09:00:00Z --output orders.jsonl
  kcl replay orders --from 1769846400 --to 1769850000 | jq -r .data
  kcl replay orders --from 2026-01-31T08:00:00Z --to 2026-01-31T09:00:00Z \\
    --lease-table sqlite:replay.sqlite --output orders.jsonl     goes on where it was interrupted

Each line is that of `kcl tail --json`: shard, sequence, sub, arrived_at, key, data, hex.

Exit codes: 0 all of the range was written, 1 some of it has expired, or it was interrupted, 3 it failed.")]
pub(crate) struct ReplayOptions {
    /// The stream, by name or ARN.
    #[arg(value_name = "STREAM")]
    stream: StreamName,
    #[command(flatten)]
    at: StreamArguments,
    /// From when on, by the time of arrival: RFC 3339, such as 2026-01-31T08:00:00Z, or a number of
    /// seconds or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = parse::timestamp)]
    from: Timestamp,
    /// Until when, this time included. If it lies ahead, the replay waits for it.
    #[arg(long, value_name = "TIME", value_parser = parse::timestamp)]
    to: Timestamp,
    /// Appends to this file. Default: standard output.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Keeps the leases of the replay here, so that it goes on where it was interrupted, and several
    /// processes share it: sqlite:PATH, or dynamo for a table that is named after the replay. Default:
    /// in memory.
    #[arg(long, visible_alias = "table", value_name = "sqlite:PATH|dynamo")]
    lease_table: Option<TableAt>,
    /// The URL of DynamoDB, with --lease-table dynamo.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint, requires = "lease_table")]
    dynamo_endpoint: Option<String>,
    /// How many times a second a shard is read, of the 5 times that all its readers share.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    calls_per_second: u8,
}

impl ReplayOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let signal = kcl_core::stop_signal()
            .map_err(|error| Failure::new("cannot wait for Ctrl-C", error))?;
        if self.from > self.to {
            return Err(Failure::of(format!(
                "the range from {} to {} is empty: expected --from before --to",
                self.from, self.to
            )));
        }
        let stream = stream_at::open(&self.stream, &self.at).await?;
        // Asked before anything is written. What expires while it is read is an event, which
        // `has_gaps` hears.
        let expired = self.has_expired(&stream).await?;
        let range = Range::new(self.from, self.to);
        let sink = Arc::new(Sink::open(self.output.as_deref(), range)?);
        let worker = self.worker(stream, &sink).await?;
        let (was_interrupted, lost) = read(worker, &sink, signal).await?;
        sink.failure().map_or(Ok(()), Err)?;
        Ok(self.say(&sink, was_interrupted, expired || lost))
    }

    /// Whether the stream keeps no records any more of when the range begins. A range may begin
    /// before the stream did, which is no loss.
    async fn has_expired(&self, stream: &KinesisStream) -> Result<bool, Failure> {
        let described = stream.describe().await;
        let described = described.map_err(|error| stream_at::failed(&self.stream, error))?;
        let begins = self.from.max(described.created_at);
        Ok(is_expired(begins, described.retention, SystemClock.wall()))
    }

    async fn worker(&self, stream: KinesisStream, sink: &Arc<Sink>) -> Result<Worker, Failure> {
        let application = self.application();
        let table = self.table(&application).await?;
        let sink = Arc::clone(sink);
        let worker = Worker::builder()
            .stream(self.stream.to_string())
            .source(stream)
            .application(application)
            .lease_table(table)
            .initial_position(InitialPosition::AtTimestamp(self.from))
            .until(self.to)
            .calls_per_second(self.calls_per_second.into())
            .processor(move |shard: &ShardRef| RecordWriter::new(shard, Arc::clone(&sink)))
            .build();
        worker.map_err(|error| Failure::new("cannot read this range", error))
    }

    /// A name that no live application has, and that says what is read.
    fn application(&self) -> String {
        let (from, to) = (self.from.as_millis(), self.to.as_millis());
        format!("replay-of-{}-{from}-{to}", self.stream.name())
    }

    async fn table(&self, application: &str) -> Result<Arc<dyn LeaseTable>, Failure> {
        match &self.lease_table {
            None => Ok(Arc::new(MemoryLeaseTable::new())),
            // The leases of a live application may be in it, which the replay would share.
            Some(place @ TableAt::Dynamo(Some(_))) => Err(Failure::of(format!(
                "--lease-table {place} names a table: expected `dynamo`, for the table \
                 `{application}`, which no other application has"
            ))),
            Some(place) => {
                let endpoint = self.dynamo_endpoint.as_deref();
                let opened = OpenTable::open(application, Some(place.clone()), endpoint, true);
                Ok(opened.await?.table)
            }
        }
    }

    fn say(&self, sink: &Sink, was_interrupted: bool, is_incomplete: bool) -> Ended {
        let Self {
            stream, from, to, ..
        } = self;
        let (records, shards) = sink.counts();
        let records = count(records, "record", "records");
        let shards = count(shards, "shard", "shards");
        let what = if was_interrupted {
            "interrupted after"
        } else {
            "replayed"
        };
        eprintln!("{what} {records} of {shards} of {stream}, {from} to {to}");
        if is_incomplete {
            eprintln!("records of this range have expired, and are missing");
        }
        if was_interrupted || is_incomplete {
            Ended::WithFindings
        } else {
            Ended::Well
        }
    }
}

/// Whether records that arrived then have expired by `now`.
fn is_expired(arrived: Timestamp, retention: Duration, now: Timestamp) -> bool {
    let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    arrived.as_millis() < now.as_millis().saturating_sub(kept)
}

/// Reads to the end of the range, or until the signal, or until the output takes no more. Whether it
/// was interrupted, and whether records have expired meanwhile.
async fn read(worker: Worker, sink: &Sink, signal: impl Future) -> Result<(bool, bool), Failure> {
    let progress = Progress::share("replaying");
    let was_interrupted = Cell::new(false);
    let lost = has_gaps(worker.events());
    let run = async {
        let stop = async {
            tokio::select! {
                biased;
                () = sink.failed() => {}
                _ = signal => was_interrupted.set(true),
            }
        };
        let ended = worker.run_until(stop, DRAIN).await;
        // Its events end with it.
        drop(worker);
        ended
    };
    let (ended, lost) = match select(pin!(join(run, lost)), pin!(show(&progress, sink))).await {
        Either::Left((both, _)) => both,
        Either::Right((never, _)) => match never {},
    };
    ended.map_err(|error| Failure::new("the replay has failed", error))?;
    Ok((was_interrupted.get(), lost))
}

/// Moves the bar for ever.
async fn show(progress: &Progress, sink: &Sink) -> Infallible {
    loop {
        SystemClock.sleep_until(SystemClock.now() + MOVES).await;
        progress.at(sink.done(), Sink::ALL);
    }
}

/// Listens to the end. Whether records expired before they were read, or may have.
async fn has_gaps(mut events: Events) -> bool {
    let mut has_gaps = false;
    while let Some(event) = events.next().await {
        has_gaps |= matches!(event, Event::DataGap { .. });
    }
    has_gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_expires_when_the_retention_is_over() {
        let at = Timestamp::from_millis;
        let day = Duration::from_secs(86_400);
        assert!(is_expired(at(999), day, at(86_401_000)));
        assert!(!is_expired(at(1_000), day, at(86_401_000)));
        assert!(!is_expired(at(0), Duration::MAX, at(i64::MAX)));
    }
}
