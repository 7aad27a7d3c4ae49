use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::cool_down::CoolDown;
use super::lease_entry::{HandedOver, LeaseEntry, LeaseWork};
use super::request::{OwnRequest, RequestState};

/// Everything that this worker knows about leases, one entry per lease.
#[derive(Clone, Debug, Default)]
pub struct LeaseEntries {
    /// Ordered, so that every worker goes over them in the same order: plans are compared by tests
    /// and by other workers' conduct.
    entries: BTreeMap<LeaseKey, LeaseEntry>,
    /// How many of them this worker is working on, and how many of those are kept by a writer.
    engaged: usize,
    held: usize,
    /// The streams that this worker cannot reach, as they appear in lease keys: it takes none of
    /// their leases.
    out_of_reach: BTreeSet<Option<Arc<str>>>,
}

/// Knows which tenancies belong to this process.
pub trait OwnTokens: fmt::Debug {
    /// Whether this process began the tenancy of the row.
    fn is_ours(&self, row: &Lease) -> bool;

    /// Whether the row with this worker's name is this process's. Until it is, a former process of
    /// the name may be alive, and its heartbeats may hold leases whose counters stand still.
    fn owns_name(&self) -> bool {
        true
    }

    /// Whether this process began the tenancy of the row but no longer works on it.
    fn is_abandoned(&self, row: &Lease) -> bool;
}

impl LeaseEntries {
    /// What is known about a lease, if anything is.
    #[must_use]
    pub fn get(&self, key: &LeaseKey) -> Option<&LeaseEntry> {
        self.entries.get(key)
    }

    /// The newest known row of a lease.
    #[must_use]
    pub fn row(&self, key: &LeaseKey) -> Option<&Lease> {
        self.get(key)?.row.as_ref()
    }

    /// The leases whose rows are known, ordered by key.
    pub fn known(&self) -> impl Iterator<Item = (&Lease, &LeaseEntry)> {
        self.entries
            .values()
            .filter_map(|entry| Some((entry.row.as_ref()?, entry)))
    }

    /// Their rows.
    pub fn rows(&self) -> impl Iterator<Item = &Lease> {
        self.known().map(|(row, _)| row)
    }

    /// The entry of a lease, which may be one of which nothing is known yet. One that is blank again
    /// is dropped by the next scan.
    fn entry(&mut self, key: &LeaseKey) -> &mut LeaseEntry {
        self.entries.entry(key.clone()).or_default()
    }
}

/// What is read.
impl LeaseEntries {
    /// Adds a scan of all rows that began and ended at these moments. It may be stale: a row that
    /// was read on its own since, or less than `look` before, is kept, unless the scan shows a
    /// request to `me`. A missing row is remembered for `patience`.
    pub fn scan(
        &mut self,
        rows: Vec<Lease>,
        (begun, ended): (Moment, Moment),
        me: &WorkerId,
        look: Duration,
        patience: Duration,
    ) {
        let mut scanned: BTreeMap<LeaseKey, Lease> =
            rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        for (key, entry) in &mut self.entries {
            entry.read_at = entry.read_at.filter(|at| *at + look > begun);
            entry.forget_refusal(begun);
            entry.take_in(scanned.remove(key), me);
            entry.there_at = if entry.row.is_some() {
                Some(ended)
            } else {
                entry.there_at.filter(|at| *at + patience > ended)
            };
        }
        self.entries.retain(|_, entry| !entry.is_blank());
        self.entries.extend(scanned.into_iter().map(|(key, row)| {
            let entry = LeaseEntry {
                row: Some(row),
                there_at: Some(ended),
                ..LeaseEntry::default()
            };
            (key, entry)
        }));
    }

    /// Adds a row that was read on its own or returned by a write.
    pub fn see(&mut self, row: Lease, at: Moment) {
        let entry = self.entry(&row.key);
        (entry.there_at, entry.read_at) = (Some(at), Some(at));
        entry.row = Some(row);
    }

    /// Forgets a row that was read and does not exist, or that is no longer known.
    pub fn forget(&mut self, key: &LeaseKey, at: Moment) {
        let entry = self.entry(key);
        (entry.row, entry.read_at) = (None, Some(at));
    }

    /// Whether a read that began at this moment may show the row in an older state than the known
    /// one.
    #[must_use]
    pub fn is_older(&self, key: &LeaseKey, begun: Moment) -> bool {
        self.get(key)
            .and_then(|entry| entry.read_at)
            .is_some_and(|at| at > begun)
    }

    /// Whether every row that is known to have changed was read since. A scan may show such a row
    /// as it was before the change.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.entries
            .values()
            .all(|entry| entry.read_at.is_none() || entry.row.is_some())
    }

    /// The rows that exist, or existed less than `patience` ago.
    pub fn there_of_late(
        &self,
        now: Moment,
        patience: Duration,
    ) -> impl Iterator<Item = &LeaseKey> {
        let of_late = move |at: Moment| at + patience > now;
        self.entries
            .iter()
            .filter(move |(_, entry)| entry.there_at.is_some_and(of_late))
            .map(|(key, _)| key)
    }
}

/// What this worker is doing with a lease.
impl LeaseEntries {
    /// How many leases it is working on.
    #[must_use]
    pub const fn engaged(&self) -> usize {
        self.engaged
    }

    /// How many it holds.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// The leases that it is working on.
    pub fn engaged_keys(&self) -> impl Iterator<Item = &LeaseKey> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.work != LeaseWork::Nothing)
            .map(|(key, _)| key)
    }

    /// What it is doing with this lease.
    #[must_use]
    pub fn work(&self, key: &LeaseKey) -> LeaseWork {
        self.get(key).map_or(LeaseWork::Nothing, LeaseEntry::work)
    }

    /// Whether it is working on it.
    #[must_use]
    pub fn is_engaged(&self, key: &LeaseKey) -> bool {
        self.work(key) != LeaseWork::Nothing
    }

    /// The only way to change what this worker does with a lease: the counts follow it.
    fn set_work(&mut self, key: &LeaseKey, work: LeaseWork) {
        let before = std::mem::replace(&mut self.entry(key).work, work);
        let is_held = |work| usize::from(matches!(work, LeaseWork::Held { .. }));
        let is_engaged = |work| usize::from(work != LeaseWork::Nothing);
        self.held = self.held + is_held(work) - is_held(before);
        self.engaged = self.engaged + is_engaged(work) - is_engaged(before);
    }

    /// Notes that it is being taken or claimed.
    pub fn take(&mut self, key: &LeaseKey) {
        self.set_work(key, LeaseWork::Taking);
    }

    /// Notes that a writer keeps it and, if it is `consumed`, that a consumer processes it.
    pub fn hold(&mut self, key: &LeaseKey, consumed: bool) {
        self.entry(key).is_given_up = false;
        self.set_work(key, LeaseWork::Held { consumed });
    }

    /// Notes that the attempt to take it has failed. Returns whether this worker has finished with
    /// it.
    pub fn take_ended(&mut self, key: &LeaseKey) -> bool {
        let was_taking = self.work(key) == LeaseWork::Taking;
        if was_taking {
            self.set_work(key, LeaseWork::Nothing);
        }
        was_taking
    }

    /// Notes that its writer has ended. Returns whether this worker has finished with it.
    pub fn writer_ended(&mut self, key: &LeaseKey) -> bool {
        let next = match self.work(key) {
            LeaseWork::Held { consumed: true } => LeaseWork::HandlerLeft,
            LeaseWork::Held { consumed: false } => LeaseWork::Nothing,
            LeaseWork::Nothing | LeaseWork::Taking | LeaseWork::HandlerLeft => return false,
        };
        self.set_work(key, next);
        next == LeaseWork::Nothing
    }

    /// Notes that its consumer has ended. Returns whether this worker has finished with it.
    pub fn consumer_ended(&mut self, key: &LeaseKey) -> bool {
        let next = match self.work(key) {
            LeaseWork::Held { consumed: true } => LeaseWork::Held { consumed: false },
            LeaseWork::HandlerLeft => LeaseWork::Nothing,
            LeaseWork::Nothing | LeaseWork::Taking | LeaseWork::Held { consumed: false } => {
                return false;
            }
        };
        self.set_work(key, next);
        next == LeaseWork::Nothing
    }
}

/// Leases that are left alone.
impl LeaseEntries {
    /// Whether this worker cannot reach the stream of a lease.
    #[must_use]
    pub fn is_out_of_reach(&self, key: &LeaseKey) -> bool {
        // Usually there is none.
        !self.out_of_reach.is_empty() && self.out_of_reach.contains(&key.stream)
    }

    /// Leaves it alone after a failure: see [`CoolDown::after`].
    pub fn cool_down(&mut self, key: &LeaseKey, now: Moment, tries: Duration) {
        let entry = self.entry(key);
        entry.cool_down = Some(CoolDown::after(entry.cool_down, now, tries));
    }

    /// Ends the cool-down after a success: the next failure starts with the shortest pause again.
    pub fn forgive(&mut self, key: &LeaseKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.cool_down = None;
        }
    }

    /// Notes that it was read up to the bound. It is released, and would be taken again by the next
    /// plan, to be read once more up to the same bound.
    pub fn finish_reading(&mut self, key: &LeaseKey) {
        self.entry(key).is_read = true;
    }

    /// Notes that this worker cannot reach the stream of the lease. Returns whether that was not
    /// known before.
    pub fn lose_reach(&mut self, key: &LeaseKey) -> bool {
        self.out_of_reach.insert(key.stream.clone())
    }

    /// Notes that the stream can be reached again.
    pub fn reached(&mut self, key: &LeaseKey) {
        self.out_of_reach.remove(&key.stream);
    }

    /// Notes that a request for it was refused.
    pub fn refuse(&mut self, key: &LeaseKey, now: Moment) {
        self.entry(key).refuse(now);
    }

    /// Whether a request for it was refused a short while ago.
    #[must_use]
    pub fn is_refused(&self, key: &LeaseKey, now: Moment) -> bool {
        self.get(key).is_some_and(|entry| entry.is_refused(now))
    }
}

/// Pauses, requests and hand-overs.
impl LeaseEntries {
    /// The leases of this worker whose rows are missing, or another tenancy's, by what was read; each
    /// is named once. While heartbeats hold the leases, nothing else would find out.
    pub fn newly_doubted(&mut self, tokens: &dyn OwnTokens) -> Vec<LeaseKey> {
        self.entries
            .iter_mut()
            .filter_map(|(key, entry)| entry.begins_to_be_doubted(tokens).then(|| key.clone()))
            .collect()
    }

    /// The rows of the leases of `me` that others request, and once those of leases that they request
    /// no more.
    pub fn asked_of(&mut self, me: &WorkerId) -> Vec<Lease> {
        self.entries
            .values_mut()
            .filter_map(|entry| {
                let row = entry.row.as_ref()?;
                let is_asked = row.checkpoint_owner.as_ref() == Some(me);
                let was_asked = std::mem::replace(&mut entry.is_asked, is_asked);
                (is_asked || (was_asked && row.owner.as_ref() == Some(me))).then(|| row.clone())
            })
            .collect()
    }

    /// The leases of `me` whose shards are to be drained from now on, because they are paused; each
    /// is named once.
    pub fn newly_paused(&mut self, me: &WorkerId) -> Vec<LeaseKey> {
        self.entries
            .iter_mut()
            .filter_map(|(key, entry)| entry.begins_to_obey_pause(me).then(|| key.clone()))
            .collect()
    }

    /// Notes that the consumer of a lease was told to drain its shard because the worker is drained.
    pub fn give_up(&mut self, key: &LeaseKey) {
        self.entry(key).is_given_up = true;
    }

    /// Notes that the worker is not drained any more.
    pub fn keep_all(&mut self) {
        let entries = self.entries.values_mut();
        entries.for_each(|entry| entry.is_given_up = false);
    }

    /// How many leases were given up and are not with others yet, and those that are kept.
    pub fn given_up_and_kept(&mut self, me: &WorkerId) -> (usize, Vec<LeaseKey>) {
        let (mut under_way, mut kept) = (0, Vec::new());
        for (key, entry) in &mut self.entries {
            if entry.is_given_up && entry.is_given_away(me) {
                entry.is_given_up = false;
            }
            if entry.is_given_up {
                under_way += 1;
            } else if entry.work == (LeaseWork::Held { consumed: true }) {
                kept.push(key.clone());
            }
        }
        (under_way, kept)
    }

    /// The row of a lease whose assignment is to be ended, unless that is under way.
    pub fn unassign(&mut self, key: &LeaseKey) -> Option<Lease> {
        let entry = self.entries.get_mut(key)?;
        let row = entry.row.clone()?;
        (!std::mem::replace(&mut entry.is_unassigning, true)).then_some(row)
    }

    /// Notes that the end of an assignment was answered.
    pub fn unassigned(&mut self, key: &LeaseKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_unassigning = false;
        }
    }

    /// The requests of this worker that are open.
    pub fn requests(&self) -> impl Iterator<Item = (&LeaseKey, &OwnRequest)> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| Some((key, entry.request.as_ref()?)))
    }

    /// Notes that a request is sent.
    pub fn request(&mut self, key: &LeaseKey, of: WorkerId, since: Moment) {
        self.entry(key).request = Some(OwnRequest {
            of,
            since,
            is_sending: true,
        });
    }

    /// Notes that the table has answered a request at `now`: from then on, a row without it shows
    /// that it is over. If it was not `done`, it is over.
    pub fn request_answered(&mut self, key: &LeaseKey, done: bool, now: Moment) {
        let request = &mut self.entry(key).request;
        *request = request.take().filter(|_| done).map(|request| OwnRequest {
            since: now,
            is_sending: false,
            ..request
        });
    }

    /// Ends a request that was not refused: a lease whose request was refused is left alone for a
    /// minute, and for this one there is no reason to.
    pub fn end_request(&mut self, key: &LeaseKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.request = None;
        }
    }

    /// Notes that a lease was handed over. Until it is seen to be claimed, the worker that handed it
    /// over is the one that takes it back if the other does not come.
    pub fn hand_over(&mut self, key: &LeaseKey, handed_over: HandedOver) {
        self.entry(key).handed_over = Some(handed_over);
    }

    /// Ends the requests and hand-overs that are over, according to the rows as read at `now` or up
    /// to `slack` before.
    pub fn settle_moves(&mut self, me: &WorkerId, now: Moment, slack: Duration) {
        for entry in self.entries.values_mut() {
            let row = entry.row.as_ref();
            let state = entry
                .request
                .as_ref()
                .map(|request| request.state(row, me, now, slack));
            if let Some(handed_over) = entry.handed_over {
                let stands =
                    row.is_none_or(|row| row.counter == handed_over.counter && row.token.is_none());
                entry.handed_over = Some(handed_over).filter(|_| stands);
            }
            match state {
                None | Some(RequestState::Open) => {}
                Some(RequestState::Over) => entry.request = None,
                Some(RequestState::Refused) => {
                    entry.request = None;
                    entry.refuse(now);
                }
            }
        }
    }
}
