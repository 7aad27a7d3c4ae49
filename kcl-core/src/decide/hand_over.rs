//! What the owner of a lease answers to one who asks for it.
//!
//! It is judged when the request is seen. While the lease is being drained, a requester that
//! [`Members`] then takes for dead is refused with the next scan: what is handed over to the dead
//! is read by nobody until others find out.

use std::fmt;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::model::{Moment, WorkerId};

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverVerdict {
    /// Drain it and hand it over.
    PassOn,
    /// Keep it, and say so.
    Refuse(RefusalReason),
    /// I am leaving: I drain it and free it, which ends the request too. Whoever leaves cannot see
    /// to it that it is claimed.
    Release,
    /// Nothing was seen of late of who asks: read its row first, give [`Members`] what is found,
    /// and judge again.
    AskTable,
}

/// Why a lease is kept. Its text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The requester has not sent a heartbeat recently, or is leaving.
    NotAlive,
    /// It was refused a short while ago, as draining it took too long.
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

/// Judges the request of `requester` for a lease of mine. `cooling`: this lease was refused of
/// late; `leaving`: I am stopping.
///
/// It is handed over only to who has shown life within one heartbeat and one scan: so long ago at
/// most was the last heartbeat of a worker that lives seen.
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
        // Where no worker has a row, to ask is all the life that one without leases can show.
        return HandOverVerdict::PassOn;
    }
    HandOverVerdict::Refuse(RefusalReason::NotAlive)
}

#[cfg(test)]
#[path = "hand_over_test.rs"]
mod tests;
