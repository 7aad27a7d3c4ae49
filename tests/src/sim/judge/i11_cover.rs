use std::collections::BTreeSet;

use crate::sim::history::{Asked, Entry, Event};

use super::fold::{Fold, See, Sink};

/// I11: once leases lead to every open shard of a stream, they do for ever: each open shard has an
/// unfinished lease, or an ancestor of it has one. So the unfinished leases cover all hash keys,
/// and no reshard leaves a hole in them.
#[derive(Debug, Default)]
pub(super) struct Cover {
    /// The streams that are covered.
    covered: BTreeSet<usize>,
}

impl Fold for Cover {
    fn name(&self) -> &'static str {
        "I11 cover"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        if let Event::Replaced { stream } = &entry.event {
            self.covered.remove(stream);
        }
        let Event::Written(written) = &entry.event else {
            return;
        };
        let ends = written
            .after
            .as_ref()
            .is_none_or(|row| row.checkpoint.is_shard_end());
        let matters = matches!(written.asked, Asked::Create(_) | Asked::Delete(_)) || ends;
        let Some((_, shard)) = see
            .stream
            .leased(&written.key)
            .filter(|_| written.accepted && matters)
        else {
            return;
        };
        match first_uncovered(shard.stream, see) {
            None => drop(self.covered.insert(shard.stream)),
            Some(hole) if self.covered.contains(&shard.stream) => {
                // Told once.
                self.covered.remove(&shard.stream);
                sink.report(|| {
                    format!(
                        "no lease leads to {hole} after {:?} has written the one of {}",
                        written.life, written.key
                    )
                });
            }
            Some(_) => {}
        }
    }
}

/// An open shard of the stream that no unfinished lease leads to.
fn first_uncovered(stream: usize, see: &See<'_>) -> Option<String> {
    let shards = see.stream.shards();
    // Parents come before their children.
    let mut led = vec![false; shards.len()];
    for (index, shard) in shards
        .iter()
        .enumerate()
        .filter(|(_, shard)| shard.stream == stream)
    {
        let own = see
            .table
            .get(&shard.key)
            .is_some_and(|row| !row.checkpoint.is_shard_end());
        led[index] = own || shard.parents.iter().any(|parent| led[*parent]);
        if shard.is_open() && !led[index] {
            return Some(shard.key.to_string());
        }
    }
    None
}
