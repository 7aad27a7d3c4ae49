//! When a denied call ends the worker: immediately at the start, later only if the denial lasts.
//!
//! While a policy is being changed, a role renewed or a proxy restarted, the service may for a
//! second or two deny calls that it granted before, to a whole fleet at once. So a denial of a call
//! that was granted before is final only after it has lasted for [`Settings::refusal_limit`]. The
//! same holds for every call to a stream once records have been read from it. A denial of a call
//! that was never granted is a configuration error, and is final immediately.
//!
//! [`Settings::refusal_limit`]: crate::worker::Settings::refusal_limit

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::Moment;

/// What is known about the denials of one service.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// The calls that were granted at least once, by name.
    granted: BTreeSet<&'static str>,
    /// Whether every call that needs only the proven permissions counts as granted. Set when
    /// records are read or a lease is written.
    proven: bool,
    /// The first and the last denial of each call since it was granted. A call that is granted
    /// again leaves it.
    refused: BTreeMap<&'static str, (Moment, Moment)>,
}

/// What follows a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalVerdict {
    /// It is final. The worker ends with it, or leaves the stream unread.
    Final,
    /// The call is tried again.
    Again {
        /// Whether this begins a new series of denials, which has to be reported.
        first: bool,
    },
}

impl Refusals {
    /// Notes that a call was granted. `proves` says that this proves the configuration of the
    /// service as a whole. Returns whether it ends a series of denials.
    pub fn granted(&mut self, call: &'static str, proves: bool) -> bool {
        self.granted.insert(call);
        self.proven |= proves;
        self.refused.remove(call).is_some()
    }

    /// Notes that a call was denied at `now`; denials are final after `limit`. `by_proof` says that
    /// the call needs no permissions other than the proven ones.
    pub fn refused(
        &mut self,
        call: &'static str,
        by_proof: bool,
        now: Moment,
        limit: Duration,
    ) -> RefusalVerdict {
        let may_pass = self.granted.contains(call) || (self.proven && by_proof);
        if !may_pass {
            return RefusalVerdict::Final;
        }
        let none = self.refused.is_empty();
        let (first, last) = *self.refused.entry(call).or_insert((now, now));
        // Two denials that far apart, with no call in between, are not one series.
        let began = if now.since(last) > limit { now } else { first };
        self.refused.insert(call, (began, now));
        if now.since(began) >= limit {
            RefusalVerdict::Final
        } else {
            RefusalVerdict::Again {
                first: none || began == now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn what_was_never_granted_is_refused_for_good() {
        let mut refusals = Refusals::default();
        assert_eq!(
            refusals.refused("GetRecords", true, at(0), LIMIT),
            RefusalVerdict::Final
        );
        refusals.granted("ListShards", false);
        assert_eq!(
            refusals.refused("GetRecords", true, at(0), LIMIT),
            RefusalVerdict::Final,
            "another call was granted"
        );
        assert_eq!(
            refusals.refused("ListShards", true, at(0), LIMIT),
            RefusalVerdict::Again { first: true }
        );
    }

    #[test]
    fn what_was_granted_once_may_be_refused_until_the_limit() {
        let mut refusals = Refusals::default();
        refusals.granted("GetRecords", true);
        assert_eq!(
            refusals.refused("GetRecords", true, at(10), LIMIT),
            RefusalVerdict::Again { first: true }
        );
        assert_eq!(
            refusals.refused("GetRecords", true, at(70), LIMIT),
            RefusalVerdict::Again { first: false }
        );
        assert_eq!(
            refusals.refused("GetRecords", true, at(129), LIMIT),
            RefusalVerdict::Again { first: false }
        );
        assert_eq!(
            refusals.refused("GetRecords", true, at(130), LIMIT),
            RefusalVerdict::Final
        );
        assert_eq!(
            refusals.refused("ListShards", true, at(131), LIMIT),
            RefusalVerdict::Again { first: true },
            "records came once"
        );
        assert_eq!(
            refusals.refused("RegisterStreamConsumer", false, at(131), LIMIT),
            RefusalVerdict::Final,
            "a right of its own"
        );
    }

    #[test]
    fn a_grant_ends_a_refusal_and_two_that_are_far_apart_are_two() {
        let mut refusals = Refusals::default();
        refusals.granted("GetRecords", true);
        assert!(!refusals.granted("GetRecords", true));
        refusals.refused("GetRecords", true, at(0), LIMIT);
        assert!(refusals.granted("GetRecords", true));
        assert_eq!(
            refusals.refused("GetRecords", true, at(130), LIMIT),
            RefusalVerdict::Again { first: true }
        );
        assert_eq!(
            refusals.refused("GetRecords", true, at(131 + 120), LIMIT),
            RefusalVerdict::Again { first: true },
            "nobody asked in between"
        );
        assert_eq!(
            refusals.refused("GetRecords", true, at(251 + 120), LIMIT),
            RefusalVerdict::Final,
            "they are one when they are the limit apart"
        );
    }
}
