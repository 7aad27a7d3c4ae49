//! When a service that refuses a call ends the worker: at once at the start, later only when it
//! lasts.
//!
//! A policy that is being changed, a role that is being renewed, a proxy that restarts: for a
//! second or two the service refuses what it has granted before, to a whole fleet at once. So a
//! call that was granted once is refused for [`Settings::refusal_limit`] before that is believed,
//! and so is each other call of a stream once records came from it. What was never granted is a
//! mistake of the configuration, and is believed at once.
//!
//! [`Settings::refusal_limit`]: crate::worker::Settings::refusal_limit

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::Moment;

/// What is known of the refusals of one service.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    granted: BTreeSet<&'static str>,
    /// Every call counts as granted.
    proven: bool,
    /// The first and the last refusal of each call since it was granted.
    refused: BTreeMap<&'static str, (Moment, Moment)>,
}

/// What follows a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalVerdict {
    /// It is believed.
    Final,
    /// The call is tried again; the service has refused it since then.
    Again {
        /// Nothing of this service was refused before: it has to be told.
        first: bool,
    },
}

impl Refusals {
    /// A call was granted; `proves` says that it shows that the service is set up rightly as a
    /// whole. Whether it ends a refusal.
    pub fn granted(&mut self, call: &'static str, proves: bool) -> bool {
        self.granted.insert(call);
        self.proven |= proves;
        self.refused.remove(call).is_some()
    }

    /// A call was refused at `now`; refusals are believed after `limit`. `by_proof` says that it
    /// needs no right but those that were proven.
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
        // Two refusals that far apart, with no call between them, are two.
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
