use crate::sim::dice::Dice;

/// When a handler stores how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// It leaves that to the worker.
    Automatic,
    /// At the end of each batch, before it returns.
    EachBatch,
    /// In the middle of each batch.
    MidBatch,
    /// In two phases at the end of each batch, before it returns.
    Prepared,
    /// From a task of its own, some time after the call has returned: batches that follow are
    /// handed out meanwhile.
    Late,
    /// Never. The worker stores nothing either.
    Never,
    /// A handler of single records, of which it is given one after the other.
    InOrder,
    /// The same, of several at the same time, those of one key one after the other.
    ByKey,
    /// The same, in any order.
    Unordered,
    /// A handler of buffers.
    Buffered,
    /// A handler of a buffer that the shards of a process share.
    SharedBuffer,
}

/// What the application's processors do. Rates are of 1 a call; 0 is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Handlers {
    /// Drawn from for each processor. All automatic, all of single records, all of buffers, or none of
    /// these.
    pub styles: Vec<Style>,
    /// How long a batch usually takes at the most, in milliseconds.
    pub usual_ms: u64,
    /// A batch takes longer, up to `slow_ms`.
    pub slow: f64,
    /// The longest such batch.
    pub slow_ms: u64,
    /// A batch takes for ever (until the heal).
    pub hang: f64,
    /// A call fails.
    pub fail: f64,
    /// A call panics.
    pub panic: f64,
    /// How long a late checkpoint comes after its batch at the most, in milliseconds.
    pub late_ms: u64,
}

impl Handlers {
    pub(super) fn draw(dice: &mut Dice, failover_ms: u64) -> Self {
        const MANUAL: [Style; 5] = [
            Style::EachBatch,
            Style::MidBatch,
            Style::Prepared,
            Style::Late,
            Style::Never,
        ];
        let styles = if dice.chance(0.4) {
            vec![Style::Automatic]
        } else {
            (0..dice.range(1, 3)).map(|_| dice.pick(&MANUAL)).collect()
        };
        Self {
            styles,
            usual_ms: dice.pick(&[0, 1, 5, 20, 100]),
            slow: dice.rate(0.5, 0.001, 0.05),
            slow_ms: dice.range(failover_ms / 4, failover_ms * 3),
            hang: dice.rate(0.15, 0.0003, 0.003),
            fail: dice.rate(0.5, 0.001, 0.1),
            panic: dice.rate(0.4, 0.001, 0.03),
            late_ms: dice.range(10, failover_ms),
        }
    }

    /// Handlers that do their work.
    pub(super) fn calm() -> Self {
        Self {
            styles: vec![Style::Automatic],
            usual_ms: 5,
            slow: 0.0,
            slow_ms: 0,
            hang: 0.0,
            fail: 0.0,
            panic: 0.0,
            late_ms: 0,
        }
    }

    /// The same handlers after the faults: they do their work.
    #[must_use]
    pub fn healed(&self) -> Self {
        Self {
            slow: 0.0,
            hang: 0.0,
            fail: 0.0,
            panic: 0.0,
            ..self.clone()
        }
    }

    /// Whether the worker stores what is done.
    #[must_use]
    pub fn automatic(&self) -> bool {
        self.styles.iter().any(|style| {
            matches!(
                style,
                Style::Automatic
                    | Style::InOrder
                    | Style::ByKey
                    | Style::Unordered
                    | Style::Buffered
                    | Style::SharedBuffer
            )
        })
    }
}
