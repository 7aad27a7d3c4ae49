use crate::sim::dice::Dice;

/// How the streams of a world push records. Rates are of 1 an event; 0 is off. There is none of it
/// after the faults, but for the end of a subscription after its time, for what is silent then, and
/// for what never ends: it stays so.
#[derive(Clone, Debug, PartialEq)]
pub struct FanOut {
    /// How long a subscription lasts at the most, in milliseconds: the service's five minutes, or
    /// less.
    pub session_ms: u64,
    /// A subscription ends before its time.
    pub end: f64,
    /// A subscription breaks, perhaps in the middle of an event.
    pub reset: f64,
    /// Nothing comes any more, and nobody says so.
    pub silent: f64,
    /// An event comes late, by up to `late_ms`.
    pub late: f64,
    /// The latest such event, in milliseconds.
    pub late_ms: u64,
    /// An event has no records though there are some.
    pub empty: f64,
    /// A subscription is refused though nobody has one. Of 1 a call.
    pub busy: f64,
    /// How long a new consumer is not active, in milliseconds.
    pub creating_ms: u64,
    /// Somebody removes the consumer: a mean, in milliseconds; 0 is off.
    pub removed_every_ms: u64,
    /// Whether some processes poll, and some take what they can have.
    pub mixed: bool,
    /// The last event of a shard does not name the shards that follow, though there are some.
    pub unnamed: f64,
    /// There is no last event: a subscription to a shard that has ended gives empty ones with a
    /// place to go on at, also after the faults.
    pub endless: bool,
}

impl FanOut {
    pub(super) fn draw(seed: u64) -> Self {
        let dice = &mut Dice::new(seed, "fan-out");
        Self {
            session_ms: dice.pick(&[6_000, 20_000, 60_000, 300_000, 300_000]),
            end: dice.rate(0.5, 0.001, 0.05),
            reset: dice.rate(0.6, 0.001, 0.05),
            silent: dice.rate(0.5, 0.001, 0.02),
            late: dice.rate(0.5, 0.01, 0.2),
            late_ms: dice.range(100, 8_000),
            empty: dice.rate(0.5, 0.01, 0.3),
            busy: dice.rate(0.5, 0.01, 0.5),
            creating_ms: dice.pick(&[0, 500, 3_000, 10_000]),
            removed_every_ms: if dice.chance(0.25) {
                dice.log(20_000.0, 120_000.0) as u64
            } else {
                0
            },
            mixed: dice.chance(0.3),
            unnamed: dice.pick(&[0.0, 0.5, 1.0]),
            endless: Dice::new(seed, "endless subscriptions").chance(0.3),
        }
    }

    /// The same without its faults.
    #[must_use]
    pub fn healed(&self) -> Self {
        let (session_ms, mixed, endless) = (self.session_ms, self.mixed, self.endless);
        Self {
            session_ms,
            end: 0.0,
            reset: 0.0,
            silent: 0.0,
            late: 0.0,
            late_ms: 0,
            empty: 0.0,
            busy: 0.0,
            creating_ms: 0,
            removed_every_ms: 0,
            mixed,
            unnamed: 0.0,
            endless,
        }
    }
}
