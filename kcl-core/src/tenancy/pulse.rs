use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::lease::KeepAlive;
use crate::model::{Moment, Token};
use crate::runtime::random_token;
use crate::watermark::Watermark;

use super::progress::micros;

/// The heartbeats of one incarnation of this worker, as its leases see them.
///
/// ```text
///                   "heartbeats" is wanted          the row says so
///    Renewals  -------------------------> Renewals ----------------> Heartbeats
///       ^      the row is being written,   (bounded)                  writers lean on it, each after
///       |      and may say it already                                 one more write of its lease
///       |                                                                |  "renewals" is wanted
///       |      the row says so                 no writer leans           v
///       +------------------------------ Renewals <----------------- Returning
///                                       (bounded)                     writers renew, and stop leaning
///
///    in any state:  the row is gone or was killed  ->  Over
/// ```
///
/// From the moment when a row may say that heartbeats hold the leases until the row is known to say
/// otherwise, other workers may judge every lease of this incarnation by the row. So nothing is
/// delivered for longer than [`Timing::valid_for`](crate::decide::expiry::Timing::valid_for) after
/// the last acknowledged heartbeat was sent: that is the *bound*.
#[derive(Debug)]
pub(crate) struct Pulse {
    incarnation: Token,
    /// Until when records may be handed out, in microseconds of the clock; `UNBOUND` while the row
    /// says that each lease is renewed.
    bound: AtomicU64,
    state: Mutex<PulseState>,
    /// Grows with what writers have to know.
    changes: Watermark,
}

/// As far as the heartbeats go, records may be handed out for ever.
pub(crate) const UNBOUND: u64 = u64::MAX;

#[derive(Debug)]
struct PulseState {
    phase: PulsePhase,
    /// What the row says, or may say after a write without an answer.
    may_hold: bool,
    /// Since when writes of leases count that were made under heartbeats: when that was
    /// acknowledged.
    since: Moment,
    /// When the last acknowledged heartbeat was sent.
    sent: Option<Moment>,
    /// How many writers lean on it.
    leaning: usize,
    /// Every lease is renewed so often all the same.
    bump_every: Option<Duration>,
}

/// What writers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PulsePhase {
    /// Each renews its lease.
    Renewals,
    /// They lean on the heartbeats.
    Heartbeats,
    /// They stop leaning.
    Returning,
    /// Nobody leans on it any more: what was held by it is lost.
    Over,
}

/// How a writer is to keep its lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Footing {
    /// By renewing it.
    Renewals,
    /// By the heartbeats. Of a lease that was not written since this moment, after one more write.
    Heartbeats {
        since: Moment,
        bump_every: Option<Duration>,
    },
}

impl Pulse {
    fn new(incarnation: Token) -> Self {
        Self {
            incarnation,
            bound: AtomicU64::new(UNBOUND),
            state: Mutex::new(PulseState {
                phase: PulsePhase::Renewals,
                may_hold: false,
                since: Moment::default(),
                sent: None,
                leaning: 0,
                bump_every: None,
            }),
            changes: Watermark::default(),
        }
    }

    /// One that never beats: for a lease whose token names no incarnation.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self::new(Token::new("")))
    }

    /// The incarnation that its row and the tokens of its leases name.
    pub(crate) const fn incarnation(&self) -> &Token {
        &self.incarnation
    }

    /// Until when records may be handed out, in microseconds of the clock.
    pub(crate) fn bound(&self) -> u64 {
        self.bound.load(Ordering::Acquire)
    }

    /// The row is about to be written so that it says this.
    pub(crate) fn is_sending(&self, keep_alive: KeepAlive, valid_for: Duration) {
        if keep_alive != KeepAlive::Heartbeats {
            return;
        }
        let mut state = self.lock();
        if !state.may_hold {
            state.may_hold = true;
            let reach = state.sent.map(|sent| sent + valid_for).unwrap_or_default();
            self.bound.store(micros(reach), Ordering::Release);
        }
    }

    /// The row says this, by a write that was sent then.
    pub(crate) fn shown(
        &self,
        keep_alive: KeepAlive,
        sent: Moment,
        now: Moment,
        valid_for: Duration,
    ) {
        let mut state = self.lock();
        if state.phase == PulsePhase::Over {
            return;
        }
        state.sent = state.sent.max(Some(sent));
        if keep_alive == KeepAlive::Heartbeats {
            state.may_hold = true;
            let reach = state.sent.map(|sent| sent + valid_for).unwrap_or_default();
            self.bound.store(micros(reach), Ordering::Release);
            if state.phase == PulsePhase::Renewals {
                (state.phase, state.since) = (PulsePhase::Heartbeats, now);
                self.tell();
            }
        } else if state.leaning == 0 {
            (state.phase, state.may_hold) = (PulsePhase::Renewals, false);
            self.bound.store(UNBOUND, Ordering::Release);
            self.tell();
        }
    }

    /// What the next heartbeat says, if this is wanted: the row goes on to hold the leases until the
    /// last writer has stopped leaning on it.
    pub(crate) fn next_keep_alive(
        &self,
        wanted: KeepAlive,
        bump_every: Option<Duration>,
    ) -> KeepAlive {
        let mut state = self.lock();
        let wants = wanted == KeepAlive::Heartbeats;
        state.bump_every = bump_every;
        let next = match state.phase {
            PulsePhase::Heartbeats if !wants => PulsePhase::Returning,
            PulsePhase::Returning if wants => PulsePhase::Heartbeats,
            phase => phase,
        };
        if next != state.phase {
            state.phase = next;
            self.tell();
        }
        if wants || state.leaning > 0 {
            KeepAlive::Heartbeats
        } else {
            KeepAlive::Renewals
        }
    }

    /// Whether its row was ever acknowledged.
    pub(crate) fn has_row(&self) -> bool {
        self.lock().sent.is_some()
    }

    /// Whether the row can say that each lease is renewed, because no writer leans on it any more.
    pub(crate) fn has_returned(&self) -> bool {
        let state = self.lock();
        state.phase == PulsePhase::Returning && state.leaning == 0
    }

    /// Its row is gone, or was killed.
    pub(crate) fn is_over(&self) {
        let mut state = self.lock();
        state.phase = PulsePhase::Over;
        if state.may_hold {
            self.bound.store(0, Ordering::Release);
        }
        self.tell();
    }

    /// How a lease is to be kept.
    pub(crate) fn footing(&self) -> Footing {
        let state = self.lock();
        match state.phase {
            PulsePhase::Heartbeats => Footing::Heartbeats {
                since: state.since,
                bump_every: state.bump_every,
            },
            // Who leans on one that is over has lost the lease, by its bound.
            PulsePhase::Renewals | PulsePhase::Returning | PulsePhase::Over => Footing::Renewals,
        }
    }

    /// Leans on the heartbeats, until what is returned is dropped. `None` if they hold no leases now.
    pub(crate) fn lean(self: &Arc<Self>) -> Option<Leaning> {
        let mut state = self.lock();
        (state.phase == PulsePhase::Heartbeats).then(|| {
            state.leaning += 1;
            Leaning(Arc::clone(self))
        })
    }

    /// Grows when writers have to look at it again.
    pub(crate) const fn changes(&self) -> &Watermark {
        &self.changes
    }

    fn tell(&self) {
        self.changes.raise_by_one();
    }

    fn lock(&self) -> MutexGuard<'_, PulseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer's reliance on the heartbeats.
#[derive(Debug)]
pub(crate) struct Leaning(Arc<Pulse>);

impl Drop for Leaning {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.leaning -= 1;
        if state.leaning == 0 && state.phase == PulsePhase::Returning {
            // The row may say so now.
            drop(state);
            self.0.tell();
        }
    }
}

/// The pulse of the incarnation under which this worker begins its tenancies, and what is wanted of
/// it.
#[derive(Clone, Debug)]
pub(crate) struct OwnPulse(Arc<OwnPulseState>);

#[derive(Debug)]
struct OwnPulseState {
    current: Mutex<Arc<Pulse>>,
    /// What the fleet allows.
    wanted: watch::Sender<KeepAlive>,
}

impl Default for OwnPulse {
    fn default() -> Self {
        Self(Arc::new(OwnPulseState {
            current: Mutex::new(Arc::new(Pulse::new(random_token()))),
            wanted: watch::Sender::new(KeepAlive::Renewals),
        }))
    }
}

impl OwnPulse {
    /// The current one.
    pub(crate) fn now(&self) -> Arc<Pulse> {
        Arc::clone(&self.lock())
    }

    /// The one under which a tenancy with this token began. If that is over, nothing may be delivered
    /// in it: a take that was answered late may have made it, and others may have the lease at once.
    pub(crate) fn of(&self, token: Option<&Token>) -> Arc<Pulse> {
        let current = self.now();
        match token.and_then(Token::incarnation) {
            None => Pulse::none(),
            Some(named) if named == current.incarnation.as_str() => current,
            Some(_) => {
                let over = Pulse::none();
                over.bound.store(0, Ordering::Release);
                over
            }
        }
    }

    /// The row of the current incarnation is gone or was killed: another one begins.
    pub(crate) fn begins_anew(&self) {
        let former = std::mem::replace(&mut *self.lock(), Arc::new(Pulse::new(random_token())));
        former.is_over();
    }

    /// What is to show that the leases are held.
    pub(crate) fn want(&self, keep_alive: KeepAlive) {
        self.0.wanted.send_if_modified(|wanted| {
            let changes = *wanted != keep_alive;
            *wanted = keep_alive;
            changes
        });
    }

    /// What is wanted, and when that changes.
    pub(crate) fn wanted(&self) -> watch::Receiver<KeepAlive> {
        self.0.wanted.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Pulse>> {
        self.0
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
