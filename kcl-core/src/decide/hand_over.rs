//! What the owner of a lease answers to one who asks for it.
//!
//! It is judged when the request is seen. While the lease is being drained, a requester that [`Members`] then takes for dead is refused
//! with the next look: what is passed on to the dead is read by nobody until others find out.

use std::fmt;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::model::{Moment, WorkerId};

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Drain it and pass it on.
    PassOn,
    /// Keep it, and say so.
    Refuse(Reason),
    /// I am leaving: I drain it and free it, which ends the request too. Whoever leaves cannot see to it that it is claimed.
    Release,
    /// Nothing was seen of late of who asks: read its row first, give [`Members`] what is found, and judge again.
    AskTable,
}

/// Why a lease is kept. Its text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The requester has not sent a heartbeat recently, or is leaving.
    NotAlive,
    /// It was refused a short while ago, as draining it took too long.
    CoolingDown,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAlive => "the requester has not sent a heartbeat recently",
            Self::CoolingDown => "a request for it was refused a short while ago",
        })
    }
}

/// Judges the request of `requester` for a lease of mine. `cooling`: this lease was refused of late; `leaving`: I am stopping.
///
/// It is passed on only to who has shown life within one heartbeat and one look: so long ago at most was the last heartbeat of a
/// worker that lives seen.
#[must_use]
pub fn judge_request(
    requester: &WorkerId,
    members: &Members,
    cooling: bool,
    leaving: bool,
    now: Moment,
    timing: &Timing,
) -> Verdict {
    if leaving {
        return Verdict::Release;
    }
    if cooling {
        return Verdict::Refuse(Reason::CoolingDown);
    }
    if members.is_leaving(requester) {
        return Verdict::Refuse(Reason::NotAlive);
    }
    let heartbeat = members.failover(requester).unwrap_or_default().max(timing.failover) / 3;
    let lives = |life: Moment| now.since(life) <= heartbeat + timing.look;
    if members.last_life(requester).is_some_and(lives) {
        return Verdict::PassOn;
    }
    if members.last_read(requester).is_none_or(|read| now.since(read) > timing.call_limit) {
        return Verdict::AskTable;
    }
    if !members.has_rows() && members.last_life(requester).is_none() {
        // Where no worker has a row, to ask is all the life that one without leases can show.
        return Verdict::PassOn;
    }
    Verdict::Refuse(Reason::NotAlive)
}

#[cfg(test)]
#[path = "hand_over_test.rs"]
mod tests;
