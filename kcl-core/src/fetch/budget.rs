use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

mod events;

use events::LargeEvents;

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
#[derive(Clone)]
pub struct ByteBudget(Arc<BudgetInner>);

/// The largest page of the service: `GetRecords` returns at most 10 MiB.
pub(crate) const LARGEST_PAGE: usize = 10 * 1024 * 1024;

/// The budget is too small for one page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "byte budget too small: got {bytes} bytes, expected at least {LARGEST_PAGE} (10 MiB, the largest page)"
)]
pub struct InvalidBudget {
    bytes: usize,
}

struct BudgetInner {
    total: usize,
    state: Mutex<BudgetState>,
}

#[derive(Default)]
struct BudgetState {
    next_seat: u64,
    /// What each shard holds.
    held: BTreeMap<u64, usize>,
    used: usize,
    waiters: VecDeque<PermitWaiter>,
    events: LargeEvents,
}

struct PermitWaiter {
    seat: u64,
    want: usize,
    grant: oneshot::Sender<Permit>,
}

impl ByteBudget {
    /// The default: 128 MiB. Java KCL 3.5.1 holds up to 8 MiB per *shard*.
    pub const DEFAULT: usize = 128 * 1024 * 1024;

    /// A budget of this many bytes.
    ///
    /// # Errors
    /// If it is too small for the largest page that the service may send, 10 MiB.
    pub fn new(bytes: usize) -> Result<Self, InvalidBudget> {
        if bytes < LARGEST_PAGE {
            return Err(InvalidBudget { bytes });
        }
        Ok(Self(Arc::new(BudgetInner {
            total: bytes,
            state: Mutex::default(),
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
        self.state().used
    }

    /// A place at the budget for one shard.
    pub(crate) fn seat(&self) -> BudgetShare {
        let mut state = self.state();
        let id = state.next_seat;
        state.next_seat += 1;
        state.held.insert(id, 0);
        BudgetShare {
            budget: self.clone(),
            id,
        }
    }

    fn state(&self) -> MutexGuard<'_, BudgetState> {
        // Every change below is whole before anything can panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, seat: u64, bytes: usize) {
        let mut state = self.state();
        state.add(seat, 0, bytes);
        self.serve(&mut state);
    }

    /// Gives to those who wait, in their order, what there is now.
    fn serve(&self, state: &mut BudgetState) {
        let mut pool_is_open = self.serve_events(state);
        let mut waiting = std::mem::take(&mut state.waiters);
        while let Some(waiter) = waiting.pop_front() {
            if waiter.grant.is_closed() || !state.held.contains_key(&waiter.seat) {
                continue;
            }
            let bytes = match state.own_page(waiter.seat, waiter.want, self.0.total, pool_is_open) {
                Some(bytes) => Some(bytes),
                // The pool is for whoever asked first: a small request does not overtake a large
                // one.
                None => state
                    .pooled(waiter.seat, waiter.want, self.0.total)
                    .filter(|_| pool_is_open),
            };
            match bytes {
                Some(bytes) => {
                    state.add(waiter.seat, bytes, 0);
                    let permit = Permit {
                        budget: self.clone(),
                        seat: waiter.seat,
                        bytes,
                        receiving: false,
                    };
                    if let Err(mut unwanted) = waiter.grant.send(permit) {
                        state.add(waiter.seat, 0, std::mem::take(&mut unwanted.bytes));
                    }
                }
                None => {
                    pool_is_open = false;
                    state.waiters.push_back(waiter);
                }
            }
        }
    }
}

impl BudgetState {
    fn add(&mut self, seat: u64, more: usize, less: usize) {
        if let Some(held) = self.held.get_mut(&seat) {
            *held = (*held + more).saturating_sub(less);
        }
        self.used = (self.used + more).saturating_sub(less);
    }

    /// The part of the budget that is set aside for one shard.
    fn reserve(&self, total: usize) -> usize {
        total / (2 * self.held.len().max(1))
    }

    /// What a shard that holds nothing gets at once: its page if there is room and nobody waits for
    /// it, else as much of it as is set aside for it. If the others already hold the whole budget,
    /// the shard gets what is left; at least one byte, enough for one record.
    fn own_page(&self, seat: u64, want: usize, total: usize, pool_is_open: bool) -> Option<usize> {
        let holds_nothing = self.held.get(&seat).is_some_and(|held| *held == 0);
        let pooled = if pool_is_open {
            self.pooled(seat, want, total)
        } else {
            None
        };
        let left = total.saturating_sub(self.used).max(1);
        holds_nothing.then(|| pooled.unwrap_or_else(|| want.min(self.reserve(total)).min(left)))
    }

    /// The request, if it leaves the others what is set aside for them.
    fn pooled(&self, seat: u64, want: usize, total: usize) -> Option<usize> {
        let reserve = self.reserve(total);
        let others: usize = self
            .held
            .iter()
            .filter(|(id, _)| **id != seat)
            .map(|(_, held)| reserve.saturating_sub(*held))
            .sum();
        (self.used + others + want <= total).then_some(want)
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
#[derive(Debug)]
pub(crate) struct BudgetShare {
    budget: ByteBudget,
    id: u64,
}

impl BudgetShare {
    /// A permit for up to `want` bytes. A shard that holds nothing gets one at once, perhaps a
    /// smaller one; others wait until there is room for all of it. Cancel safe: a permit that
    /// nobody takes goes back.
    pub(crate) async fn acquire(&self, want: usize) -> Permit {
        // No single request can be larger than what the pool could ever give.
        let granted = {
            let mut state = self.budget.state();
            let reserve = state.reserve(self.budget.0.total);
            let want = want.clamp(1, self.budget.0.total / 2 + reserve);
            let first = state.waiters.iter().all(|waiter| waiter.grant.is_closed())
                && !state.events_wait(self.budget.0.total);
            let bytes = state
                .own_page(self.id, want, self.budget.0.total, first)
                .or_else(|| {
                    state
                        .pooled(self.id, want, self.budget.0.total)
                        .filter(|_| first)
                });
            match bytes {
                Some(bytes) => {
                    state.add(self.id, bytes, 0);
                    Ok(Permit {
                        budget: self.budget.clone(),
                        seat: self.id,
                        bytes,
                        receiving: false,
                    })
                }
                None => {
                    let (grant, granted) = oneshot::channel();
                    state.waiters.push_back(PermitWaiter {
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
            Err(granted) => granted.await.unwrap_or_else(|_| Permit {
                budget: self.budget.clone(),
                seat: self.id,
                bytes: 0,
                receiving: false,
            }),
        }
    }

    /// What is set aside for one shard now: less, the more there are.
    pub(crate) fn set_aside(&self) -> usize {
        let state = self.budget.state();
        state.reserve(self.budget.0.total)
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        // Permits of this shard that are still out give their bytes back to the whole.
        state.held.remove(&self.id);
        self.budget.serve(&mut state);
    }
}

/// Bytes of the budget, held until this is dropped.
pub(crate) struct Permit {
    budget: ByteBudget,
    seat: u64,
    bytes: usize,
    /// For an event that is being received in the room that all share.
    receiving: bool,
}

impl Permit {
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The page is there: from now on what it really occupies is counted.
    pub(crate) fn correct(&mut self, bytes: usize) {
        let (more, less) = (
            bytes.saturating_sub(self.bytes),
            self.bytes.saturating_sub(bytes),
        );
        self.bytes = bytes;
        let mut state = self.budget.state();
        state.add(self.seat, more, less);
        if std::mem::take(&mut self.receiving) {
            state.events.end();
        }
        if less > 0 {
            self.budget.serve(&mut state);
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
