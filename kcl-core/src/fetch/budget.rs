//! The byte budget: how much memory the records of all shards may take together.
//!
//! ```text
//!  total = half reserved in equal parts, one a shard   +   half shared by all
//!          a page of a shard that holds nothing            larger pages, prefetching, large events
//!          never waits                                     first come, first served
//! ```
//!
//! A limit per shard, as in the KCL, either grows with the number of shards or starves the one
//! shard that is far behind. One budget for all needs a rule against the opposite fault: that
//! stopped handlers take everything. The reserved half is that rule.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::memory_wait::MemoryWait;
use crate::model::InvalidValue;

mod events;
mod permit_queue;
mod seats;

use events::LargeEvents;
use permit_queue::{PermitQueue, PermitWaiter};
use seats::Seats;

/// The memory that fetched records may take, shared by all shards of a worker, or of several
/// workers.
///
/// Half of it is reserved in equal parts, one for each shard: this is what a shard may always use
/// for one page, whatever the others hold. The rest is for larger pages and for prefetching, first
/// come, first served. A clone is another handle to the same budget.
///
/// The budget counts what a page occupies, from its request (estimated from the shard's records so
/// far) until its batch is processed. The count exceeds the budget temporarily in three cases.
/// First, the service may return larger records than expected: this lasts until that batch is
/// processed, and later requests are smaller. Second, a shard that starts while others hold the
/// whole budget reads one record at a time: it must not wait for the handlers of others, and gets
/// its part when their batches are processed. Third, a fan-out event arrives whole: one that is
/// larger than the part reserved for its shard waits for room in the rest; but if no event has been
/// received for a second because handlers have stalled, the first one that waits is received
/// nevertheless.
///
/// ```
/// use kcl_core::{ByteBudget, Worker};
///
/// // One budget for all the workers of a process.
/// let budget = ByteBudget::new(256 * 1024 * 1024)?;
/// let orders = Worker::builder().stream("orders").byte_budget(budget.clone());
/// let visits = Worker::builder().stream("visits").byte_budget(budget.clone());
/// assert_eq!(budget.used(), 0);
/// # drop((orders, visits));
/// # Ok::<(), kcl_core::BoxError>(())
/// ```
///
/// It is not a limit on the memory of the process: handlers, connections and copies that a handler
/// makes are not counted.
#[derive(Clone)]
pub struct ByteBudget(Arc<BudgetInner>);

/// The largest page of the service: `GetRecords` returns at most 10 MiB.
pub(crate) const LARGEST_PAGE: usize = 10 * 1024 * 1024;

/// What all handles share.
struct BudgetInner {
    /// In bytes; it never changes.
    total: usize,
    /// Held for a few comparisons, never across an await.
    state: Mutex<BudgetState>,
}

/// Who holds what, and who waits for what.
struct BudgetState {
    /// What each shard holds.
    seats: Seats,
    /// Requests that wait for the shared half.
    waiters: PermitQueue,
    /// Fan-out events that wait for room. They go before the others, because the service has
    /// already begun to send them.
    events: LargeEvents,
}

impl ByteBudget {
    /// The default: 128 MiB. Java KCL 3.5.1 holds up to 8 MiB per *shard*.
    pub const DEFAULT: usize = 128 * 1024 * 1024;

    /// A budget of this many bytes.
    ///
    /// # Errors
    /// If it is too small for the largest page that the service may send, 10 MiB.
    pub fn new(bytes: usize) -> Result<Self, InvalidValue> {
        if bytes < LARGEST_PAGE {
            let (value, expected) = (
                format!("{bytes} bytes"),
                format!("at least {LARGEST_PAGE} (10 MiB, the largest page)"),
            );
            return Err(InvalidValue::new("byte budget", value, expected));
        }
        Ok(Self(Arc::new(BudgetInner {
            total: bytes,
            state: Mutex::new(BudgetState {
                seats: Seats::new(bytes),
                waiters: PermitQueue::default(),
                events: LargeEvents::default(),
            }),
        })))
    }

    /// The whole budget, in bytes.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.total
    }

    /// The part that is currently in use, in bytes.
    #[must_use]
    pub fn used(&self) -> usize {
        self.state().seats.used()
    }

    /// A place at the budget for one shard.
    pub(crate) fn seat(&self) -> BudgetShare {
        BudgetShare {
            budget: self.clone(),
            id: self.state().seats.come(),
            wait: MemoryWait::default(),
        }
    }

    /// The state. A poisoned lock is used on, because every change is complete before anything can
    /// panic.
    fn state(&self) -> MutexGuard<'_, BudgetState> {
        // Every change below is whole before anything can panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back what a shard no longer uses, and gives it to those that wait.
    fn give_back(&self, seat: u64, bytes: usize) {
        let mut state = self.state();
        state.seats.add(seat, 0, bytes);
        self.serve(&mut state, Some(seat));
    }

    /// Gives to those who wait, in their order, what there is now. `changed` is the shard that holds
    /// less than before.
    fn serve(&self, state: &mut BudgetState, changed: Option<u64>) {
        let mut pool_is_open = self.serve_events(state);
        while pool_is_open && let Some(first) = state.waiters.first() {
            let (seat, want) = (first.seat, first.want);
            let bytes = state
                .own_page(seat, want, self.0.total, true)
                .or_else(|| state.pooled(seat, want, self.0.total));
            match (bytes, bytes.and_then(|_| state.waiters.take_first())) {
                (Some(bytes), Some(waiter)) => self.permit(state, waiter, bytes),
                // The pool is for whoever asked first: a small request does not overtake a large
                // one.
                _ => pool_is_open = false,
            }
        }
        // Who holds nothing waits for nobody. All others held something when they asked, and have
        // given nothing back.
        if let Some(seat) = changed
            && state.seats.contains(seat)
            && state.seats.held(seat) == 0
            && let Some(waiter) = state.waiters.take_of(seat)
            && let Some(bytes) = state.own_page(seat, waiter.want, self.0.total, false)
        {
            self.permit(state, waiter, bytes);
        }
    }

    /// Gives a waiting request its bytes. If it was dropped in the meantime, they go back at once,
    /// without waking anybody: the caller goes on looking.
    fn permit(&self, state: &mut BudgetState, waiter: PermitWaiter, bytes: usize) {
        state.seats.add(waiter.seat, bytes, 0);
        let permit = Permit {
            budget: self.clone(),
            seat: waiter.seat,
            bytes,
            receiving: false,
        };
        if let Err(mut unwanted) = waiter.grant.send(permit) {
            let bytes = std::mem::take(&mut unwanted.bytes);
            state.seats.add(waiter.seat, 0, bytes);
        }
    }
}

impl BudgetState {
    /// What a shard that holds nothing gets at once: its page if there is room and nobody waits for
    /// it, else as much of it as is set aside for it. If the others already hold the whole budget,
    /// the shard gets what is left; at least one byte, enough for one record.
    fn own_page(&self, seat: u64, want: usize, total: usize, pool_is_open: bool) -> Option<usize> {
        let holds_nothing = self.seats.contains(seat) && self.seats.held(seat) == 0;
        let pooled = if pool_is_open {
            self.pooled(seat, want, total)
        } else {
            None
        };
        let left = total.saturating_sub(self.seats.used()).max(1);
        holds_nothing.then(|| pooled.unwrap_or_else(|| want.min(self.seats.reserve()).min(left)))
    }

    /// The request, if it leaves the others what is set aside for them.
    fn pooled(&self, seat: u64, want: usize, total: usize) -> Option<usize> {
        (self.seats.committed_beside(seat) + want <= total).then_some(want)
    }
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteBudget")
            .field("total", &self.0.total)
            .field("used", &self.used())
            .finish()
    }
}

/// The place of one shard at the budget.
///
/// It lives as long as the shard is read. When it is dropped, its reserved part goes to the others;
/// permits that are still out give their bytes back one by one.
#[derive(Debug)]
pub(crate) struct BudgetShare {
    /// The budget that it is a place at.
    /// Where the bytes go back to.
    budget: ByteBudget,
    /// The number of the place. It is never used again, so a late permit cannot be counted for
    /// another shard.
    id: u64,
    /// Told while the shard waits for memory.
    wait: MemoryWait,
}

impl BudgetShare {
    /// The same place, which tells there while its shard waits for memory.
    pub(crate) fn telling(mut self, wait: MemoryWait) -> Self {
        self.wait = wait;
        self
    }

    /// A permit for up to `want` bytes. A shard that holds nothing gets one at once, perhaps a
    /// smaller one; others wait until there is room for all of it. Cancel safe: a permit that
    /// nobody takes goes back.
    pub(crate) async fn acquire(&self, want: usize) -> Permit {
        // No single request can be larger than what the pool could ever give.
        let granted = {
            let mut state = self.budget.state();
            let reserve = state.seats.reserve();
            let want = want.clamp(1, self.budget.0.total / 2 + reserve);
            let first = state.waiters.first().is_none() && !state.events_wait();
            let bytes = state
                .own_page(self.id, want, self.budget.0.total, first)
                .or_else(|| {
                    state
                        .pooled(self.id, want, self.budget.0.total)
                        .filter(|_| first)
                });
            match bytes {
                Some(bytes) => {
                    state.seats.add(self.id, bytes, 0);
                    Ok(Permit {
                        budget: self.budget.clone(),
                        seat: self.id,
                        bytes,
                        receiving: false,
                    })
                }
                None => {
                    let (grant, granted) = oneshot::channel();
                    state.waiters.push(PermitWaiter {
                        seat: self.id,
                        want,
                        grant,
                    });
                    Err(granted)
                }
            }
        };
        match granted {
            Ok(permit) => permit,
            // The sender goes away only with the seat, which is borrowed here.
            Err(granted) => {
                let _waiting = self.wait.begin();
                granted.await.unwrap_or_else(|_| Permit {
                    budget: self.budget.clone(),
                    seat: self.id,
                    bytes: 0,
                    receiving: false,
                })
            }
        }
    }

    /// The whole budget, in bytes.
    pub(crate) fn total(&self) -> usize {
        self.budget.total()
    }

    /// What is set aside for one shard now: less, the more there are.
    pub(crate) fn set_aside(&self) -> usize {
        self.budget.state().seats.reserve()
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.seats.go(self.id);
        state.waiters.leave(self.id);
        self.budget.serve(&mut state, None);
    }
}

/// Bytes of the budget, held until this is dropped.
///
/// It travels with the records: from the request to the page, and from there to the batch and to
/// the end of its handler. So there is no place where giving it back could be forgotten.
pub(crate) struct Permit {
    budget: ByteBudget,
    /// The shard that they are counted for.
    seat: u64,
    /// What it counts for now.
    bytes: usize,
    /// For an event that is being received in the room that all share.
    receiving: bool,
}

impl Permit {
    /// How many bytes it is for: how large a page the shard may ask for.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The page is there: from now on what it really occupies is counted.
    ///
    /// A page that is larger than its permit is not refused, because it is in memory already; the
    /// next request of the shard waits longer.
    pub(crate) fn correct(&mut self, bytes: usize) {
        let (more, less) = (
            bytes.saturating_sub(self.bytes),
            self.bytes.saturating_sub(bytes),
        );
        self.bytes = bytes;
        let mut state = self.budget.state();
        state.seats.add(self.seat, more, less);
        if std::mem::take(&mut self.receiving) {
            state.events.end();
        }
        if less > 0 {
            self.budget.serve(&mut state, Some(self.seat));
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.bytes).finish()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if std::mem::take(&mut self.receiving) {
            self.budget.state().events.end();
        }
        if self.bytes > 0 {
            self.budget.give_back(self.seat, self.bytes);
        }
    }
}

#[cfg(test)]
#[path = "budget_test.rs"]
mod tests;
