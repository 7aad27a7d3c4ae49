use std::sync::Arc;

use clap::Args;
use kcl_core::admin::{Tail, TailSettings};
use kcl_core::model::{Record, ShardId, StreamName};
use kcl_core::{InitialPosition, SystemClock};
use serde::Serialize;

use crate::arguments::StreamArguments;
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::{Output, Paint};
use crate::stream_at;

/// Prints the records of a stream as they come, aggregates taken apart. Ends with Ctrl-C, with
/// --limit or with --until-caught-up.
///
/// It reads without a lease and stores nothing: no application notices. It asks each shard at most
/// twice a second, out of the five times that all readers of a shard share. Records of one shard
/// come in their order, and those of a child shard after those of its parents.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl tail orders                                         what arrives from now on
  kcl tail orders --from at:2026-01-31T08:00:00Z --limit 20
  kcl tail orders --from trim-horizon --until-caught-up --filter customer-7
  kcl tail orders --json | jq -r .data

Each line for people: shard, sequence number, arrival, partition key, data. Data that is no UTF-8 is
written in hexadecimal digits.")]
pub(crate) struct TailOptions {
    /// The stream, by name or ARN.
    #[arg(value_name = "STREAM")]
    stream: StreamName,
    #[command(flatten)]
    at: StreamArguments,
    /// Where to begin: trim-horizon, latest, or at:TIME. TIME is RFC 3339, such as
    /// 2026-01-31T08:00:00Z, or seconds or milliseconds since 1970.
    #[arg(long, value_name = "POSITION", default_value = "latest", value_parser = parse::position)]
    from: InitialPosition,
    /// Only this shard; may be given several times. Its children are not followed.
    #[arg(long, value_name = "SHARD")]
    shard: Vec<String>,
    /// Only records whose partition key or data has this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Ends after this many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Ends when each shard was read up to its tip.
    #[arg(long)]
    until_caught_up: bool,
    /// Writes a JSON object a line: shard, sequence, sub, arrived_at, key, data, hex.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct RecordLine<'a> {
    shard: &'a str,
    sequence: String,
    sub: u64,
    /// Milliseconds since 1970.
    arrived_at: Option<i64>,
    key: &'a str,
    /// The data, if it is UTF-8.
    data: Option<&'a str>,
    /// The data in hexadecimal digits, if it is not.
    hex: Option<String>,
}

impl TailOptions {
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

    fn wants(&self, record: &Record) -> bool {
        self.filter.as_deref().is_none_or(|text| {
            record.partition_key.contains(text) || has(&record.data, text.as_bytes())
        })
    }

    fn say(
        &self,
        out: &mut Output,
        paint: Paint,
        shard: &ShardId,
        record: &Record,
    ) -> Result<(), Failure> {
        let data = std::str::from_utf8(&record.data).ok();
        let hex = || {
            record
                .data
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        };
        if self.json {
            let line = RecordLine {
                shard: shard.as_str(),
                sequence: record.sequence().to_string(),
                sub: record.sub_sequence(),
                arrived_at: record.arrived_at.map(kcl_core::model::Timestamp::as_millis),
                key: &record.partition_key,
                data,
                hex: data.is_none().then(hex),
            };
            let line = serde_json::to_string(&line)
                .map_err(|error| Failure::new("cannot write JSON", error))?;
            out.line(line);
            return Ok(());
        }
        let arrived = record
            .arrived_at
            .map_or_else(|| "-".to_owned(), |at| at.to_string());
        out.line(format_args!(
            "{} {}  {}",
            paint.dim(&format!("{shard} {} {arrived}", record.position)),
            paint.bold(&printable(&record.partition_key)),
            data.map_or_else(|| format!("hex:{}", hex()), printable)
        ));
        Ok(())
    }
}

/// Whether the text is somewhere in it.
fn has(data: &[u8], text: &[u8]) -> bool {
    text.is_empty() || data.windows(text.len()).any(|part| part == text)
}

/// The text on one line, and without anything that a terminal would obey.
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

    #[test]
    fn a_terminal_obeys_nothing_that_a_record_says() {
        assert_eq!(printable("a\x1b[31m\nb\té"), "a\\u{1b}[31m\\nb\\té");
        assert!(has(b"abc", b"bc") && has(b"", b"") && !has(b"ab", b"abc"));
    }
}
