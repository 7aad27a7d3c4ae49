//! A request of this worker for a lease of another, and how it ends. The row is the only answer: a
//! hand-over makes this worker its owner, a refusal makes the other its owner again.

use std::time::Duration;

use crate::model::{Lease, Moment, WorkerId};

/// A request of this worker, from when it is sent until it is seen to be over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRequest {
    /// The owner.
    pub of: WorkerId,
    /// When it was sent, or acknowledged.
    pub since: Moment,
    /// Whether the table has not answered yet.
    pub is_sending: bool,
}

/// The state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It is open, or may be: nothing newer was seen.
    Open,
    /// It is over: the lease belongs to another worker, or to this one.
    Over,
    /// The owner has kept its lease.
    Refused,
}

impl OwnRequest {
    /// What the row shows about the request of `me`. The row was read at `now` or up to `slack`
    /// before; without a row, the lease does not exist.
    #[must_use]
    pub fn state(
        &self,
        row: Option<&Lease>,
        me: &WorkerId,
        now: Moment,
        slack: Duration,
    ) -> RequestState {
        if self.is_sending || now <= self.since + slack {
            // The row may be older than the request.
            return RequestState::Open;
        }
        match row {
            Some(row)
                if row.owner.as_ref() == Some(me)
                    && row.checkpoint_owner.as_ref() == Some(&self.of) =>
            {
                RequestState::Open
            }
            Some(row) if row.actual_owner() == Some(&self.of) => RequestState::Refused,
            _ => RequestState::Over,
        }
    }
}
