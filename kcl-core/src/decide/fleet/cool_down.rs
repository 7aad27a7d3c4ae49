use std::time::Duration;

use crate::model::Moment;

/// After a lease was lost or could not be read: 1 s, doubled up to a minute.
const COOL_FROM: Duration = Duration::from_secs(1);
const COOL_TO: Duration = Duration::from_secs(60);

/// A lease that went wrong is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoolDown {
    until: Moment,
    span: Duration,
}

impl CoolDown {
    /// It went wrong at `now`, after this cool-down if there was one: the span is doubled if that
    /// was of late, as what is tried in vain may take `tries` until that shows. What went well for
    /// long is forgiven.
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

    /// Whether it goes on.
    #[must_use]
    pub fn lasts(&self, now: Moment) -> bool {
        now < self.until
    }
}
