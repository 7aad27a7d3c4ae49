//! A lease that failed here is left to others for a while. If there is no other worker, it is taken
//! again by this one, and a shard that cannot be read is tried about once a minute.

use std::time::Duration;

use crate::model::Moment;

/// The pause after a lease was lost or could not be read: 1 s, doubled up to a minute.
const COOL_FROM: Duration = Duration::from_secs(1);
const COOL_TO: Duration = Duration::from_secs(60);

/// The time for which a lease is left alone after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoolDown {
    until: Moment,
    span: Duration,
}

impl CoolDown {
    /// The cool-down after a failure at `now`, given the previous one. The time is doubled if that
    /// was recent: an attempt may take up to `tries` until it fails. After a long time without a
    /// failure, it starts again with the shortest pause.
    #[must_use]
    pub fn after(before: Option<Self>, now: Moment, tries: Duration) -> Self {
        let span = match before {
            Some(before) if now < before.until + before.span + COOL_TO + tries => {
                (before.span * 2).min(COOL_TO)
            }
            _ => COOL_FROM,
        };
        Self {
            until: now + span,
            span,
        }
    }

    /// Whether it still lasts.
    #[must_use]
    pub fn lasts(&self, now: Moment) -> bool {
        now < self.until
    }
}
