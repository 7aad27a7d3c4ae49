use crate::lease::{KeepAlive, WorkerRow};
use crate::model::Moment;

use super::worker_observation::WorkerObservation;

/// What shows that a lease is held.
///
/// ```text
///   the lease's token names      the row of its holder          it is held as long as
///   -------------------------    ---------------------------    ------------------------------------
///   no incarnation               any                            its counter grows
///   an incarnation               of it, "renewals"              its counter grows
///                                of it, "heartbeats"            the row's counter grows
///                                of it, "killed"                it is not: it may be taken
///                                another's, or missing          its counter grows, and for a while
///                                                               after the row was last seen
/// ```
///
/// In the last case the row of the holder was replaced or deleted. Its heartbeats are refused from then
/// on, but who deleted it is not known. A person may have, a moment after a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseEvidence<'a> {
    /// The lease's own counter.
    Counter,
    /// The heartbeats of its holder's row, which has stood as it is since then.
    Heartbeats { row: &'a WorkerRow, since: Moment },
    /// Nothing any more: its holder's incarnation was declared dead, as was seen at this moment.
    Killed { since: Moment },
    /// The lease's own counter, and that the row was there until then.
    Gone { since: Moment },
}

impl<'a> LeaseEvidence<'a> {
    /// The evidence for a lease of this incarnation, by what was seen of its holder.
    pub(super) fn of(incarnation: &str, holder: &'a WorkerObservation) -> Self {
        let since = holder.incarnation_since;
        let Some(watched) = &holder.row else {
            return Self::Gone { since };
        };
        let row = watched.row();
        if row.incarnation.as_str() != incarnation {
            return Self::Gone { since };
        }
        match row.keep_alive {
            KeepAlive::Killed => Self::Killed {
                since: watched.since(),
            },
            KeepAlive::Heartbeats => Self::Heartbeats {
                row,
                since: watched.since(),
            },
            KeepAlive::Unknown | KeepAlive::Renewals => Self::Counter,
        }
    }
}
