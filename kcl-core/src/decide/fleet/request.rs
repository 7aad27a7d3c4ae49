use std::time::Duration;

use crate::model::{Lease, Moment, WorkerId};

/// A request of this worker, from when it is sent until it is seen to be over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRequest {
    /// Who was asked.
    pub of: WorkerId,
    /// When it was sent, or acknowledged.
    pub since: Moment,
    /// The table has not answered yet.
    pub is_sending: bool,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It stands, or may stand: nothing newer was seen.
    Open,
    /// It is over: the lease is somebody else's, or this worker's.
    Over,
    /// The owner has kept its lease.
    Refused,
}

impl OwnRequest {
    /// What the row tells of the request of `me`, as it was read at `now` or up to `slack` before.
    /// Without a row there is no lease.
    #[must_use]
    pub fn state(
        &self,
        row: Option<&Lease>,
        me: &WorkerId,
        now: Moment,
        slack: Duration,
    ) -> RequestState {
        if self.is_sending || now <= self.since + slack {
            // The row may be from before.
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
