//! The times of the protocol, all of which follow from the failover time.
//!
//! An owner's deadline counts from the moment it *sent* its last settled write. An observer counts
//! the expiry of another worker's lease from the moment it last *saw its counter change*. There is
//! a margin between the two, so that the owner has stopped before another worker takes over:
//!
//! | | share of the failover time F | |
//! |---|---|---|
//! | scan period P | 1/5 | how often each observer scans the table |
//! | D_obs | 4/5 | F - P: how long a counter may stand still before its lease is taken; with the scan that makes F |
//! | D_own | 18/25 | 0.9 D_obs: how long an owner may continue after it sent its last settled write |
//! | renewal | 1/3 | as the KCL does |
//! | call limit | 9/50 | D_own / 4: a call that hangs leaves time for more calls |

use std::time::Duration;

/// The times that follow from the failover time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// The failover time itself. The KCL's default is 10 s. A worker that dies is replaced within
    /// it, plus the time of a take.
    pub failover: Duration,
    /// How often an observer scans the table. With change notifications, scans only find what a
    /// lost notification has left out.
    pub look: Duration,
    /// How long a counter may stand still before its lease counts as expired. The owner has stopped
    /// by then: [`valid_for`](Self::valid_for) is a tenth shorter, and counts from an earlier
    /// moment.
    pub expires_after: Duration,
    /// How long an owner may deliver records after it sent its last settled write. It is checked
    /// before each delivery, with no await in between.
    pub valid_for: Duration,
    /// How often an owner sends a heartbeat. Two fit into the time for which a lease is valid, so
    /// one may fail.
    pub renew_every: Duration,
    /// How long one call to the lease table may take. A call that takes longer counts as
    /// unanswered, and the write is sent again.
    pub call_limit: Duration,
}

impl Timing {
    /// The times for this failover time.
    #[must_use]
    pub fn for_failover(failover: Duration) -> Self {
        let look = failover / 5;
        let expires_after = failover - look;
        let valid_for = expires_after * 9 / 10;
        Self {
            failover,
            look,
            expires_after,
            valid_for,
            renew_every: failover / 3,
            call_limit: valid_for / 4,
        }
    }

    /// How long a counter may stand still under a worker's own name, moved by a process with this
    /// failover time, before a new process takes the name over: a process that lives moves it each
    /// renewal period, and a call may take its time. It is sooner than
    /// [`expires_after`](Self::expires_after), because the name belongs to both.
    #[must_use]
    pub fn adopts_after(&self, failover: Duration) -> Duration {
        failover.max(self.failover) / 3 + self.call_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Duration = Duration::from_secs(10);

    #[test]
    fn the_margins_of_the_protocol_hold() {
        let timing = Timing::for_failover(F);
        assert!(timing.look <= F / 5);
        assert!(timing.expires_after + timing.look <= F);
        assert!(timing.valid_for.as_secs_f64() <= 0.9 * timing.expires_after.as_secs_f64() + 1e-9);
        assert!(timing.call_limit <= timing.valid_for / 4);
        assert!(timing.renew_every + timing.call_limit < timing.valid_for);
    }
}
