//! `tail`: the records of a stream on the terminal, without a lease.
//!
//! It stores nothing and appears in no table, so it can be used beside a live application. The only
//! thing that it takes from the application is its share of the reads: at most two per second of
//! the five that all readers of a shard have.
//!
//! ```text
//! {"shard":"shardId-000000000000","sequence":"4968...","sub":0,"arrived_at":1764463326665,"key":"customer-7","data":"order 7","hex":null}
//! ```
//!
//! One object per line, so that `jq` and `grep` can work while records still arrive. `sub` is
//! needed to name a record of an aggregate: all records of one aggregate share its sequence number.

use std::sync::Arc;

use clap::Args;
use kcl_core::admin::{Tail, TailSettings};
use kcl_core::model::{Record, ShardId, StreamName};
use kcl_core::{InitialPosition, SystemClock};

use super::record_line::{hex, record_line};
use crate::arguments::StreamArguments;
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint};
use crate::stream_at;

/// Prints the records of a stream as they arrive, with aggregates taken apart. It ends at Ctrl-C,
/// after --limit records, or with --until-caught-up.
///
/// It reads without a lease and stores nothing, so no application notices. It asks each shard at
/// most twice a second, out of the five times that all readers of a shard share. Records of one
/// shard are in order, and those of a child shard come after those of its parents.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl tail orders                                         what arrives from now on
  kcl tail orders --from at:2026-01-31T08:00:00Z --limit 20
  kcl tail orders --from trim-horizon --until-caught-up --filter customer-7
  kcl tail orders --json | jq -r .data

Each line for people: shard, sequence number, arrival, partition key, data. Data that is not UTF-8
is written in hexadecimal digits.")]
pub(crate) struct TailOptions {
    /// The stream, by name or ARN.
    #[arg(value_name = "STREAM")]
    stream: StreamName,
    #[command(flatten)]
    at: StreamArguments,
    /// Where to start: trim-horizon, latest, or at:TIME. TIME is RFC 3339, such as
    /// 2026-01-31T08:00:00Z, or a number of seconds or milliseconds since 1970.
    #[arg(long, value_name = "POSITION", default_value = "latest", value_parser = parse::position)]
    from: InitialPosition,
    /// Only this shard; may be given several times. Its children are not followed.
    #[arg(long, value_name = "SHARD")]
    shard: Vec<String>,
    /// Only records whose partition key or data contains this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Ends after this many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Ends when every shard has been read up to its tip.
    #[arg(long)]
    until_caught_up: bool,
    /// Writes one JSON object per line: shard, sequence, sub, arrived_at, key, data, hex.
    #[arg(long)]
    json: bool,
}

impl TailOptions {
    /// Reads until the end that the options set, or until the first signal.
    ///
    /// The signal drops a page that is being printed or read. Nothing is lost by that, because
    /// nothing is stored: the next `tail` starts where its options say.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let signal = kcl_core::stop_signal()
            .map_err(|error| Failure::new("cannot wait for Ctrl-C", error))?;
        let stream = stream_at::open(&self.stream, &self.at).await?;
        let mut settings = TailSettings::new(self.from);
        settings.shards = self
            .shard
            .iter()
            .map(|id| ShardId::from(id.as_str()))
            .collect();
        settings.until_caught_up = self.until_caught_up;
        let mut tail = Tail::new(Arc::new(stream), Arc::new(SystemClock), settings);
        tokio::select! {
            biased;
            _ = signal => Ok(Ended::Well),
            ended = self.print(&mut tail) => ended,
        }
    }

    /// Prints page after page. Records are counted after the filter: `--limit 10 --filter x` prints
    /// ten matches.
    ///
    /// # Errors
    /// The stream cannot be read, or standard output cannot be written to.
    async fn print(&self, tail: &mut Tail) -> Result<Ended, Failure> {
        let (paint, mut left) = (Paint::of_output(), self.limit.unwrap_or(u64::MAX));
        while left > 0 {
            let page = tail
                .next()
                .await
                .map_err(|error| stream_at::failed(&self.stream, error))?;
            let Some(page) = page else { break };
            let mut out = Output::default();
            for record in page.records.iter().filter(|it| self.wants(it)) {
                if left == 0 {
                    break;
                }
                left -= 1;
                self.say(&mut out, paint, &page.shard, record)?;
            }
            out.write()?;
        }
        Ok(Ended::Well)
    }

    /// Whether the filter lets a record through. The data is searched as bytes, so a text inside
    /// binary data is found too.
    fn wants(&self, record: &Record) -> bool {
        self.filter.as_deref().is_none_or(|text| {
            record.partition_key.contains(text) || has(&record.data, text.as_bytes())
        })
    }

    /// Adds one record, as JSON or for people.
    fn say(
        &self,
        out: &mut Output,
        paint: Paint,
        shard: &ShardId,
        record: &Record,
    ) -> Result<(), Failure> {
        if self.json {
            let line = record_line(shard, record);
            out.line(line.map_err(|error| Failure::new("cannot write JSON", error))?);
            return Ok(());
        }
        let data = std::str::from_utf8(&record.data).ok();
        let arrived = record
            .arrived_at
            .map_or_else(|| "-".to_owned(), |at| at.to_string());
        out.line(format_args!(
            "{} {}  {}",
            paint.dim(&format!("{shard} {} {arrived}", record.position)),
            paint.bold(&printable(&record.partition_key)),
            data.map_or_else(|| format!("hex:{}", hex(&record.data)), printable)
        ));
        Ok(())
    }
}

/// Whether the text occurs in the data. An empty text occurs everywhere; `windows` would panic on
/// it.
fn has(data: &[u8], text: &[u8]) -> bool {
    text.is_empty() || data.windows(text.len()).any(|part| part == text)
}

/// The text on one line, with control characters escaped. Producers choose the data, and an escape
/// sequence in it could otherwise rewrite the screen or the title of the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let is_control = character.is_control();
            let escaped = is_control.then(|| character.escape_default());
            let plain = (!is_control).then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours, a cleared screen and a new window title are all one escape character away.
    #[test]
    fn a_terminal_obeys_nothing_that_a_record_says() {
        assert_eq!(printable("a\x1b[31m\nb\té"), "a\\u{1b}[31m\\nb\\té");
        assert!(has(b"abc", b"bc") && has(b"", b"") && !has(b"ab", b"abc"));
    }
}
