//! `shards`: the shards of a stream and where they came from. It needs no application and no table.
//!
//! ```text
//! shardId-000000000000  0.0-50.0 %  closed
//! ├─ shardId-000000000002  0.0-25.0 %  open
//! └─ shardId-000000000003  25.0-50.0 %  open
//! shardId-000000000001  50.0-100.0 %  open
//! ```
//!
//! A closed shard stays in the tree until its last record has expired; then Kinesis stops listing
//! it, and its children become roots.

use clap::Args;
use kcl_core::admin::{ShardBranch, StreamView};
use kcl_core::model::StreamName;
use serde::Serialize;

use crate::arguments::{OutputArguments, StreamArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint, count, span};
use crate::stream_at;

/// Shows the shards of a stream as a tree: each shard below the one that it came from.
///
/// The child of a merge stands below one of its parents and names the other. Kinesis does not list
/// closed shards whose records have all expired.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl shards orders
  kcl shards orders --endpoint http://127.0.0.1:4567
  kcl shards orders --json | jq '[.shards[] | select(.closed | not)] | length'")]
pub(crate) struct ShardsOptions {
    /// The stream, by name or ARN.
    #[arg(value_name = "STREAM")]
    stream: StreamName,
    #[command(flatten)]
    at: StreamArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// The JSON of `kcl shards`.
#[derive(Debug, Serialize)]
pub(super) struct ShardsDocument {
    /// As given on the command line.
    stream: String,
    arn: String,
    /// Milliseconds since 1970. It tells a stream from one of the same name that was deleted
    /// before.
    created_at: i64,
    /// How long the stream keeps records, and so for how long closed shards are listed.
    retention_seconds: f64,
    /// In the order of the tree: parents before their children.
    shards: Vec<ShardRecord>,
}

/// One shard in JSON.
#[derive(Debug, Serialize)]
struct ShardRecord {
    shard: String,
    /// None, one after a split, two after a merge. A parent may have left the stream.
    parents: Vec<String>,
    /// Whether it was split or merged: it takes no more records and has an end.
    closed: bool,
    /// The first and the last of its hash keys. They are texts, because a key has 128 bits and a
    /// number in JSON is read as a double by most programs.
    hash_range: [String; 2],
    /// How many parents lie above it in the tree.
    depth: usize,
}

impl ShardsDocument {
    pub(super) fn new(name: &StreamName, view: &StreamView) -> Self {
        let description = &view.description;
        Self {
            stream: name.to_string(),
            arn: description.arn.to_string(),
            created_at: description.created_at.as_millis(),
            retention_seconds: description.retention.as_secs_f64(),
            shards: view.tree().iter().map(record).collect(),
        }
    }
}

impl ShardsOptions {
    /// Describes the stream and lists all its shards, page by page. Closed shards are in the
    /// listing until their last record has expired.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let stream = stream_at::open(&self.stream, &self.at).await?;
        let view = StreamView::read(&stream)
            .await
            .map_err(|error| stream_at::failed(&self.stream, error))?;
        let description = &view.description;
        if self.output.json {
            Output::json(&ShardsDocument::new(&self.stream, &view))?;
            return Ok(Ended::Well);
        }
        let (mut out, paint) = (Output::default(), Paint::of_output());
        let closed = view.shards.iter().filter(|shard| shard.closed).count();
        out.line(format_args!(
            "{}: {} open, {closed} closed; records are kept for {}",
            paint.bold(&self.stream.to_string()),
            count(view.shards.len() - closed, "shard", "shards"),
            span(description.retention)
        ));
        for branch in view.tree() {
            out.line(line(paint, &branch));
        }
        out.write()?;
        Ok(Ended::Well)
    }
}

/// One shard in JSON.
///
/// Parents that have left the stream are named too: their ids tell where a shard came from.
fn record(branch: &ShardBranch<'_>) -> ShardRecord {
    let shard = branch.shard;
    ShardRecord {
        shard: shard.id.to_string(),
        parents: shard.parents.iter().map(ToString::to_string).collect(),
        closed: shard.closed,
        hash_range: [
            shard.hash_range.start().to_string(),
            shard.hash_range.end().to_string(),
        ],
        depth: branch.followed.len(),
    }
}

/// One line of the tree. Hash keys are shown as percentages of the key space: 39 digits tell nobody
/// that a shard has a quarter of it.
///
/// A closed shard is dimmed: nobody writes to it any more, and it will be gone.
fn line(paint: Paint, branch: &ShardBranch<'_>) -> String {
    let mut text = String::new();
    if let Some((own, above)) = branch.followed.split_last() {
        for followed in above {
            text.push_str(if *followed { "│  " } else { "   " });
        }
        text.push_str(if *own { "├─ " } else { "└─ " });
    }
    let range = branch.shard.hash_range;
    // A double is exact to 53 of the 128 bits, which is far more than the one decimal place that is
    // printed.
    let percent = |key: u128| key as f64 / u128::MAX as f64 * 100.0;
    let keys = format!(
        "{:.1}-{:.1} %",
        percent(range.start()),
        percent(range.end())
    );
    let id = branch.shard.id.as_str();
    if branch.shard.closed {
        text.push_str(&paint.dim(&format!("{id}  {keys}  closed")));
    } else {
        text.push_str(&format!(
            "{}  {keys}  {}",
            paint.bold(id),
            paint.good("open")
        ));
    }
    if !branch.other_parents.is_empty() {
        let others: Vec<&str> = branch.other_parents.iter().map(|id| id.as_str()).collect();
        text.push_str(&paint.dim(&format!("  also from {}", others.join(" and "))));
    }
    text
}
