use crate::model::{Checkpoint, Lease, ShardId};

/// What is known about a parent shard.
#[derive(Clone, Copy, Debug)]
pub struct ParentView<'a> {
    /// The parent.
    pub shard: &'a ShardId,
    /// Its row, read with strong consistency: a scan may be torn, and show a child without its
    /// parent although the parent's row existed before.
    pub row: Option<&'a Lease>,
    /// Whether it is in a listing of all shards that was started after the child's row was read.
    pub listed: bool,
}

/// Whether a shard may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentGate {
    /// Yes.
    Open,
    /// Not yet.
    Blocked {
        /// The first parent that it waits for.
        by: ShardId,
        /// The reason.
        wait: Wait,
    },
}

/// Why a child waits for a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The parent is not finished. Check again when its row changes.
    Unfinished,
    /// The parent is listed but has no row. An audit will create the row, and is worth doing
    /// immediately: no worker can have finished the parent, or its row would exist.
    Missing,
}

/// Decides whether the shard of `lease` may be read. It may if each parent that its row names
///
/// - has a row at the shard's end, or
/// - has no row and is no longer listed: nothing of it is left to read, or
/// - has no row, and this lease has begun (its checkpoint is a position): the parent was read
///   before that, and another framework deleted its row early, or
/// - has no row, and this lease begins at a time (`LATEST`, `AT_TIMESTAMP`): earlier records are
///   not wanted.
///
/// A parent that is not in `parents` blocks the shard.
#[must_use]
pub fn gate(lease: &Lease, parents: &[ParentView<'_>]) -> ParentGate {
    let wait = |id: &ShardId| match parents.iter().find(|parent| parent.shard == id) {
        None => Some(Wait::Missing),
        Some(ParentView { row: Some(row), .. }) => {
            (!row.checkpoint.is_shard_end()).then_some(Wait::Unfinished)
        }
        Some(ParentView {
            row: None, listed, ..
        }) => (*listed && lease.checkpoint == Checkpoint::TrimHorizon).then_some(Wait::Missing),
    };
    let blocked = lease.parents.iter().find_map(|id| {
        Some(ParentGate::Blocked {
            by: id.clone(),
            wait: wait(id)?,
        })
    });
    blocked.unwrap_or(ParentGate::Open)
}

/// Whether a listing is needed to decide about the shard of `lease`, whose parents have these rows.
/// Listings are expensive, and most shards of a stream that was resharded long ago have parents
/// without a row.
///
/// Only a shard that is read from its beginning waits for a parent without a row, and no listing
/// helps while another parent is unfinished.
#[must_use]
pub fn asks_listing<'a>(
    lease: &Lease,
    parents: impl IntoIterator<Item = Option<&'a Lease>>,
) -> bool {
    let mut lacks = false;
    let done = parents.into_iter().all(|row| {
        lacks |= row.is_none();
        row.is_none_or(|row| row.checkpoint.is_shard_end())
    });
    done && lacks && lease.checkpoint == Checkpoint::TrimHorizon
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::cases::run;
    use crate::decide::shards::notation::ShardsCase;
    use crate::model::{LeaseKey, Position, SequenceNumber};

    #[test]
    fn the_gate_opens_as_the_cases_say() {
        run("gate.txt", |given| ShardsCase::read(given).answer());
    }

    #[test]
    fn a_parent_that_nothing_is_known_of_blocks() {
        let mut child = Lease::new(LeaseKey::single("c"), Checkpoint::TrimHorizon);
        child.parents = vec!["p".into()];
        assert_eq!(
            gate(&child, &[]),
            ParentGate::Blocked {
                by: "p".into(),
                wait: Wait::Missing
            }
        );
    }

    #[test]
    fn the_listing_is_asked_only_where_it_decides() {
        let row = |checkpoint| Lease::new(LeaseKey::single("p"), checkpoint);
        let at =
            |position: u128| Checkpoint::At(Position::new(SequenceNumber::from_u128(position), 0));
        let (unfinished, ended) = (row(Checkpoint::TrimHorizon), row(Checkpoint::ShardEnd));
        let choices = [None, Some(&unfinished), Some(&ended)];
        for checkpoint in [
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            Checkpoint::AtTimestamp,
            at(7),
        ] {
            let mut child = Lease::new(LeaseKey::single("c"), checkpoint);
            child.parents = vec!["p".into(), "q".into()];
            for (first, second) in choices
                .iter()
                .flat_map(|first| choices.iter().map(move |second| (*first, *second)))
            {
                let opens = |listed| {
                    let views = child.parents.iter().zip([first, second]);
                    let views: Vec<_> = views
                        .map(|(shard, row)| ParentView { shard, row, listed })
                        .collect();
                    gate(&child, &views) == ParentGate::Open
                };
                assert_eq!(
                    asks_listing(&child, [first, second]),
                    opens(true) != opens(false),
                    "{child:?} {first:?} {second:?}"
                );
            }
        }
    }
}
