use std::time::Duration;

use kcl_core::testing::internals::Timing;

use crate::sim::history::{Call, Entry, Event};

use super::fold::{Fold, See, Sink};

/// I4: nothing is handed out in a tenancy that has ended, nor later than its own deadline after its
/// last write or, where heartbeats hold its leases, its last heartbeat. So two owners overlap by no more than the calls that are under way.
///
/// One change of owner has a bound in place of a ban: a process that adopts the leases under its
/// own id does so earlier than others (a restart must be quick), so a twin that cannot reach the
/// table may go on up to its own deadline.
#[derive(Debug)]
pub(super) struct Overlap;

impl Fold for Overlap {
    fn name(&self) -> &'static str {
        "I4 overlap"
    }

    fn judges_deleted(&self) -> bool {
        true
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let (processor, call) = match &entry.event {
            Event::Called {
                processor,
                call: call @ (Call::Process { .. } | Call::ShardEnded { .. }),
            } => (processor, format!("{call:?}")),
            Event::Began {
                processor, record, ..
            } => (processor, format!("record {record}")),
            _ => return,
        };
        let Some(tenancy) = see.board.tenancy_of(*processor) else {
            sink.report(|| {
                format!("{processor:?} is called without a tenancy in the table: {call}")
            });
            return;
        };
        let owner = see.board.lives.get(&tenancy.life);
        let failover = see
            .world
            .fleet
            .failover_of(owner.map_or(0, |life| life.slot));
        let shown = see.board.shown(tenancy);
        let own = Timing::for_failover(Duration::from_millis(failover)).valid_for;
        // A slow clock reaches the deadline later; a millisecond is the resolution of the world.
        let longest = own.as_secs_f64() * 1000.0 / (1.0 - see.world.fleet.drift_ppm as f64 / 1e6);
        let valid_until = shown.plus(longest as u64 + 2);
        sink.check(entry.at <= valid_until, || {
            format!(
                "{}: {:?} is given {call} after its own deadline {valid_until}",
                tenancy.key, tenancy.life
            )
        });
        if let Some(end) = &tenancy.ended {
            let adopted = end.how == "take"
                && end.by_worker.as_ref() == Some(&tenancy.worker)
                && end.by != tenancy.life;
            sink.check(adopted, || {
                format!(
                    "{}: {:?} ({}) is given {call} after {:?} ended its tenancy by {} at {}",
                    tenancy.key, tenancy.life, tenancy.worker, end.by, end.how, end.at
                )
            });
        }
    }
}
