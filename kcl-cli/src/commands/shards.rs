use clap::Args;
use kcl_core::admin::{ShardBranch, StreamView};
use kcl_core::model::StreamName;
use serde::Serialize;

use crate::arguments::{OutputArguments, StreamArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Paint, count, span};
use crate::stream_at;

/// Shows the shards of a stream as a tree: each below the shard that it came from.
///
/// A shard that came of a merge stands below one of its parents and names the other. Shards that
/// hold no records any more are not listed by the service.
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

#[derive(Debug, Serialize)]
struct ShardsDocument {
    stream: String,
    arn: String,
    created_at: i64,
    retention_seconds: f64,
    shards: Vec<ShardRecord>,
}

#[derive(Debug, Serialize)]
struct ShardRecord {
    shard: String,
    parents: Vec<String>,
    closed: bool,
    hash_range: [String; 2],
    /// How many parents lie above it in the tree.
    depth: usize,
}

impl ShardsOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let stream = stream_at::open(&self.stream, &self.at).await?;
        let view = StreamView::read(&stream)
            .await
            .map_err(|error| stream_at::failed(&self.stream, error))?;
        let description = &view.description;
        if self.output.json {
            Output::json(&ShardsDocument {
                stream: self.stream.to_string(),
                arn: description.arn.to_string(),
                created_at: description.created_at.as_millis(),
                retention_seconds: description.retention.as_secs_f64(),
                shards: view.tree().iter().map(record).collect(),
            })?;
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

fn line(paint: Paint, branch: &ShardBranch<'_>) -> String {
    let mut text = String::new();
    if let Some((own, above)) = branch.followed.split_last() {
        for followed in above {
            text.push_str(if *followed { "│  " } else { "   " });
        }
        text.push_str(if *own { "├─ " } else { "└─ " });
    }
    let range = branch.shard.hash_range;
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
