//! What [`Worker::status`](crate::Worker::status) shows, and what keeps the gauges moving.
//!
//! Each part writes only what it knows, when it changes; values that change by themselves, such as
//! the lag, are computed by whoever reads. So nothing has to be refreshed for the status to be
//! true, and a part that hangs shows as what it did last.
//!
//! ```text
//!   shard consumers --- change, begin, remove ---+
//!   coordination ------ has_left, are_malformed -+--> StatusRegistry --> status()   snapshot
//!   root -------------- reach -------------------+                  --> reporter    refresh, lasting
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::decide::held_lag::{NOTABLE, ShardLag};
use crate::lease::{MalformedRow, RowKey, Standstill};
use crate::meters::Lag;
use crate::model::{LeaseKey, Moment, Timestamp, WorkerId};
use crate::processor::ShardRef;
use crate::tenancy::held::Held;

use super::event::{Event, HandlerCall};
use super::status::{CallFailures, Phase, ShardState, ShardStatus, UnreadableShard};

/// The registry to which the parts of a worker report what they do. Cloned into every part of a
/// worker. One lock covers all of it: it is held for a few copies, never over an await or a call of
/// the application.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusRegistry(Arc<Mutex<StatusState>>);

#[derive(Debug, Default)]
struct StatusState {
    /// The leases that are left unread because this worker has no room for them. Written by the
    /// coordination after each plan; empty in a fleet with room.
    left: Arc<[LeaseKey]>,
    /// The malformed rows of the table in the last scan, and since when each has been malformed.
    /// The time is the wall clock's, because it is shown to people.
    malformed_rows: BTreeMap<RowKey, (Arc<MalformedRow>, Timestamp)>,
    /// It only advances: a late report of an earlier phase changes nothing.
    phase: Phase,
    /// The shards that this worker holds, from the acquisition to the end of the consumer.
    shards: BTreeMap<LeaseKey, ShardEntry>,
    /// The shards that this worker could not read last time. Their leases are released meanwhile,
    /// so they have no entry among the shards. An entry goes when a record or the tip of the shard
    /// is read here, not when another worker reads it.
    unreadable: BTreeMap<LeaseKey, UnreadableShard>,
}

/// What a shard consumer last reported, and the handles that know the rest.
#[derive(Debug)]
struct ShardEntry {
    /// For events, which name the stream as well as the shard.
    shard: ShardRef,
    /// What the consumer reported. The fields that change by themselves (lag, duration of a call)
    /// are not kept here: they are computed when the status is read.
    status: ShardStatus,
    /// Knows the stored checkpoint, the call that is running and the calls that fail. The consumer
    /// and the writer keep it up to date.
    held: Arc<Held>,
    /// The same handle that the fetching side reports to.
    lag: Lag,
    /// A call that takes at least this long is reported.
    ///
    /// It doubles with each report of the same call, so a call that hangs for an hour is reported a
    /// few times and not every five seconds.
    slow_after: Duration,
    /// Since when the handler has been failing. It begins with a [`StatusRegistry::refresh`], so it
    /// is as exact as the reports are frequent, which is enough for a gauge in seconds; it ends with
    /// the first success.
    handler_fails_since: Option<Moment>,
}

impl ShardEntry {
    /// Whether the lease is this worker's as far as it knows.
    fn is_held(&self) -> bool {
        self.status.state != ShardState::Ended && self.held.loss().is_none()
    }

    /// How far behind the shard is, and what it stands still by. A handler that fails counts before
    /// its retry, which is a call that goes on; a call that does not return counts before reads that
    /// fail, because it may be the cause.
    fn shard_lag(&self, now: Moment) -> ShardLag {
        let is_notable = |span: &Duration| *span >= NOTABLE;
        let fails = self.handler_fails_since.map(|since| now.since(since));
        let busy = self.held.in_call_for(now);
        let reads = self.held.failing();
        let reads = reads.map(|(failing, _)| now.since(failing.since));
        let standstill = [
            (Standstill::HandlerFails, fails),
            (Standstill::HandlerBusy, busy),
            (Standstill::ReadsFail, reads),
        ];
        let standstill = standstill
            .into_iter()
            .find_map(|(by, span)| Some((by, span.filter(is_notable)?)));
        ShardLag {
            lease: self.held.key().clone(),
            is_read: self.status.state != ShardState::WaitingForParents,
            behind: self.lag.at(now).0,
            standstill,
        }
    }

    /// The status as it is at `now`: what was reported, overlaid with what the handles know.
    fn status(&self, now: Moment) -> ShardStatus {
        let (lag, undone) = self.lag.at(now);
        let gathered = self.held.progress().gathered();
        ShardStatus {
            checkpoint: self.held.stored(),
            millis_behind_latest: lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
            oldest_undone_age: undone,
            in_call_for: self.held.in_call_for(now),
            at_work: self.held.progress().at_work(),
            lanes: self.held.progress().lanes(),
            gathered: gathered.records,
            gathered_bytes: gathered.bytes,
            gathered_for: gathered.since.map(|since| now.since(since)),
            answered: self.held.answered(),
            failing: self.held.failing().map(|(failing, error)| {
                CallFailures::new(failing.since, failing.attempts, error, now)
            }),
            ..self.status.clone()
        }
    }
}

impl StatusRegistry {
    /// A poisoned lock is used all the same. The status must not be what makes a worker fail.
    fn shown(&self) -> MutexGuard<'_, StatusState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the worker's phase, which never goes back.
    pub(crate) fn reach(&self, phase: Phase) {
        let mut shown = self.shown();
        if shown.phase.rank() < phase.rank() {
            shown.phase = phase;
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.shown().phase.clone()
    }

    /// Adds a shard that was just acquired. Its consumer calls this before it does anything else,
    /// so no report about the shard can come too early.
    pub(super) fn begin(
        &self,
        held: &Arc<Held>,
        lag: &Lag,
        shard: ShardRef,
        owner: WorkerId,
        slow_after: Duration,
    ) {
        let status = ShardStatus {
            state: ShardState::WaitingForParents,
            waits_for: None,
            owner,
            checkpoint: held.stored(),
            position: None,
            millis_behind_latest: None,
            oldest_undone_age: None,
            in_call_for: None,
            in_flight: 0,
            at_work: 0,
            lanes: 0,
            gathered: 0,
            gathered_bytes: 0,
            gathered_for: None,
            answered: None,
            failing: None,
            records: 0,
            failures: 0,
            retries: 0,
            dead_letters: 0,
            skipped: 0,
            last_error: None,
        };
        let entry = ShardEntry {
            shard,
            status,
            held: Arc::clone(held),
            lag: lag.clone(),
            slow_after,
            handler_fails_since: None,
        };
        self.shown().shards.insert(held.key().clone(), entry);
    }

    /// Changes what is shown of a shard. Nothing happens if its consumer has ended: a late report
    /// of it must not bring the entry back.
    pub(crate) fn change(&self, key: &LeaseKey, change: impl FnOnce(&mut ShardStatus)) {
        if let Some(entry) = self.shown().shards.get_mut(key) {
            change(&mut entry.status);
            if entry.status.failures == 0 {
                entry.handler_fails_since = None;
            }
        }
    }

    /// Removes a shard whose consumer has ended. Reports that arrive later find nothing and are
    /// dropped.
    pub(crate) fn remove(&self, key: &LeaseKey) {
        self.shown().shards.remove(key);
    }

    /// Notes that a shard cannot be read. The time of the first failure is kept over attempts and
    /// over tenancies in between, so the status shows for how long the shard has really been
    /// unreadable here.
    pub(super) fn cannot_read(&self, key: &LeaseKey, error: Arc<str>, at: Timestamp) {
        let mut shown = self.shown();
        let before = shown
            .unreadable
            .get(key)
            .map(|shard| (shard.since, shard.attempts));
        let (since, attempts) = before.unwrap_or((at, 0));
        shown.unreadable.insert(
            key.clone(),
            UnreadableShard {
                error,
                since,
                attempts: attempts.saturating_add(1),
            },
        );
    }

    /// Notes that a shard can be read.
    pub(super) fn can_read(&self, key: &LeaseKey) {
        self.shown().unreadable.remove(key);
    }

    /// The shards that cannot be read, by their errors or by their malformed rows. A stream that
    /// was removed meanwhile is left out.
    pub(super) fn unreadable(
        &self,
        is_of_this_worker: impl Fn(&LeaseKey) -> bool,
    ) -> BTreeMap<LeaseKey, UnreadableShard> {
        let shown = self.shown();
        let mut unreadable = shown.unreadable.clone();
        // The row is read before the shard.
        unreadable.extend(shown.malformed_rows.values().filter_map(|(row, since)| {
            let shard = UnreadableShard {
                error: row.to_string().into(),
                since: *since,
                attempts: 1,
            };
            Some((row.lease()?.clone(), shard))
        }));
        drop(shown);
        unreadable.retain(|key, _| is_of_this_worker(key));
        unreadable
    }

    /// Sets the leases that are left unread because this worker has no room for them.
    pub(crate) fn has_left(&self, leases: Arc<[LeaseKey]>) {
        self.shown().left = leases;
    }

    /// The leases that are left unread because this worker has no room for them. As of the last
    /// plan: another worker may have taken some of them since then.
    pub(super) fn left_unread(&self) -> BTreeSet<LeaseKey> {
        self.shown().left.iter().cloned().collect()
    }

    /// How many leases are not read because there is no room, because their rows are malformed, and
    /// because this worker could not read them. In the order of the gauges
    /// ([`WorkerMeters::unread`](crate::meters::WorkerMeters::unread)). A lease with a malformed
    /// row counts once, as malformed.
    pub(super) fn unread(&self) -> [usize; 3] {
        let shown = self.shown();
        let malformed: BTreeSet<_> = shown
            .malformed_rows
            .keys()
            .filter_map(RowKey::lease)
            .collect();
        [
            shown.left.len(),
            malformed.len(),
            shown
                .unreadable
                .keys()
                .filter(|key| !malformed.contains(key))
                .count(),
        ]
    }

    /// Sets the malformed rows: exactly these. What a scan did not find malformed is repaired. A
    /// row that stays malformed keeps the time at which this worker first saw it so.
    pub(crate) fn are_malformed<'a>(
        &self,
        rows: impl Iterator<Item = &'a MalformedRow>,
        now: Timestamp,
    ) {
        let mut shown = self.shown();
        let known = std::mem::take(&mut shown.malformed_rows);
        shown.malformed_rows = rows
            .map(|row| {
                let since = known.get(&row.row).map_or(now, |(_, since)| *since);
                (row.row.clone(), (Arc::new(row.clone()), since))
            })
            .collect();
    }

    /// The events that were reported once and still hold. They are logged again at growing
    /// intervals, so that a cause which began yesterday is still in today's log. Readers of events
    /// are not told twice.
    pub(super) fn lasting(&self, now: Moment) -> Vec<Event> {
        let shown = self.shown();
        let mut lasting: Vec<_> = shown
            .malformed_rows
            .values()
            .map(|(row, _)| Event::RowMalformed {
                row: Arc::clone(row),
            })
            .collect();
        if !shown.left.is_empty() {
            lasting.push(Event::LeasesLeftUnread {
                leases: Arc::clone(&shown.left),
            });
        }
        for entry in shown.shards.values() {
            let Some((failing, error)) = entry
                .held
                .failing()
                .filter(|(failing, _)| failing.is_told())
            else {
                continue;
            };
            let (shard, for_long) = (entry.shard.clone(), now.since(failing.since));
            lasting.push(Event::ReadingFails {
                shard,
                for_long,
                attempts: failing.attempts,
                error,
            });
        }
        lasting
    }

    /// All shards at one moment, ordered by key.
    pub(crate) fn snapshot(&self, now: Moment) -> BTreeMap<LeaseKey, ShardStatus> {
        self.shown()
            .shards
            .iter()
            .map(|(key, entry)| (key.clone(), entry.status(now)))
            .collect()
    }

    /// What the worker's row says of each lease that it holds. The leases that were lost are left
    /// out, although their consumers may not have ended: the table shows them as others'.
    pub(super) fn shard_lags(&self, now: Moment) -> Vec<ShardLag> {
        let shown = self.shown();
        let held = shown.shards.values().filter(|entry| entry.is_held());
        held.map(|entry| entry.shard_lag(now)).collect()
    }

    /// Updates the gauges of each shard, and returns the calls that have become slow since the last
    /// time. It runs beside the coordination, so it reports a handler that blocks its thread, too.
    pub(super) fn refresh(
        &self,
        now: Moment,
        slow_after: Duration,
    ) -> Vec<(ShardRef, HandlerCall, Duration)> {
        let mut slow = Vec::new();
        for entry in self.shown().shards.values_mut() {
            entry.lag.refresh(now);
            if entry.status.failures > 0 {
                entry.handler_fails_since.get_or_insert(now);
            }
            let handler = entry.handler_fails_since.map(|since| now.since(since));
            entry.lag.fails(
                entry
                    .held
                    .failing()
                    .map(|(failing, _)| now.since(failing.since)),
                handler,
            );
            let progress = entry.held.progress();
            let at_work = (progress.at_work(), progress.lanes());
            entry.lag.has_at_work(now, at_work, progress.gathered());
            let in_call = entry.held.in_call_for(now);
            entry
                .lag
                .is_in_call(in_call.filter(|span| *span >= slow_after));
            match in_call {
                Some(span) if span >= entry.slow_after => {
                    slow.push((entry.shard.clone(), entry.status.state.call(), span));
                    entry.slow_after = span * 2;
                }
                Some(span) if span >= slow_after => {}
                _ => entry.slow_after = slow_after,
            }
        }
        slow
    }
}
