use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kcl_core::model::{Record, ShardId, WorkerId};
use kcl_core::{Clock, SystemClock};

/// A file of JSON lines that records which methods were called, and with which records.
///
/// A kill can interrupt a write only between two pages of the file. So no line spans two pages: a
/// line that would is moved to the next page, and spaces, which JSON allows around a value, fill
/// the rest of the page.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    file: File,
    /// The offset of the next byte in the file.
    at: u64,
    /// The bytes of the next write.
    buffer: Vec<u8>,
}

/// The trace cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} the trace {path:?}")]
pub struct TraceError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The page size of every platform on which this may run, or a divisor of it.
const PAGE: u64 = 4096;

impl Trace {
    /// Opens the file for appending. An incomplete last line is cut off.
    ///
    /// # Errors
    /// If the file cannot be opened, read or truncated.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError {
            what: "open",
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        let at = if file.metadata().map_err(failed)?.is_file() {
            cut_torn_line(&mut file).map_err(failed)?
        } else {
            0
        };
        Ok(Self {
            path: path.to_owned(),
            out: Mutex::new(Out {
                file,
                at,
                buffer: Vec::new(),
            }),
        })
    }

    /// Writes lines, each with its line feed. When this returns, the operating system has them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, lines: &str) -> Result<(), TraceError> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.lay_out(lines);
        let Out { file, at, buffer } = &mut *out;
        file.write_all(buffer).map_err(|source| TraceError {
            what: "write",
            path: self.path.clone(),
            source,
        })?;
        *at += buffer.len() as u64;
        Ok(())
    }
}

impl Out {
    fn lay_out(&mut self, lines: &str) {
        self.buffer.clear();
        for line in lines.split_inclusive('\n') {
            let room = PAGE - (self.at + self.buffer.len() as u64) % PAGE;
            let length = line.len() as u64;
            if length > room && length <= PAGE {
                self.fill(room);
            }
            self.buffer.extend_from_slice(line.as_bytes());
        }
    }

    /// Fills the rest of the page with spaces, at the end of the previous line or, if there is
    /// none, before the next one.
    fn fill(&mut self, room: u64) {
        let feed = self.buffer.pop();
        self.buffer.extend(std::iter::repeat_n(b' ', room as usize));
        self.buffer.extend(feed);
    }
}

/// Cuts off everything after the last line feed, and returns the remaining length.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let length = end;
    let mut chunk = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(PAGE);
        chunk.resize((end - from) as usize, 0);
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut chunk)?;
        if let Some(feed) = chunk.iter().rposition(|byte| *byte == b'\n') {
            end = from + feed as u64 + 1;
            break;
        }
        end = from;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}

/// The trace of one acquisition of a shard.
#[derive(Debug)]
pub struct Traced {
    trace: Arc<Trace>,
    /// `"worker":"..","event":"`
    worker: String,
    /// `","shard":"..","sequence":`
    shard: String,
}

impl Traced {
    /// Creates the trace of this worker's calls for this shard.
    #[must_use]
    pub fn new(trace: &Arc<Trace>, worker: &WorkerId, shard: &ShardId) -> Self {
        let [worker, shard] = [worker.as_str(), shard.as_str()].map(serde_json::Value::from);
        Self {
            trace: Arc::clone(trace),
            worker: format!(r#""worker":{worker},"event":""#),
            shard: format!(r#"","shard":{shard},"sequence":"#),
        }
    }

    /// Writes the line of a lifecycle call.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn event(&self, event: &str) -> Result<(), TraceError> {
        let (Self { worker, shard, .. }, t) = (self, SystemClock.wall().as_millis());
        self.trace.write(&format!(
            "{{\"t\":{t},{worker}{event}{shard}null,\"sub\":null,\"key\":null}}\n"
        ))
    }

    /// Writes a line for each record.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn records(&self, records: &[Record]) -> Result<(), TraceError> {
        let (Self { worker, shard, .. }, t) = (self, SystemClock.wall().as_millis());
        let mut lines = String::with_capacity(records.len() * (worker.len() + shard.len() + 160));
        for record in records {
            let (sequence, sub) = (record.sequence(), record.sub_sequence());
            // Writing to a `String` never fails.
            let _ = write!(
                lines,
                "{{\"t\":{t},{worker}record{shard}\"{sequence}\",\"sub\":{sub},\"key\":"
            );
            push_text(&mut lines, &record.partition_key);
            lines.push_str("}\n");
        }
        self.trace.write(&lines)
    }
}

/// Appends a JSON string.
fn push_text(line: &mut String, text: &str) {
    if text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        let _ = write!(line, "{}", serde_json::Value::from(text));
    }
}
