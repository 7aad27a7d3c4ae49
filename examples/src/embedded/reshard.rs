use std::error::Error;

use aws_sdk_kinesis::types::Shard;

use super::stream::{Embedded, is_open};

/// A change of the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// Split the shard with the widest range in the middle.
    Split,
    /// Merge the two adjacent shards with the narrowest common range that are not from the same
    /// split.
    Merge,
}

/// A shard that can be split or merged: what decides whether it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenShard {
    /// Its id.
    pub id: String,
    /// The least hash key of its range.
    pub start: u128,
    /// The greatest hash key of its range, which belongs to it.
    pub end: u128,
    /// The shard that it was split off, or the first of the two that it was merged of.
    pub parent: Option<String>,
}

impl OpenShard {
    fn of(shard: &Shard) -> Option<Self> {
        let range = shard.hash_key_range()?;
        Some(Self {
            id: shard.shard_id().to_owned(),
            start: range.starting_hash_key().parse().ok()?,
            end: range.ending_hash_key().parse().ok()?,
            parent: shard.parent_shard_id().map(ToOwned::to_owned),
        })
    }

    const fn width(&self) -> u128 {
        self.end - self.start
    }
}

impl Reshard {
    /// Changes the stream, waits until the change is finished, and describes it.
    ///
    /// # Errors
    /// If the stream rejects it.
    pub async fn carry_out(
        self,
        stream: &Embedded,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let open: Vec<_> = stream
            .shards()
            .await?
            .iter()
            .filter(|shard| is_open(shard))
            .filter_map(OpenShard::of)
            .collect();
        let client = stream.client();
        let said = match self {
            Self::Split => {
                let Some((shard, middle)) = to_split(&open) else {
                    return Ok("no shard is wide enough to split".to_owned());
                };
                let split = client
                    .split_shard()
                    .stream_name(stream.name())
                    .shard_to_split(&shard.id);
                split
                    .new_starting_hash_key(middle.to_string())
                    .send()
                    .await?;
                format!("split {}", shard.id)
            }
            Self::Merge => {
                let Some((first, second)) = to_merge(open) else {
                    return Ok("no two adjacent shards to merge".to_owned());
                };
                let merge = client
                    .merge_shards()
                    .stream_name(stream.name())
                    .shard_to_merge(&first.id);
                merge.adjacent_shard_to_merge(&second.id).send().await?;
                format!("merged {} and {}", first.id, second.id)
            }
        };
        stream.settled().await?;
        Ok(said)
    }
}

/// The shard that [`Reshard::Split`] splits, and the hash key at which its second half begins.
/// `None` if no shard has two hash keys.
#[must_use]
pub fn to_split(open: &[OpenShard]) -> Option<(&OpenShard, u128)> {
    let shard = open
        .iter()
        .max_by_key(|shard| shard.width())
        .filter(|shard| shard.width() > 0)?;
    Some((shard, shard.start + shard.width() / 2 + 1))
}

/// The two shards that [`Reshard::Merge`] merges, in the order of their ranges. `None` if no two
/// neighbours are from different splits.
#[must_use]
pub fn to_merge(mut open: Vec<OpenShard>) -> Option<(OpenShard, OpenShard)> {
    open.sort_unstable_by_key(|shard| shard.start);
    let pairs = open
        .windows(2)
        .filter(|pair| pair[0].parent.is_none() || pair[0].parent != pair[1].parent);
    let narrowest = pairs.min_by_key(|pair| pair[0].width() / 2 + pair[1].width() / 2)?;
    Some((narrowest[0].clone(), narrowest[1].clone()))
}
