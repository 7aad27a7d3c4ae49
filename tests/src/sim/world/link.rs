use crate::sim::dice::Dice;

/// How a service answers the calls of a worker. Rates are of 1 a call; 0 is off.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFaults {
    /// The shortest way there, and the shortest way back, in milliseconds.
    pub base_ms: u64,
    /// How often a way takes longer, up to `tail_ms`.
    pub tail: f64,
    /// The longest way, in milliseconds.
    pub tail_ms: u64,
    /// The request is lost: nothing happens, and no answer comes.
    pub lost_request: f64,
    /// It happens, and no answer comes.
    pub lost_answer: f64,
    /// It happens after the caller has given up, up to `late_ms` later.
    pub late: f64,
    /// The latest such landing, in milliseconds.
    pub late_ms: u64,
    /// It happens twice, the second time up to `late_ms` later.
    pub twice: f64,
    /// It is refused for its rate.
    pub throttled: f64,
    /// It fails in passing (streams only).
    pub transient: f64,
    /// How old an eventual read may be, in milliseconds.
    pub stale_ms: u64,
    /// A cursor has expired (streams only).
    pub expired: f64,
    /// A page has fewer records than it could, perhaps none (streams only).
    pub short: f64,
    /// An answer, or an event, says that a shard has ended that has not, or not yet (streams only).
    /// Not drawn here.
    pub false_end: f64,
}

impl LinkFaults {
    /// The faults of a link whose callers give up after `patience_ms`.
    pub(super) fn draw(dice: &mut Dice, patience_ms: u64, failover_ms: u64) -> Self {
        Self {
            base_ms: dice.range(1, 20),
            tail: dice.rate(0.7, 0.001, 0.1),
            tail_ms: dice.range(patience_ms / 2, patience_ms * 2),
            lost_request: dice.rate(0.6, 0.001, 0.05),
            lost_answer: dice.rate(0.6, 0.001, 0.05),
            late: dice.rate(0.6, 0.001, 0.05),
            late_ms: dice.range(3_000, failover_ms * 4),
            twice: dice.rate(0.5, 0.001, 0.05),
            throttled: dice.rate(0.5, 0.001, 0.1),
            transient: dice.rate(0.5, 0.001, 0.05),
            stale_ms: if dice.chance(0.5) {
                dice.range(50, 2_500)
            } else {
                0
            },
            expired: dice.rate(0.5, 0.001, 0.05),
            short: dice.rate(0.5, 0.01, 0.3),
            false_end: 0.0,
        }
    }

    /// A link that works: the one after the faults.
    #[must_use]
    pub fn healed(&self) -> Self {
        Self {
            base_ms: self.base_ms,
            ..Self::quiet()
        }
    }

    /// No fault.
    #[must_use]
    pub const fn quiet() -> Self {
        Self {
            base_ms: 2,
            tail: 0.0,
            tail_ms: 0,
            lost_request: 0.0,
            lost_answer: 0.0,
            late: 0.0,
            late_ms: 0,
            twice: 0.0,
            throttled: 0.0,
            transient: 0.0,
            stale_ms: 0,
            expired: 0.0,
            short: 0.0,
            false_end: 0.0,
        }
    }
}
