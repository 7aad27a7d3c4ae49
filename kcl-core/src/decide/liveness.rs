//! What shows that a worker's leases are held: heartbeats, which cost by worker, or renewals, which
//! cost by lease and which every KCL understands.
//!
//! | setting | others know heartbeats, and see this worker's row | else |
//! |---|---|---|
//! | [`Liveness::Auto`] | heartbeats, unless a KCL may share the leases | renewals |
//! | [`Liveness::Fleet`] | heartbeats | renewals |
//! | [`Liveness::Compatible`] | heartbeats, and every counter moves once in 0.7 of the failover time | renewals |
//! | [`Liveness::Kcl`] | renewals | renewals |
//!
//! Workers with different settings share a table: each row says what its own leases are held by.

use std::str::FromStr;
use std::time::Duration;

use crate::lease::KeepAlive;
use crate::model::InvalidValue;

/// How a worker shows that it holds its leases while it stores no checkpoint.
///
/// A lease without traffic costs nothing under heartbeats: an idle worker writes its own row three
/// times in a failover time, whatever the number of its leases. Under renewals it writes each of its
/// leases so often, as the KCL does.
///
/// The workers of a fleet may have different ones: each row says what holds the leases of its worker.
///
/// # Examples
/// ```
/// use kcl_core::worker::Liveness;
/// use kcl_core::{MemoryLeaseTable, Worker};
/// # use kcl_core::processor::{Failure, ProcessRecordsInput, ShardRef};
/// # use kcl_core::{BoxError, MemoryStream, RecordProcessor};
/// # struct Printer;
/// # impl RecordProcessor for Printer {
/// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> Result<(), BoxError> {
/// // Java workers may be started on this table at any time.
/// let worker = Worker::builder()
///     .stream("orders")
/// #   .source(MemoryStream::new("orders", 1))
///     .application("orders")
///     .lease_table(MemoryLeaseTable::new())
///     .liveness(Liveness::Compatible)
///     .processor(|_: &ShardRef| Printer)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Liveness {
    /// Heartbeats, as long as every other worker of the fleet knows them and the table shows no
    /// trace of a KCL. If one appears, every lease is renewed at once. The default.
    ///
    /// A KCL that starts on the table is seen within 5 s (or half the failover time, if that is
    /// less). It shows itself by a row before it looks at the leases, and judges none before it has
    /// looked twice, twice its failover time apart. A KCL 3.5 that is configured with
    /// `CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X_PHASE1` shows itself only by the leases that it
    /// takes: [`Compatible`](Self::Compatible) suits workers on whose table it is to start.
    #[default]
    Auto,
    /// Heartbeats, whatever traces of a KCL the table shows. A KCL worker that starts then finds
    /// every lease expired, and takes what it can: choose this only if none will.
    Fleet,
    /// Heartbeats, and the counter of every lease moves all the same, once in 7 s or in 0.7 of the
    /// failover time, if that is less: not as often as by the KCL's renewals (each third of its
    /// failover time of 10 s), and often enough that a KCL worker which starts finds every lease held.
    Compatible,
    /// Each lease is renewed in every third of the failover time, as the KCL does.
    Kcl,
}

/// From `auto`, `fleet`, `compatible` or `kcl`, as in the options of a program.
impl FromStr for Liveness {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "auto" => Ok(Self::Auto),
            "fleet" => Ok(Self::Fleet),
            "compatible" => Ok(Self::Compatible),
            "kcl" => Ok(Self::Kcl),
            _ => {
                let expected = "auto, fleet, compatible or kcl";
                Err(InvalidValue::new("liveness", format!("`{text}`"), expected))
            }
        }
    }
}

/// 0.7 of the KCL's default failover time: its workers look at all leases once in twice that time,
/// and take those whose counters have not moved for longer than that time.
const BUMP_EVERY: Duration = Duration::from_secs(7);

impl Liveness {
    /// How often the counter of a lease moves that heartbeats hold, if it does. A fleet with a shorter
    /// failover time than the KCL's default shares its table with a KCL of that time, if with any.
    pub(crate) fn bump_every(self, failover: Duration) -> Option<Duration> {
        match self {
            Self::Compatible => Some(BUMP_EVERY.min(failover * 7 / 10)),
            Self::Auto | Self::Fleet | Self::Kcl => None,
        }
    }
}

/// What is known of those who judge this worker's leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetTraits {
    /// The table shows the row of this worker to the others.
    pub is_shown: bool,
    /// All other live workers know heartbeats.
    pub all_know: bool,
    /// KCL workers hold leases of the table, or may at any moment.
    pub kcl_may_share: bool,
}

/// What is to show that this worker's leases are held.
#[must_use]
pub const fn keep_alive(liveness: Liveness, fleet: FleetTraits) -> KeepAlive {
    let is_wanted = match liveness {
        Liveness::Auto => !fleet.kcl_may_share,
        Liveness::Fleet | Liveness::Compatible => true,
        Liveness::Kcl => false,
    };
    if is_wanted && fleet.is_shown && fleet.all_know {
        KeepAlive::Heartbeats
    } else {
        KeepAlive::Renewals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: FleetTraits = FleetTraits {
        is_shown: true,
        all_know: true,
        kcl_may_share: false,
    };

    #[test]
    fn heartbeats_hold_leases_only_where_everybody_judges_by_them() {
        for liveness in [Liveness::Auto, Liveness::Fleet, Liveness::Compatible] {
            assert_eq!(keep_alive(liveness, OURS), KeepAlive::Heartbeats);
            for blind in [
                FleetTraits {
                    is_shown: false,
                    ..OURS
                },
                FleetTraits {
                    all_know: false,
                    ..OURS
                },
            ] {
                assert_eq!(keep_alive(liveness, blind), KeepAlive::Renewals);
            }
        }
        assert_eq!(keep_alive(Liveness::Kcl, OURS), KeepAlive::Renewals);
    }

    #[test]
    fn beside_a_kcl_each_lease_is_renewed_unless_it_is_set() {
        let beside = FleetTraits {
            kcl_may_share: true,
            ..OURS
        };
        assert_eq!(keep_alive(Liveness::Auto, beside), KeepAlive::Renewals);
        assert_eq!(keep_alive(Liveness::Fleet, beside), KeepAlive::Heartbeats);
        let held = keep_alive(Liveness::Compatible, beside);
        assert_eq!(held, KeepAlive::Heartbeats);
    }

    #[test]
    fn a_kcl_of_the_same_failover_time_sees_each_counter_move() {
        let seconds = Duration::from_secs;
        let every = |failover| Liveness::Compatible.bump_every(seconds(failover));
        assert_eq!(every(10), Some(BUMP_EVERY));
        assert_eq!(every(60), Some(BUMP_EVERY), "the KCL's may be its default");
        assert_eq!(every(3), Some(Duration::from_millis(2100)));
        assert_eq!(Liveness::Auto.bump_every(seconds(10)), None);
    }
}
