use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{ProcessStart, cpu_time, peak_rss_kib};

use super::Seen;

/// The last line on standard output: what was read, and the time and memory that it took.
#[derive(Clone, Debug)]
pub struct Summary(Value);

impl Summary {
    /// The summary up to now.
    #[must_use]
    pub fn new(seen: &Seen, start: ProcessStart) -> Self {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(json!({
            "records": seen.records(),
            "bytes": seen.bytes(),
            "duplicates": seen.duplicates(),
            "first_record_ms": seen.first().map(|first| millis(start.until(first))),
            "elapsed_ms": millis(start.elapsed()),
            "cpu_ms": millis(cpu_time()),
            "peak_rss_kib": peak_rss_kib(),
        }))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
