use kcl_core::model::{Checkpoint, Lease};

use crate::sim::history::{Asked, Entry, Event};
use crate::sim::truth::since_beginning;

use super::fold::{Fold, See, Sink};

/// I10: the lease of a child whose parent has one begins at `TRIM_HORIZON` (or is put back at its
/// end), unless that one begins at a time when the child was there already: then the child begins
/// at its time too. No lease is made twice, but by its holder who found it gone, or for a shard
/// that has left the stream.
#[derive(Debug)]
pub(super) struct Reshard;

impl Fold for Reshard {
    fn name(&self) -> &'static str {
        "I10 reshard"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Written(written) = &entry.event else {
            return;
        };
        let (Asked::Create(row), true) = (&written.asked, written.accepted) else {
            return;
        };
        let Some((_, shard)) = see.stream.leased(&written.key) else {
            sink.check(see.stream.is_of_deleted(&written.key), || {
                format!("{}: a lease for a shard that never was", written.key)
            });
            return;
        };
        let is_read_before = |parent: &Lease| {
            parent
                .facts
                .first_time()
                .is_none_or(|at| since_beginning(at) < shard.opened)
        };
        let parents = shard
            .parents
            .iter()
            .filter_map(|parent| see.table.get(&see.stream.shards()[*parent].key));
        if parents.into_iter().any(is_read_before) {
            let from_start = matches!(
                row.checkpoint,
                Checkpoint::TrimHorizon | Checkpoint::ShardEnd
            );
            sink.check(from_start, || {
                format!(
                    "{}: the lease of a child is made at {}",
                    written.key, row.checkpoint
                )
            });
        }
        let before = see
            .board
            .tenancies
            .iter()
            .rev()
            .filter(|tenancy| tenancy.key == written.key);
        let earlier = before
            .filter(|tenancy| Some(&tenancy.token) != row.token.as_ref())
            .count();
        sink.check(earlier == 0 || shard.left.is_some(), || {
            format!("{}: the lease is made a second time", written.key)
        });
    }
}
