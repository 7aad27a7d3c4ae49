//! What this worker has to do with which lease.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::assignment::OwnLeases;
use crate::model::{Lease, LeaseKey, Moment};
use crate::tenancy::held::Orders;
use crate::tenancy::issued_tokens::IssuedTokens;

/// After a lease was lost or could not be read: 1 s, doubled up to a minute.
const COOL_FROM: Duration = Duration::from_secs(1);
const COOL_TO: Duration = Duration::from_secs(60);
/// How long a lease is neither asked for nor handed over after a request for it was refused.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What this worker holds, takes, or still has a consumer of, and what it leaves alone for now.
#[derive(Debug, Default)]
pub(super) struct LocalLeases {
    with: BTreeMap<LeaseKey, LocalLease>,
    /// Not to be taken before then, and the span that led there.
    cool: BTreeMap<LeaseKey, (Moment, Duration)>,
    /// Read up to the bound of the reading: not to be taken in this run any more.
    read: BTreeSet<LeaseKey>,
    /// Refused, by this worker or to it, until then.
    refused: BTreeMap<LeaseKey, Moment>,
    /// Streams that this worker does not get through to, by what stands for them in the keys of
    /// their leases: it takes none of theirs.
    out_of_reach: BTreeSet<Option<Arc<str>>>,
}

/// What this worker has to do with a lease.
#[derive(Clone, Debug)]
pub(super) struct LocalLease {
    /// A writer keeps it, and takes these orders.
    pub(super) held: Option<Orders>,
    /// A consumer works on it, or a handler of a former tenancy has not returned.
    pub(super) consumed: bool,
}

impl LocalLeases {
    pub(super) fn len(&self) -> usize {
        self.with.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &LeaseKey> {
        self.with.keys()
    }

    pub(super) fn held(&self) -> usize {
        self.with
            .values()
            .filter(|engagement| engagement.held.is_some())
            .count()
    }

    pub(super) fn contains(&self, key: &LeaseKey) -> bool {
        self.with.contains_key(key)
    }

    /// Whether a writer or a consumer is at work on it.
    pub(super) fn is_at_work(&self, key: &LeaseKey) -> bool {
        self.with
            .get(key)
            .is_some_and(|engagement| engagement.held.is_some() || engagement.consumed)
    }

    /// The writer of a lease that is held.
    pub(super) fn orders(&self, key: &LeaseKey) -> Option<&Orders> {
        self.with
            .get(key)
            .and_then(|engagement| engagement.held.as_ref())
    }

    /// It is being taken or claimed.
    pub(super) fn begin(&mut self, key: LeaseKey) {
        self.with.insert(
            key,
            LocalLease {
                held: None,
                consumed: false,
            },
        );
    }

    pub(super) fn hold(&mut self, key: LeaseKey, orders: Orders, consumed: bool) {
        self.with.insert(
            key,
            LocalLease {
                held: Some(orders),
                consumed,
            },
        );
    }

    /// No writer keeps it any more.
    pub(super) fn let_go(&mut self, key: &LeaseKey) {
        if let Some(engagement) = self.with.get_mut(key) {
            engagement.held = None;
        }
    }

    /// No consumer works on it any more.
    pub(super) fn consumed(&mut self, key: &LeaseKey) {
        if let Some(engagement) = self.with.get_mut(key) {
            engagement.consumed = false;
        }
    }

    /// Forgets a lease that neither a writer nor a consumer has to do with any more. Whether it was
    /// one.
    pub(super) fn disengage(&mut self, key: &LeaseKey) -> bool {
        let idle = self
            .with
            .get(key)
            .is_some_and(|engagement| engagement.held.is_none() && !engagement.consumed);
        if idle {
            self.with.remove(key);
        }
        idle
    }

    /// Leaves the lease alone for a while, which is doubled if it was so of late: what is tried in
    /// vain may take `tries` until that shows.
    pub(super) fn cool_down(&mut self, lease: &LeaseKey, now: Moment, tries: Duration) {
        let span = match self.cool.get(lease) {
            // It went wrong again soon after it was taken again; what went well for long is
            // forgiven.
            Some((until, span)) if now < *until + *span + COOL_TO + tries => {
                (*span * 2).min(COOL_TO)
            }
            _ => COOL_FROM,
        };
        self.cool.insert(lease.clone(), (now + span, span));
    }

    /// It was read up to the bound of the reading.
    pub(super) fn finish_reading(&mut self, lease: LeaseKey) {
        self.read.insert(lease);
    }

    pub(super) fn is_read(&self, lease: &LeaseKey) -> bool {
        self.read.contains(lease)
    }

    pub(super) fn forgive(&mut self, lease: &LeaseKey) {
        self.cool.remove(lease);
    }

    /// This worker does not get through to the stream of the lease. Whether that is news.
    pub(super) fn lose_reach(&mut self, lease: &LeaseKey) -> bool {
        self.out_of_reach.insert(lease.stream.clone())
    }

    /// It does again.
    pub(super) fn reached(&mut self, lease: &LeaseKey) {
        self.out_of_reach.remove(&lease.stream);
    }

    /// A request for it was refused.
    pub(super) fn refuse(&mut self, lease: LeaseKey, now: Moment) {
        self.refused.retain(|_, until| now < *until);
        self.refused.insert(lease, now + REFUSED_FOR);
    }

    pub(super) fn is_refused(&self, lease: &LeaseKey, now: Moment) -> bool {
        self.refused.get(lease).is_some_and(|until| now < *until)
    }
}

/// The same at a moment, as a plan asks for it.
pub(super) struct LocalLeasesAt<'a> {
    pub(super) engaged: &'a LocalLeases,
    pub(super) begun: &'a IssuedTokens,
    pub(super) now: Moment,
}

impl OwnLeases for LocalLeasesAt<'_> {
    fn is_busy(&self, key: &LeaseKey) -> bool {
        self.engaged.contains(key)
            || self.engaged.read.contains(key)
            || self
                .engaged
                .cool
                .get(key)
                .is_some_and(|(until, _)| self.now < *until)
            || self.engaged.out_of_reach.contains(&key.stream)
    }

    fn is_mine(&self, row: &Lease) -> bool {
        self.begun.is_ours(row)
    }

    fn is_abandoned(&self, row: &Lease) -> bool {
        self.begun.is_abandoned(row)
    }

    fn may_ask(&self, key: &LeaseKey) -> bool {
        !self.engaged.is_refused(key, self.now)
    }
}

impl fmt::Debug for LocalLeasesAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngagedAt")
            .field("leases", &self.engaged.len())
            .finish_non_exhaustive()
    }
}
