use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use kcl_core::BoxError;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tokio::sync::watch;

use crate::embedded::{Embedded, Reshard};

use super::corpus::Corpus;
use super::ledger::{FileKey, Ledger};
use super::line::Line;
use super::plain::Count;

/// What is in the stream: the plain count of each edition of each file.
pub type Put = BTreeMap<FileKey, Count>;

/// Puts the lines that are not in the stream yet.
#[derive(Debug)]
pub struct Producer {
    corpus: Corpus,
    /// What is in the stream.
    put: Put,
    /// The files with lines to put.
    wanted: Vec<String>,
    total: u64,
}

/// The progress of a [`Producer`], through which it can also be stopped.
#[derive(Debug, Default)]
pub struct PutProgress {
    lines: AtomicU64,
    stop: watch::Sender<bool>,
}

impl PutProgress {
    /// How many lines the stream has accepted in this run.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Stops the producer.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the producer has to stop. Cancel safe.
    pub async fn stopped(&self) {
        // The sender is in `self`, so this never fails.
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }
}

/// How many records one `PutRecords` call can have.
const BATCH_RECORDS: u64 = 500;
/// Well below the 5 MiB (now 10 MiB) that Kinesis accepts in one call.
const BATCH_BYTES: usize = 4_000_000;

impl Producer {
    /// Reads all files and finds out which lines are new. Their number is the total of the progress
    /// bar.
    #[must_use]
    pub fn plan(mut corpus: Corpus, put: Put) -> Self {
        let (mut wanted, mut total) = (Vec::new(), 0);
        corpus.read_all(|path, text| {
            let new = NextLines::of(&put, path, text).lines(text);
            if new > 0 {
                wanted.push(path.to_owned());
                total += new;
            }
        });
        Self {
            corpus,
            put,
            wanted,
            total,
        }
    }

    /// How many lines will be put, if no file changes in the meantime.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many lines are in the stream.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.put.values().map(|count| count.lines).sum()
    }

    /// The files that are read.
    #[must_use]
    pub const fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// What the stream holds.
    #[must_use]
    pub const fn put(&self) -> &Put {
        &self.put
    }

    /// Puts all new lines, one file after the other and each file's lines in order. Along the way,
    /// a shard is split and two are merged. It can be stopped between two calls. When this returns,
    /// the ledger contains what the stream has accepted.
    ///
    /// # Errors
    /// If the stream rejects lines. The next run finds out which ones it has accepted.
    pub async fn run(
        &mut self,
        stream: &Embedded,
        ledger: &Ledger,
        progress: &PutProgress,
        say: impl Fn(&str),
    ) -> Result<u64, BoxError> {
        if self.wanted.is_empty() {
            return Ok(self.held());
        }
        ledger.begin_put()?;
        let mut reshards = [
            (self.total / 3, Reshard::Split),
            (self.total * 2 / 3, Reshard::Merge),
        ]
        .into_iter()
        .peekable();
        // Small enough that the changes come between lines even for the smallest folder.
        let mut batch = Batch::new((self.total / 8).clamp(1, BATCH_RECORDS));
        'files: for path in std::mem::take(&mut self.wanted) {
            let Some(text) = self.corpus.read(&path) else {
                continue;
            };
            let NextLines { edition, from } = NextLines::of(&self.put, &path, &text);
            for (number, text) in (1..)
                .zip(text.lines())
                .skip(usize::try_from(from).unwrap_or(usize::MAX))
            {
                batch.push(
                    &path,
                    Line {
                        edition,
                        number,
                        text,
                    },
                );
                if batch.is_full() {
                    batch.send(stream, &mut self.put, progress).await?;
                    while let Some((_, reshard)) =
                        reshards.next_if(|(at, _)| *at <= progress.lines())
                    {
                        say(&reshard.carry_out(stream).await?);
                    }
                    if *progress.stop.borrow() {
                        break 'files;
                    }
                }
            }
        }
        batch.send(stream, &mut self.put, progress).await?;
        ledger.end_put(&self.put)?;
        Ok(self.held())
    }
}

/// Where the next lines of a file begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextLines {
    /// The edition of the file that they belong to, from 1.
    pub edition: u32,
    /// How many of its lines are in the stream already.
    pub from: u64,
}

impl NextLines {
    /// The last edition is continued if the file still begins with it; otherwise a new edition
    /// begins.
    #[must_use]
    pub fn of(put: &Put, path: &str, text: &str) -> Self {
        let editions = put.range((path.to_owned(), 0)..=(path.to_owned(), u32::MAX));
        match editions.last() {
            None => Self {
                edition: 1,
                from: 0,
            },
            Some(((_, edition), held)) if Count::of(text, held.lines) == *held => Self {
                edition: *edition,
                from: held.lines,
            },
            Some(((_, edition), _)) => Self {
                edition: edition + 1,
                from: 0,
            },
        }
    }

    /// How many lines are left to put of the text that it was made for.
    #[must_use]
    pub fn lines(self, text: &str) -> u64 {
        text.lines().count() as u64 - self.from
    }
}

/// The lines of one call.
struct Batch {
    most: u64,
    bytes: usize,
    entries: Vec<PutRecordsRequestEntry>,
    /// The same lines, to be counted once the stream has accepted them.
    lines: Vec<(FileKey, String)>,
}

impl Batch {
    const fn new(most: u64) -> Self {
        Self {
            most,
            bytes: 0,
            entries: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn push(&mut self, path: &str, line: Line<'_>) {
        let data = line.to_string().into_bytes();
        self.bytes += data.len() + path.len();
        let entry = PutRecordsRequestEntry::builder()
            .partition_key(path)
            .data(Blob::new(data))
            .build();
        // The required members are set, so this never fails.
        self.entries.extend(entry.ok());
        self.lines
            .push(((path.to_owned(), line.edition), line.text.to_owned()));
    }

    const fn is_full(&self) -> bool {
        self.entries.len() as u64 >= self.most || self.bytes >= BATCH_BYTES
    }

    async fn send(
        &mut self,
        stream: &Embedded,
        put: &mut Put,
        progress: &PutProgress,
    ) -> Result<(), BoxError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.entries);
        let taken = stream
            .client()
            .put_records()
            .stream_name(stream.name())
            .set_records(Some(entries))
            .send()
            .await?;
        if let Some(refused) = taken
            .records()
            .iter()
            .find_map(|record| record.error_message())
        {
            return Err(format!("the stream rejected a line: {refused}").into());
        }
        progress
            .lines
            .fetch_add(self.lines.len() as u64, Ordering::Relaxed);
        for (key, text) in self.lines.drain(..) {
            put.entry(key).or_default().add(&text);
        }
        self.bytes = 0;
        Ok(())
    }
}
