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

/// The hash key range of a shard, and its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    id: String,
    start: u128,
    end: u128,
    parent: Option<String>,
}

impl Range {
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
            .filter_map(Range::of)
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

fn to_split(open: &[Range]) -> Option<(&Range, u128)> {
    let shard = open
        .iter()
        .max_by_key(|shard| shard.width())
        .filter(|shard| shard.width() > 0)?;
    Some((shard, shard.start + shard.width() / 2 + 1))
}

fn to_merge(mut open: Vec<Range>) -> Option<(Range, Range)> {
    open.sort_unstable_by_key(|shard| shard.start);
    let pairs = open
        .windows(2)
        .filter(|pair| pair[0].parent.is_none() || pair[0].parent != pair[1].parent);
    let narrowest = pairs.min_by_key(|pair| pair[0].width() / 2 + pair[1].width() / 2)?;
    Some((narrowest[0].clone(), narrowest[1].clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(id: &str, start: u128, end: u128, parent: Option<&str>) -> Range {
        Range {
            id: id.to_owned(),
            start,
            end,
            parent: parent.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn the_widest_is_split_and_a_merge_does_not_undo_it() {
        let whole = [range("a", 0, u128::MAX, None)];
        let (_, middle) = to_split(&whole).unwrap();
        assert_eq!(middle, 1 << 127);
        let open = vec![
            range("c", 50, 99, Some("x")),
            range("b", 25, 49, Some("a")),
            range("d", 0, 24, Some("a")),
        ];
        let (first, second) = to_merge(open).unwrap();
        assert_eq!((&*first.id, &*second.id), ("b", "c"));
        assert_eq!(
            to_merge(vec![
                range("b", 0, 4, Some("a")),
                range("c", 5, 9, Some("a"))
            ]),
            None
        );
        assert_eq!(to_split(&[range("a", 7, 7, None)]), None);
    }
}
