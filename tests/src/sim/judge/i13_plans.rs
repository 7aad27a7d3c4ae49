use std::collections::{BTreeMap, BTreeSet};

use kcl_core::lease::Change;
use kcl_core::model::LeaseKey;

use crate::sim::history::{Asked, Call, Entry, Event, LifeId, ProcessorId, Written};

use super::fold::{Fold, See, Sink};

/// I13: what workers do about leases is sane: nobody takes, claims or asks for a finished one, no process has more open requests than
/// `max_moves`, and none works on more shards than `max_leases`. That plans are sane as plans is shown where they are made.
#[derive(Debug, Default)]
pub(super) struct Plans {
    /// Requests that stand, by who sent them. One that landed after nobody waited for it is not its sender's any more.
    asked: BTreeMap<LifeId, BTreeSet<LeaseKey>>,
    /// Processors that were begun and are not over.
    at_work: BTreeMap<LifeId, BTreeSet<ProcessorId>>,
}

/// `max_moves` of every worker: the default.
const MAX_MOVES: usize = 8;

impl Fold for Plans {
    fn name(&self) -> &'static str {
        "I13 plans"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        match &entry.event {
            Event::Written(written) if written.accepted => self.on_write(entry, written, see, sink),
            Event::Called { processor, call: Call::Initialize { attempt: 1, .. } } => {
                let info = see.board.processor(*processor);
                let cap = see.board.lives.get(&info.life).map_or(usize::MAX, |life| see.world.fleet.cap_of(life.slot));
                let at_work = self.at_work.entry(info.life).or_default();
                at_work.insert(*processor);
                let count = at_work.len();
                sink.check(count <= cap, || {
                    format!("{}: {:?} works on {count} shards, {cap} are its limit", info.key, info.life)
                });
            }
            Event::Called { processor, call: Call::LeaseLost(_) | Call::ShardEnded { .. } | Call::ShutdownRequested } => {
                let life = see.board.processor(*processor).life;
                self.at_work.entry(life).or_default().remove(processor);
            }
            Event::Crashed { life } | Event::Stopped { life, .. } => {
                self.asked.remove(life);
                self.at_work.remove(life);
            }
            _ => {}
        }
    }
}

impl Plans {
    fn on_write(&mut self, entry: &Entry, written: &Written, see: &See<'_>, sink: &mut Sink<'_>) {
        let Written { life, key, before: Some(before), asked: Asked::Update(_, change), .. } = written else { return };
        if matches!(change, Change::Take { .. } | Change::Claim { .. } | Change::Request { .. }) {
            sink.check(!before.checkpoint.is_shard_end(), || format!("{key}: {change:?} of {life:?} on a finished lease"));
        }
        let stands = written.after.as_ref().is_some_and(|row| row.checkpoint_owner.is_some());
        if !stands {
            self.asked.values_mut().for_each(|keys| _ = keys.remove(key));
        }
        if matches!(change, Change::Request { .. }) && !written.late {
            let keys = self.asked.entry(*life).or_default();
            keys.insert(key.clone());
            // One of an owner that shows no life is not open: the lease is about to be taken.
            let is_open = |key: &&LeaseKey| {
                see.board.current_of(key).is_some_and(|owner| {
                    let info = see.board.lives.get(&owner.life).filter(|info| info.alive);
                    info.is_some_and(|info| entry.at <= owner.written.plus(see.world.fleet.failover_of(info.slot) / 2))
                })
            };
            let count = keys.iter().filter(is_open).count();
            sink.check(count <= MAX_MOVES, || format!("{key}: {life:?} has {count} open requests, {MAX_MOVES} are its limit"));
        }
    }
}
