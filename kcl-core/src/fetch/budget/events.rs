//! Fan-out events that are larger than what their shards hold.
//!
//! A page that is polled is as large as the reader asks for. An event that is pushed is as large as
//! the service makes it, and cannot be taken in parts.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use crate::runtime::Clock;

use super::{BudgetShare, BudgetState, ByteBudget, Permit};

/// When no event is being received, and that has been so for this long, the first that waits is
/// given room beyond the budget. It is long for a handler that does nothing but keep others
/// waiting, and short for the records of a shard that is far behind.
pub(super) const STANDSTILL: Duration = Duration::from_secs(1);

/// Events that are larger than their shards' permits, in the order in which they began.
///
/// An event comes whole, so its shard cannot make do with a part of what it takes. What is set
/// aside for the shard is there at once. For more than that it waits, before the others that wait
/// for the pool:
///
/// - a shard that holds nothing else, until there is room in the pool;
/// - one that holds batches also until it is within its equal share of the whole budget, so that
///   stopped handlers keep no more than that, or one event each, from the others;
/// - and when none is received and none was for [`STANDSTILL`], it is handlers that everybody waits
///   for: the budget is then exceeded by what the first one lacks. That room stays as long as it is
///   needed, and goes from one event to the next. So at a standstill one more event a second is
///   received, and those whose handlers work go on in the room of one.
///
/// A reception ends by itself: a subscription that gives nothing is replaced.
#[derive(Default)]
pub(super) struct LargeEvents {
    /// In the order in which the events began.
    waiters: VecDeque<EventWaiter>,
    /// How much more than the budget they may have at present.
    beyond: usize,
    /// How many have room in the pool and are being received.
    receiving: usize,
    /// Counts the receptions that began or ended.
    moved: u64,
}

/// An event that has begun and is not received until there is room for it.
struct EventWaiter {
    /// The shard that it belongs to.
    seat: u64,
    /// What the shard has for the event.
    own: usize,
    /// What it lacks.
    more: usize,
    /// Where the missing bytes go.
    grant: oneshot::Sender<Permit>,
}

impl ByteBudget {
    /// Gives room to events that wait. Says whether the pool is open to others.
    pub(super) fn serve_events(&self, state: &mut BudgetState) -> bool {
        let (total, reserve) = (self.0.total, state.seats.reserve());
        let mut waiting = std::mem::take(&mut state.events.waiters);
        let mut pool_is_open = true;
        while let Some(waiter) = waiting.pop_front() {
            if waiter.grant.is_closed() || !state.seats.contains(waiter.seat) {
                continue;
            }
            let set_aside = state.held_with(&waiter) <= reserve;
            let may_have = state.may_have(&waiter, reserve);
            let pooled =
                may_have && pool_is_open && state.lacks(&waiter, total) <= state.events.beyond;
            if set_aside || pooled {
                self.grant(state, waiter, !set_aside);
            } else {
                // In the order of asking; but whom its own handler keeps waiting, keeps nobody.
                pool_is_open &= !may_have;
                state.events.waiters.push_back(waiter);
            }
        }
        if state.events.beyond > 0 && state.seats.committed() + state.events.beyond <= total {
            state.events.beyond = 0;
        }
        pool_is_open
    }

    /// Gives an event the room that it lacks. If its shard has gone meanwhile, the room goes back.
    fn grant(&self, state: &mut BudgetState, waiter: EventWaiter, pooled: bool) {
        state.seats.add(waiter.seat, waiter.more, 0);
        if pooled {
            state.events.begin();
        }
        let permit = Permit {
            budget: self.clone(),
            seat: waiter.seat,
            bytes: waiter.more,
            receiving: pooled,
        };
        if let Err(mut unwanted) = waiter.grant.send(permit) {
            state
                .seats
                .add(waiter.seat, 0, std::mem::take(&mut unwanted.bytes));
            if std::mem::take(&mut unwanted.receiving) {
                state.events.end();
            }
        }
    }

    /// Gives the first event room beyond the budget, if it is this shard's, none is received, and
    /// none was since so many had moved.
    ///
    /// It is logged at the level debug only: the metric of the budget shows the same, and the
    /// cause, a handler that stands, is reported elsewhere.
    fn exceed(&self, seat: u64, moved: u64) {
        let beyond = {
            let mut state = self.state();
            let reserve = state.seats.reserve();
            let first = state
                .events
                .waiters
                .iter()
                .find(|waiter| !waiter.grant.is_closed() && state.may_have(waiter, reserve));
            let Some(first) =
                first.filter(|first| first.seat == seat && state.events.stand_since(moved))
            else {
                return;
            };
            state.events.beyond = state.events.beyond.max(state.lacks(first, self.0.total));
            self.serve(&mut state, None);
            state.events.beyond
        };
        tracing::debug!(
            beyond,
            "all handlers have stalled: receiving events beyond the byte budget"
        );
    }
}

impl LargeEvents {
    /// An event begins to be received in the shared half.
    const fn begin(&mut self) {
        self.receiving += 1;
        self.moved = self.moved.wrapping_add(1);
    }

    /// An event that had room in the pool has been received, or will not be.
    pub(super) const fn end(&mut self) {
        self.receiving = self.receiving.saturating_sub(1);
        self.moved = self.moved.wrapping_add(1);
    }

    /// Whether nothing has been received, and nothing was begun or ended, since this count.
    const fn stand_since(&self, moved: u64) -> bool {
        self.receiving == 0 && self.moved == moved
    }
}

impl BudgetState {
    /// Whether an event waits for the pool.
    pub(super) fn events_wait(&self) -> bool {
        let reserve = self.seats.reserve();
        self.events
            .waiters
            .iter()
            .any(|waiter| !waiter.grant.is_closed() && self.may_have(waiter, reserve))
    }

    /// What the shard holds when it is given what it lacks.
    fn held_with(&self, waiter: &EventWaiter) -> usize {
        self.seats.held(waiter.seat) + waiter.more
    }

    /// Whether the shard may have its event from the pool: it holds nothing else, or no more than
    /// an equal share of everything.
    fn may_have(&self, waiter: &EventWaiter, reserve: usize) -> bool {
        let held = self.held_with(waiter);
        held <= waiter.own + waiter.more || held <= 2 * reserve
    }

    /// What is missing in the budget.
    fn lacks(&self, waiter: &EventWaiter, total: usize) -> usize {
        (self.seats.committed_beside(waiter.seat) + waiter.more).saturating_sub(total)
    }
}

impl BudgetShare {
    /// Makes a permit as large as an event that has begun, or as large as the budget can give. What
    /// is set aside for the shard is there at once. Cancel safe: what nobody takes goes back.
    ///
    /// A shard whose event is larger than the budget can ever give gets the most that there is: it
    /// is received nevertheless, and counted as what it is.
    pub(crate) async fn enlarge(&self, permit: &mut Permit, bytes: usize, clock: &dyn Clock) {
        let (mut granted, mut seen) = {
            let mut state = self.budget.state();
            let most = self.budget.0.total / 2 + state.seats.reserve();
            let more = bytes.min(most).saturating_sub(permit.bytes);
            if more == 0 {
                return;
            }
            let (grant, granted) = oneshot::channel();
            state.events.waiters.push_back(EventWaiter {
                seat: self.id,
                own: permit.bytes,
                more,
                grant,
            });
            self.budget.serve(&mut state, None);
            (granted, state.events.moved)
        };
        let _waiting = self.wait.begin();
        loop {
            let standstill = clock.sleep_until(clock.now() + STANDSTILL);
            match select(&mut granted, pin!(standstill)).await {
                Either::Left((Ok(mut more), _)) => {
                    permit.bytes += std::mem::take(&mut more.bytes);
                    permit.receiving |= std::mem::take(&mut more.receiving);
                    return;
                }
                // The sender goes away only with the seat, which is borrowed here.
                Either::Left((Err(_), _)) => return,
                Either::Right(_) => {
                    self.budget.exceed(self.id, seen);
                    seen = self.budget.state().events.moved;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "events_test.rs"]
mod tests;
