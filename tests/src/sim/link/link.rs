use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use kcl_core::lease;
use kcl_core::model::WorkerId;
use kcl_core::stream::{self, ErrorKind};
use tokio::sync::Notify;

use crate::sim::counts::Fault;
use crate::sim::history::{Event, LifeId};
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{At, sleep, start};
use crate::sim::state::{Sim, WorldState};
use crate::sim::world::LinkFaults;

use super::{Gate, SimClock};

/// A process as the rest of the world has to do with it: its links, its clock, and what can be done
/// to it.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) id: LifeId,
    pub(crate) worker: WorkerId,
    /// Its place in the fleet.
    pub(crate) slot: usize,
    pub(crate) sim: Sim,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: SimClock,
    /// Kills it.
    pub(crate) crash: Notify,
    cuts: [AtomicU8; 2],
    /// Whether its calls of the stream come to nothing, for long, and how.
    reach: AtomicU8,
}

/// What a worker talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Service {
    Table,
    Stream,
}

/// When a call was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The number of the next event then.
    pub(crate) number: u64,
    pub(crate) at: At,
    /// Nobody waits for the answer any more.
    pub(crate) late: bool,
}

/// What becomes of a write.
struct Fate {
    there: u64,
    /// The way back; nothing when no answer comes.
    back: Option<u64>,
    lands: bool,
    /// It lands again, so much later.
    again: Option<u64>,
    throttled: bool,
    /// Without an answer: the client says so after this time; otherwise it waits for ever.
    unknown_after: Option<u64>,
}

const OPEN: u8 = 0;
const NO_REQUESTS: u8 = 1;
const NO_ANSWERS: u8 = 2;
const REFUSED: u8 = 3;

impl Life {
    pub(crate) fn new(
        id: LifeId,
        worker: WorkerId,
        slot: usize,
        sim: Sim,
        gate: Arc<Gate>,
        clock: SimClock,
    ) -> Self {
        Self {
            id,
            worker,
            slot,
            sim,
            gate,
            clock,
            crash: Notify::new(),
            cuts: [AtomicU8::new(OPEN), AtomicU8::new(OPEN)],
            reach: AtomicU8::new(OPEN),
        }
    }

    fn cut(&self, service: Service) -> u8 {
        self.cuts[service as usize].load(Ordering::Relaxed)
    }

    /// Whether the way to a service, or the way back, is cut.
    pub(crate) fn is_cut(&self, service: Service) -> bool {
        self.cut(service) != OPEN
            || (service == Service::Stream && self.reach.load(Ordering::Relaxed) != OPEN)
    }

    /// From now on its calls of the stream fail at once, as with credentials that have expired, or
    /// are never answered.
    pub(crate) fn lose_reach(&self, at_once: bool) {
        self.reach.store(
            if at_once { REFUSED } else { NO_ANSWERS },
            Ordering::Relaxed,
        );
    }

    pub(crate) fn regain_reach(&self) {
        self.reach.store(OPEN, Ordering::Relaxed);
    }

    /// Cuts the way to a service, or only the way back.
    pub(crate) fn set_cut(&self, service: Service, only_answers: bool) {
        self.cuts[service as usize].store(
            if only_answers {
                NO_ANSWERS
            } else {
                NO_REQUESTS
            },
            Ordering::Relaxed,
        );
    }

    pub(crate) fn mend(&self, service: Service) {
        self.cuts[service as usize].store(OPEN, Ordering::Relaxed);
    }

    /// Freezes the process for a while, unless it is frozen already.
    pub(crate) fn freeze(self: &Arc<Self>, point: &'static str, millis: u64) {
        if !self.gate.freeze() {
            return;
        }
        self.sim.say(Event::Frozen {
            life: self.id,
            point,
            millis,
        });
        let life = Arc::clone(self);
        crate::sim::runtime::spawn(async move {
            sleep(millis).await;
            if life.sim.mutant() == Some(Mutant::ClockStopsWithProcess) {
                life.gate.do_not_count(millis);
            }
            life.sim.say(Event::Thawed { life: life.id });
            life.gate.thaw();
        });
    }

    /// Perhaps freezes the process at a chosen point, and waits through it.
    pub(crate) async fn point(self: &Arc<Self>, point: &'static str) {
        let chaos = &self.sim.world().chaos;
        if chaos.freeze_one_in > 0 {
            let millis = {
                let mut state = self.sim.state();
                let hit = !state.healed && state.dice.range(1, chaos.freeze_one_in) == 1;
                hit.then(|| {
                    state.counts.add(Fault::FrozenAtPoint);
                    state.dice.range(100, chaos.freeze_ms.max(101))
                })
            };
            if let Some(millis) = millis {
                self.freeze(point, millis);
            }
        }
        self.gate.pass().await;
    }

    /// A write on the lease table. It may be carried out whatever becomes of this future, and more
    /// than once.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        apply: impl Fn(&mut WorldState, Sent) -> Result<T, lease::Error> + Send + 'static,
    ) -> Result<T, lease::Error> {
        self.gate.pass().await;
        let (fate, sent) = self.send();
        let Fate {
            there,
            back,
            lands,
            again,
            throttled,
            unknown_after,
        } = fate;
        if throttled {
            sleep(there).await;
            self.gate.pass().await;
            return Err(lease::Error::Throttled {
                source: "a simulated limit".into(),
            });
        }
        let sim = self.sim.clone();
        // A task of its own: a caller that gives up or crashes stops nothing that is under way.
        let answer = start(async move {
            if !lands {
                return None;
            }
            sleep(there).await;
            let result = apply(
                &mut sim.state(),
                Sent {
                    late: back.is_none(),
                    ..sent
                },
            );
            if let Some(again) = again {
                let sim = sim.clone();
                crate::sim::runtime::spawn(async move {
                    sleep(again).await;
                    // The second copy: whatever it comes to, nobody hears of it.
                    let _ = apply(&mut sim.state(), Sent { late: true, ..sent });
                });
            }
            sleep(back?).await;
            Some(result)
        });
        let answer = answer.await.ok().flatten();
        let answer = match (answer, unknown_after) {
            (Some(answer), _) => answer,
            (None, Some(_)) => Err(lease::Error::Unknown {
                source: "a simulated connection was lost".into(),
            }),
            (None, None) => std::future::pending().await,
        };
        if self.sim.mutant() == Some(Mutant::DeadlineFromAnswer) {
            self.gate.do_not_count(self.sim.now().since(sent.at));
        }
        self.point("the answer of the table").await;
        answer
    }

    fn send(&self) -> (Fate, Sent) {
        let cut = self.cut(Service::Table);
        let mut state = self.sim.state();
        state.table_calls += 1;
        let WorldState {
            dice,
            counts,
            healed,
            history,
            ..
        } = &mut *state;
        let faults = self.sim.link(Service::Table, *healed);
        let sent = Sent {
            number: history.next_number(),
            at: self.sim.now(),
            late: false,
        };
        let mut fate = Fate {
            there: way(faults, dice, counts),
            back: Some(way(faults, dice, counts)),
            lands: true,
            again: None,
            throttled: false,
            unknown_after: dice.chance(0.5).then_some(0),
        };
        if cut == NO_REQUESTS || dice.chance(faults.lost_request) {
            counts.add(if cut == NO_REQUESTS {
                Fault::TableCut
            } else {
                Fault::LostRequest
            });
            (fate.lands, fate.back) = (false, None);
        } else if cut == NO_ANSWERS || dice.chance(faults.lost_answer) {
            counts.add(if cut == NO_ANSWERS {
                Fault::TableCut
            } else {
                Fault::LostAnswer
            });
            fate.back = None;
        } else if dice.chance(faults.late) {
            counts.add(Fault::AppliedLate);
            // The client's connection is long gone by then.
            (fate.there, fate.back, fate.unknown_after) =
                (dice.range(faults.late_ms / 8, faults.late_ms), None, None);
        } else if dice.chance(faults.throttled) {
            counts.add(Fault::TableThrottled);
            fate.throttled = true;
        }
        if fate.lands && dice.chance(faults.twice) {
            counts.add(Fault::SentTwice);
            fate.again = Some(dice.range(1, faults.late_ms.max(2)));
        }
        (fate, sent)
    }

    /// A read of the lease table.
    pub(crate) async fn read<T>(
        self: &Arc<Self>,
        apply: impl FnOnce(&mut WorldState) -> T,
    ) -> Result<T, lease::Error> {
        self.gate.pass().await;
        let (there, back, lost, throttled) = {
            let cut = self.cut(Service::Table);
            let mut state = self.sim.state();
            state.table_calls += 1;
            let WorldState {
                dice,
                counts,
                healed,
                ..
            } = &mut *state;
            let faults = self.sim.link(Service::Table, *healed);
            let lost = cut != OPEN || dice.chance(faults.lost_request + faults.lost_answer);
            let throttled = dice.chance(faults.throttled);
            if lost {
                counts.add(if cut == OPEN {
                    Fault::LostRead
                } else {
                    Fault::TableCut
                });
            } else if throttled {
                counts.add(Fault::TableThrottled);
            }
            (
                way(faults, dice, counts),
                way(faults, dice, counts),
                lost,
                throttled,
            )
        };
        sleep(there).await;
        if lost {
            return std::future::pending().await;
        }
        if throttled {
            self.gate.pass().await;
            return Err(lease::Error::Throttled {
                source: "a simulated limit".into(),
            });
        }
        let result = apply(&mut self.sim.state());
        sleep(back).await;
        self.gate.pass().await;
        Ok(result)
    }

    /// A call of the stream.
    pub(crate) async fn stream_call<T>(
        self: &Arc<Self>,
        operation: &'static str,
        apply: impl FnOnce(&mut WorldState) -> Result<T, stream::Error>,
    ) -> Result<T, stream::Error> {
        self.gate.pass().await;
        let (there, back, lost, error) = {
            let (cut, reach) = (
                self.cut(Service::Stream),
                self.reach.load(Ordering::Relaxed),
            );
            let mut state = self.sim.state();
            let WorldState {
                dice,
                counts,
                healed,
                ..
            } = &mut *state;
            let faults = self.sim.link(Service::Stream, *healed);
            let lost = cut != OPEN || dice.chance(faults.lost_request + faults.lost_answer);
            let error = if dice.chance(faults.throttled) {
                Some(ErrorKind::Throttled)
            } else if dice.chance(faults.transient) {
                Some(ErrorKind::Transient)
            } else {
                None
            };
            // A defect takes what is never answered for throttled, too.
            let counts_as_progress = self.sim.mutant() == Some(Mutant::FailureIsProgress);
            let (lost, error) = match reach {
                OPEN => (lost, error),
                _ if counts_as_progress => (false, Some(ErrorKind::Throttled)),
                REFUSED => (false, Some(ErrorKind::Unreachable)),
                _ => (true, None),
            };
            match (lost, error) {
                _ if reach != OPEN => counts.add(Fault::OutOfReach),
                (true, _) => counts.add(if cut == OPEN {
                    Fault::StreamFailed
                } else {
                    Fault::StreamCut
                }),
                (false, Some(ErrorKind::Throttled)) => counts.add(Fault::StreamThrottled),
                (false, Some(_)) => counts.add(Fault::StreamFailed),
                (false, None) => {}
            }
            (
                way(faults, dice, counts),
                way(faults, dice, counts),
                lost,
                error,
            )
        };
        sleep(there).await;
        if lost {
            return std::future::pending().await;
        }
        if let Some(kind) = error {
            self.gate.pass().await;
            return Err(stream::Error::new(kind, operation, "a simulated failure"));
        }
        let result = apply(&mut self.sim.state());
        sleep(back).await;
        self.gate.pass().await;
        result
    }
}

/// How long one way takes.
fn way(
    faults: &LinkFaults,
    dice: &mut crate::sim::dice::Dice,
    counts: &mut crate::sim::counts::Counts,
) -> u64 {
    if dice.chance(faults.tail / 2.0) {
        counts.add(Fault::Delay);
        return dice.range(faults.base_ms, faults.tail_ms);
    }
    dice.range(faults.base_ms / 2, faults.base_ms + faults.base_ms / 2)
}
