use crate::sim::dice::Dice;

/// What happens to processes and networks. Times are means between two such events in the whole
/// fleet, in milliseconds; 0 is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// A process is killed.
    pub crash_every_ms: u64,
    /// A process is asked to stop in good order.
    pub stop_every_ms: u64,
    /// A process stands still.
    pub freeze_every_ms: u64,
    /// The longest standstill.
    pub freeze_ms: u64,
    /// A process stands still at a chosen point (check to hand-over, hand-over to checkpoint,
    /// checkpoint to renewal): one of so many passes of such a point; 0 is off.
    pub freeze_one_in: u64,
    /// A worker cannot reach the lease table, or its answers do not come.
    pub table_cut_every_ms: u64,
    /// A worker cannot reach the stream.
    pub stream_cut_every_ms: u64,
    /// A worker is told to read a stream no more, and later to read it again.
    pub streams_every_ms: u64,
    /// The longest cut.
    pub cut_ms: u64,
    /// When a process loses its way to the stream: until the others have read everything, after the
    /// heal. Not a mean.
    pub out_of_reach_ms: u64,
    /// When a stream is deleted and made again under its name. Not a mean.
    pub replaced_ms: u64,
    /// When the row of a lease becomes unreadable: until all else is done, after the heal. Not a
    /// mean.
    pub malformed_ms: u64,
    /// An operator pauses a shard, and resumes it later or never, until the heal.
    pub pauses_every_ms: u64,
    /// An operator sets where a shard is read on: it pauses it, waits, sets it and resumes it, and may
    /// stop in between.
    pub seeks_every_ms: u64,
    /// An operator pauses a shard once, for so long. Not a mean.
    pub long_pause_ms: u64,
    /// An operator moves a lease to a worker, and takes that back later or never.
    pub moves_every_ms: u64,
    /// An operator drains a worker, and ends that later or never.
    pub drains_every_ms: u64,
    /// A second process is started under the id of one that lives.
    pub duplicate_every_ms: u64,
    /// Whether a restarted process has a new id.
    pub new_ids: bool,
    /// How long a process is down at the most.
    pub down_ms: u64,
}

impl Chaos {
    pub(super) fn draw(dice: &mut Dice, failover_ms: u64) -> Self {
        let mut every = |on: f64, from: f64, to: f64| {
            if dice.chance(on) {
                dice.log(from, to) as u64
            } else {
                0
            }
        };
        Self {
            crash_every_ms: every(0.7, 10_000.0, 90_000.0),
            stop_every_ms: every(0.6, 10_000.0, 90_000.0),
            freeze_every_ms: every(0.6, 8_000.0, 90_000.0),
            freeze_one_in: every(0.4, 100.0, 3_000.0),
            table_cut_every_ms: every(0.5, 10_000.0, 90_000.0),
            stream_cut_every_ms: every(0.4, 10_000.0, 90_000.0),
            duplicate_every_ms: every(0.25, 20_000.0, 90_000.0),
            streams_every_ms: 0,
            out_of_reach_ms: 0,
            replaced_ms: 0,
            malformed_ms: 0,
            pauses_every_ms: 0,
            seeks_every_ms: 0,
            long_pause_ms: 0,
            moves_every_ms: 0,
            drains_every_ms: 0,
            freeze_ms: dice.range(failover_ms / 2, failover_ms * 4),
            cut_ms: dice.range(failover_ms / 2, failover_ms * 3),
            new_ids: dice.chance(0.5),
            down_ms: dice.range(50, failover_ms * 3),
        }
    }

    /// Nothing happens.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            crash_every_ms: 0,
            stop_every_ms: 0,
            freeze_every_ms: 0,
            freeze_ms: 0,
            freeze_one_in: 0,
            table_cut_every_ms: 0,
            stream_cut_every_ms: 0,
            cut_ms: 0,
            duplicate_every_ms: 0,
            streams_every_ms: 0,
            out_of_reach_ms: 0,
            replaced_ms: 0,
            malformed_ms: 0,
            pauses_every_ms: 0,
            seeks_every_ms: 0,
            long_pause_ms: 0,
            moves_every_ms: 0,
            drains_every_ms: 0,
            new_ids: false,
            down_ms: 0,
        }
    }
}
