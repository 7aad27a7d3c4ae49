//! A stream as a listing shows it: its shards, which came from which, and which are still open.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::shards::ShardGraph;
use crate::model::{Shard, ShardId};
use crate::stream::{Error, ErrorKind, ShardFilter, Stream, StreamDescription};

/// How many times a listing is made, if its token expires or shards change while it is read.
const TRIES: u32 = 3;

/// A stream and all its shards, open and closed. It is a state of the past: a shard may be split
/// the moment after it was listed.
///
/// # Examples
/// ```
/// use kcl_core::MemoryStream;
/// use kcl_core::admin::StreamView;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::BoxError> {
/// let stream = MemoryStream::new("orders", 1);
/// let parent = stream.open_shards()[0].clone();
/// stream.split_evenly(&parent)?;
///
/// let view = StreamView::read(&stream).await?;
/// let tree = view.tree();
/// assert_eq!(view.shards.len(), 3);
/// assert_eq!(tree[0].shard.id, parent);
/// // The first child is followed by another one of the same parent, the second is not.
/// assert_eq!((&tree[1].followed[..], &tree[2].followed[..]), (&[true][..], &[false][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamView {
    /// What it is.
    pub description: StreamDescription,
    /// Its shards, parents before their children. Closed ones stay listed until their last record
    /// has expired.
    pub shards: Vec<Shard>,
    /// The same with parents and children resolved, for [`check`](fn@super::check).
    pub(super) graph: ShardGraph,
}

impl StreamView {
    /// Describes the stream and lists all its shards: a call, and one for each page of shards.
    /// Cancel safe.
    ///
    /// # Errors
    /// Those of the calls; [`ErrorKind::Transient`] when each listing contradicted itself, as one
    /// that is read while shards are split or merged.
    pub async fn read(stream: &dyn Stream) -> Result<Self, Error> {
        let description = stream.describe().await?;
        let mut tries = 1;
        loop {
            let listed = list_shards(stream, &ShardFilter::All).await?;
            match ShardGraph::new(listed) {
                Ok(graph) => {
                    return Ok(Self {
                        description,
                        shards: graph.parents_first().cloned().collect(),
                        graph,
                    });
                }
                Err(inconsistent) if tries == TRIES => {
                    return Err(Error::new(
                        ErrorKind::Transient,
                        "ListShards",
                        inconsistent.to_string(),
                    ));
                }
                Err(_) => tries += 1,
            }
        }
    }

    /// The shards as a tree: each below its parent. In the order in which a person prints it, from
    /// top to bottom. Each shard is in it once.
    #[must_use]
    pub fn tree(&self) -> Vec<ShardBranch<'_>> {
        let mut tree = Vec::new();
        let mut shown = BTreeSet::new();
        for root in self.graph.roots() {
            self.grow(&mut tree, &mut shown, root, &[]);
        }
        tree
    }

    /// Adds a shard and what came of it. A shard with two parents stands below the first one only.
    fn grow<'a>(
        &'a self,
        tree: &mut Vec<ShardBranch<'a>>,
        shown: &mut BTreeSet<&'a ShardId>,
        root: &'a Shard,
        above: &[bool],
    ) {
        // A stack, as a stream may have been split any number of times.
        let mut ahead = vec![(root, above.to_vec())];
        while let Some((shard, above)) = ahead.pop() {
            if !shown.insert(&shard.id) {
                continue;
            }
            let mut children: Vec<&Shard> = self
                .graph
                .children(&shard.id)
                .filter(|child| self.first_parent(child) == Some(&shard.id))
                .collect();
            children.reverse();
            for (from_last, child) in children.into_iter().enumerate() {
                let mut above = above.clone();
                above.push(from_last > 0);
                ahead.push((child, above));
            }
            let first = self.first_parent(shard);
            let other = |parent: &&ShardId| Some(*parent) != first;
            tree.push(ShardBranch {
                shard,
                followed: above,
                other_parents: shard.parents.iter().filter(other).collect(),
            });
        }
    }

    /// The parent that a shard stands below: the first one that is listed. `None` for a root: it
    /// has no parent, or its parents have left the stream.
    fn first_parent<'a>(&'a self, shard: &'a Shard) -> Option<&'a ShardId> {
        self.graph.parents(&shard.id).map(|parent| &parent.id).min()
    }
}

/// A line of a tree of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardBranch<'a> {
    /// The shard.
    pub shard: &'a Shard,
    /// For each level from the root to the shard itself: whether another shard of the same parent
    /// follows further down. Empty for a root. It tells whether to draw a line down or a corner.
    pub followed: Vec<bool>,
    /// The parents that it does not stand below: the other one of a merge, and those that have left
    /// the stream.
    pub other_parents: Vec<&'a ShardId>,
}

/// All shards that pass a filter, ordered by id, each once, even if pages overlap. Begins again
/// when a listing expires. The service applies the filter: it may ask for the shards that were open
/// at a time, for example. Cancel safe.
///
/// # Errors
/// Those of the calls.
pub async fn list_shards(stream: &dyn Stream, filter: &ShardFilter) -> Result<Vec<Shard>, Error> {
    let mut tries = 1;
    loop {
        match list_once(stream, filter).await {
            Err(error) if error.kind == ErrorKind::Expired && tries < TRIES => tries += 1,
            listed => return listed,
        }
    }
}

/// One listing, page after page. Its token is valid for five minutes.
async fn list_once(stream: &dyn Stream, filter: &ShardFilter) -> Result<Vec<Shard>, Error> {
    let mut shards: BTreeMap<ShardId, Shard> = BTreeMap::new();
    let mut page = stream.list_shards(filter, None).await?;
    loop {
        let listed = page.shards.into_iter();
        shards.extend(listed.map(|shard| (shard.id.clone(), shard)));
        match page.next {
            Some(next) => page = stream.list_shards(filter, Some(&next)).await?,
            None => return Ok(shards.into_values().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStream;

    fn lines(view: &StreamView) -> Vec<(String, Vec<bool>, usize)> {
        let line = |branch: ShardBranch<'_>| {
            let number = branch.shard.id.as_str().trim_start_matches("shardId-0");
            (
                number.trim_start_matches('0').to_owned(),
                branch.followed,
                branch.other_parents.len(),
            )
        };
        view.tree().into_iter().map(line).collect()
    }

    #[tokio::test]
    async fn a_tree_has_each_shard_once_below_its_first_parent() {
        let stream = MemoryStream::new("orders", 2);
        let open = stream.open_shards();
        let [a, b] = stream.split_evenly(&open[0]).unwrap();
        stream.merge(&b, &open[1]).unwrap();
        stream.split_evenly(&a).unwrap();
        let view = StreamView::read(&stream).await.unwrap();
        let expected = [
            ("", vec![], 0),
            ("2", vec![true], 0),
            ("5", vec![true, true], 0),
            ("6", vec![true, false], 0),
            ("3", vec![false], 0),
            ("1", vec![], 0),
            ("4", vec![false], 1),
        ];
        let expected = expected.map(|(id, followed, other)| (id.to_owned(), followed, other));
        assert_eq!(lines(&view), expected);
        assert_eq!(view.shards.len(), 7);
    }
}
