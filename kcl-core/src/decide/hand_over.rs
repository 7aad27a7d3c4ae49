//! How the owner of a lease answers a request for it.
//!
//! A request is judged when it is seen. If [`Members`] takes the requester for dead while the lease
//! is being drained, the request is refused at the next scan: a lease that is handed over to a dead
//! worker is not read until others find out.

use std::fmt;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::model::{Moment, WorkerId};

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverVerdict {
    /// Drain the shard and hand the lease over. The consumer is told, and answers between two
    /// batches.
    PassOn,
    /// Keep the lease, and refuse the request. The requester leaves the lease alone for a while, so
    /// a refusal is not followed by the next request.
    Refuse(RefusalReason),
    /// This worker is leaving: drain the shard and release the lease, which also ends the request.
    /// A worker that leaves cannot make sure that the lease is claimed.
    Release,
    /// The requester has not been seen recently: read its row first, pass the result to
    /// [`Members`], and judge again. A worker without leases that has just joined was perhaps never
    /// seen; its request should not fail for that.
    AskTable,
}

/// Why a lease is kept. The `Display` text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The requester has not sent a heartbeat recently, or is leaving.
    NotAlive,
    /// A request for this lease was refused a short while ago, because draining the shard took too
    /// long. Without it, a shard with slow batches would stop fetching for each request, and hardly
    /// read at all.
    CoolingDown,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAlive => "the requester has not sent a heartbeat recently",
            Self::CoolingDown => "a request for it was refused a short while ago",
        })
    }
}

/// Judges the request of `requester` for a lease of this worker. `cooling` says that a request for
/// this lease was refused recently, and `leaving` that this worker is stopping.
///
/// The lease is handed over only to a worker that was seen alive within the time of one heartbeat
/// and one scan: the last heartbeat of a live worker was seen at most that long ago.
#[must_use]
pub fn judge_request(
    requester: &WorkerId,
    members: &Members,
    cooling: bool,
    leaving: bool,
    now: Moment,
    timing: &Timing,
) -> HandOverVerdict {
    if leaving {
        return HandOverVerdict::Release;
    }
    if cooling {
        return HandOverVerdict::Refuse(RefusalReason::CoolingDown);
    }
    if members.is_leaving(requester) {
        return HandOverVerdict::Refuse(RefusalReason::NotAlive);
    }
    let heartbeat = members
        .failover(requester)
        .unwrap_or_default()
        .max(timing.failover)
        / 3;
    let lives = |life: Moment| now.since(life) <= heartbeat + timing.look;
    if members.last_life(requester).is_some_and(lives) {
        return HandOverVerdict::PassOn;
    }
    if members
        .last_read(requester)
        .is_none_or(|read| now.since(read) > timing.call_limit)
    {
        return HandOverVerdict::AskTable;
    }
    if !members.has_rows() && members.last_life(requester).is_none() {
        // If no worker has a row, a request is the only sign of life that a worker without leases
        // can give.
        return HandOverVerdict::PassOn;
    }
    HandOverVerdict::Refuse(RefusalReason::NotAlive)
}

#[cfg(test)]
#[path = "hand_over_test.rs"]
mod tests;
