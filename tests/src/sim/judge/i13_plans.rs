use std::collections::{BTreeMap, BTreeSet};

use kcl_core::lease::Change;

use crate::sim::history::{Asked, Call, Entry, Event, LifeId, ProcessorId, Returned, Written};

use super::fold::{Fold, See, Sink};

/// How long a pause may not be known to a worker: what it has read of the row may be old, its scans
/// may fail for as long as the table is cut off from it, and its write may land late.
fn until_seen(see: &See<'_>) -> u64 {
    let (table, chaos) = (&see.world.table, &see.world.chaos);
    2 * see.world.fleet.longest_failover() + table.stale_ms + table.late_ms + chaos.cut_ms
}

/// How long an owner may give records of a paused shard: it stands still before it sees the pause.
fn until_drained(see: &See<'_>) -> u64 {
    until_seen(see) + see.world.chaos.freeze_ms + see.world.fleet.longest_failover()
}

/// I13: what workers do about leases is sane: nobody takes, claims or asks for a finished one, nobody
/// takes or claims one that has long been paused, or is given records of it, and no process works on more shards than `max_leases`. That plans are sane as plans is shown where
/// they are made. How many requests are open is not judged: who stood still may take an owner for
/// dead, and what was asked of that one is no open request to it.
#[derive(Debug, Default)]
pub(super) struct Plans {
    /// Processors whose first call has not succeeded. A lease may be given up before that, without
    /// a word to them.
    beginning: BTreeSet<ProcessorId>,
    /// Those that were begun and are not over.
    at_work: BTreeMap<LifeId, BTreeSet<ProcessorId>>,
}

impl Fold for Plans {
    fn name(&self) -> &'static str {
        "I13 plans"
    }

    fn judges_deleted(&self) -> bool {
        true
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        match &entry.event {
            Event::Written(written) if written.accepted => {
                let Written {
                    life,
                    key,
                    before: Some(before),
                    asked: Asked::Update(_, change),
                    ..
                } = &**written
                else {
                    return;
                };
                if matches!(
                    change,
                    Change::Take { .. } | Change::Claim { .. } | Change::Request { .. }
                ) {
                    sink.check(!before.checkpoint.is_shard_end(), || {
                        format!("{key}: {change:?} of {life:?} on a finished lease")
                    });
                }
                if let (Change::Take { .. } | Change::Claim { .. }, Some(at)) =
                    (change, before.paused_at)
                {
                    let paused_for = entry.at.0.saturating_sub(at.as_millis() as u64);
                    sink.check(paused_for <= until_seen(see), || {
                        format!("{key}: {change:?} of {life:?}, paused for {paused_for} ms")
                    });
                }
            }
            Event::Called {
                processor,
                call: Call::Process { .. },
            } => {
                let key = &see.board.processor(*processor).key;
                // What cannot be read of a row is not seen in it either.
                let row = see.table.get(key);
                let is_readable = see.table.malformed() != Some(key);
                if let Some(at) = row.filter(|_| is_readable).and_then(|row| row.paused_at) {
                    let paused_for = entry.at.0.saturating_sub(at.as_millis() as u64);
                    sink.check(paused_for <= until_drained(see), || {
                        format!("{key}: {processor:?} is given records, paused for {paused_for} ms")
                    });
                }
            }
            Event::Called {
                processor,
                call: Call::Initialize { .. },
            } => drop(self.beginning.insert(*processor)),
            Event::Returned {
                processor,
                returned: Returned::Done,
            } if self.beginning.remove(processor) => {
                let info = see.board.processor(*processor);
                let cap = see
                    .board
                    .lives
                    .get(&info.life)
                    .map_or(usize::MAX, |life| see.world.fleet.cap_of(life.slot));
                let at_work = self.at_work.entry(info.life).or_default();
                at_work.insert(*processor);
                let count = at_work.len();
                sink.check(count <= cap, || {
                    format!(
                        "{}: {:?} works on {count} shards, {cap} are its limit",
                        info.key, info.life
                    )
                });
            }
            Event::Called {
                processor,
                call: Call::LeaseLost(_) | Call::ShardEnded { .. } | Call::ShutdownRequested,
            } => {
                let life = see.board.processor(*processor).life;
                self.at_work.entry(life).or_default().remove(processor);
            }
            Event::Crashed { life } | Event::Stopped { life, .. } => {
                drop(self.at_work.remove(life));
            }
            _ => {}
        }
    }
}
