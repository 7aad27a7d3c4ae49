//! What all handles of one table share, and how a table gets along with Java workers.
//!
//! [`DynamoLeaseTable`](crate::DynamoLeaseTable) implements the contract and is thin; what lasts
//! longer than a call is here. Nothing here reads a lease: the rows of leases are the same in every
//! coexistence. What differs is which *other* rows may be written, and whether leases may be taken.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use kcl_core::lease::{Error, KeepAlive, WorkerRow};
use kcl_core::model::WorkerId;
use tokio::sync::RwLock;

use crate::announcer::Announcer;
use crate::call::{Calls, Limits, Refused};
use crate::expression::{Parts, Update, absent, exactly};
use crate::item::attribute::{
    ENTITY_TYPE, INCARNATION, KIND_SIGNAL, LAG, LAST_UPDATE, LEADER_KEY, MIGRATION_KEY,
    SUPPORT_UPDATE,
};
use crate::item::{Item, SIGNAL_KEY, number, text, worker_item, worker_key, worker_values};
use crate::kcl_compat::{
    Coexistence, Evidence, KclIsLeading, KclRow, Probe, StaleWorkers, Throughputs, Watch,
    is_in_doubt, judge, legacy_versions,
};
use crate::refusal::worker_refusal;
use crate::setup::{JavaWorkers, Settings};

/// How often workers are made to scan while a KCL leader may have started: a fifth of the KCL's
/// default failover time of 10 s.
pub(crate) const SCAN_EVERY: Duration = Duration::from_secs(2);

/// How long the row of a live KCL leader stands still at most: its heartbeat interval of 30 s, and
/// 6 s for a slow one.
pub(crate) const LEADER_LIVES: Duration = Duration::from_secs(36);
/// What all handles of a table share: the calls, and what was seen of other workers in the table.
/// It lives as long as the last handle.
pub(crate) struct Inner {
    /// The calls to DynamoDB.
    pub(crate) calls: Calls,
    /// The name of the application, from which the names of a KCL's additional tables follow.
    pub(crate) application: String,
    /// As they were given, checked.
    pub(crate) settings: Settings,
    /// Two queues for writes, so that a rush for free leases does not delay renewals.
    pub(crate) limits: Limits,
    /// The row of the change signal, and how an announcement is added to it.
    pub(crate) announcer: Announcer,
    /// What scans have shown of Java workers, and therefore what this table may write.
    pub(crate) watch: Watch,
    /// When the row of a KCL leader has to be read between scans.
    pub(crate) probe: Probe,
    /// The rows of dead workers in a table that must not have any rows of workers.
    pub(crate) stale_workers: StaleWorkers,
    /// Which Java workers answer requests for leases, by the throughput that they write.
    pub(crate) throughputs: Throughputs,
    /// Held for writing while a worker writes its leaving mark. Releases wait for it: a KCL leader
    /// that saw a free lease before the mark would assign that lease to the worker that is leaving.
    pub(crate) leaving: RwLock<()>,
    /// The rows of workers of this process, kept here instead of in the table while Java workers
    /// before 3.5 may read that. Workers of other processes are then known only by their leases.
    pub(crate) unwritten: Mutex<BTreeMap<WorkerId, WorkerRow>>,
}

impl Inner {
    /// Nothing is called. What is known of other workers begins with "exclusive", and `setup`
    /// corrects it before anything is written.
    pub(crate) fn new(client: &Client, application: &str, table: &str, settings: Settings) -> Self {
        Self {
            calls: Calls::new(client, table, settings.call_limit),
            application: application.to_owned(),
            limits: Limits::new(settings.call_limit),
            settings,
            announcer: Announcer::default(),
            watch: Watch::default(),
            probe: Probe::default(),
            stale_workers: StaleWorkers::default(),
            throughputs: Throughputs::default(),
            leaving: RwLock::default(),
            unwritten: Mutex::default(),
        }
    }

    /// The wall clock in seconds, as the KCL stores times. It is compared only with other workers'
    /// times, never to decide whether a lease has expired.
    pub(crate) fn seconds(&self) -> i64 {
        self.settings.clock.wall().as_millis().div_euclid(1000)
    }

    /// Java workers before 3.5 take every row of the table for a lease, and fail at one that is
    /// not.
    pub(crate) fn writes_rows_of_workers(&self) -> bool {
        self.watch.coexistence() == Coexistence::Exclusive
    }

    /// The rows that are kept in memory. A panic while the lock was held cannot have left a row
    /// half written, so a poisoned lock is used on.
    pub(crate) fn unwritten(&self) -> MutexGuard<'_, BTreeMap<WorkerId, WorkerRow>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges whether Java workers use the table, before anything is written to it.
    ///
    /// It scans the whole table with strong consistency, once. If the evidence depends on the clock
    /// of another machine, it watches the leader's row for up to 36 s ([`LEADER_LIVES`]).
    ///
    /// # Errors
    /// `Fatal` with [`KclIsLeading`] as its source, or `Throttled` with it if the application
    /// prefers to wait: the caller then runs `setup` again.
    pub(crate) async fn look_around(&self) -> Result<(), Error> {
        let mut evidence = Evidence::default();
        let mut coexistence = Coexistence::Exclusive;
        if self.settings.java_workers == JavaWorkers::Detect {
            let mut start = None;
            loop {
                let page = self.calls.scan(start, true, None).await?;
                page.items.iter().for_each(|item| evidence.add(item));
                start = page.next;
                if start.is_none() {
                    break;
                }
            }
            if evidence.of_a_kcl() {
                legacy_versions(&self.calls.client, &self.application, &mut evidence).await?;
            }
            let mut what;
            let leader = evidence.leader.clone();
            (coexistence, what) = judge(&evidence, self.seconds(), None);
            if coexistence != Coexistence::KclLeads && is_in_doubt(&evidence, self.seconds()) {
                self.watch_leader(&mut evidence).await?;
                (coexistence, what) = judge(&evidence, self.seconds(), leader.as_deref());
            }
            if coexistence == Coexistence::KclLeads {
                let error = KclIsLeading {
                    table: self.calls.table.clone(),
                    what,
                };
                return Err(if self.settings.wait_for_kcl {
                    Error::Throttled {
                        source: Box::new(error),
                    }
                } else {
                    error.into()
                });
            }
        }
        self.watch
            .begin(&evidence, coexistence, self.settings.clock.now());
        self.probe.looked(
            evidence.leader.as_deref(),
            evidence.client_version.as_deref(),
            self.settings.clock.now(),
        );
        tracing::debug!(
            table = self.calls.table,
            ?coexistence,
            "checked for Java workers on the lease table"
        );
        Ok(())
    }

    /// Removes a row of this crate that is not a lease. Returns whether it existed.
    ///
    /// The condition makes sure that it is a row of this crate: a lease or a KCL's row of the same
    /// key stays.
    pub(crate) async fn remove(&self, key: &str, is_signal: bool) -> Result<bool, Error> {
        let mut parts = Parts::default();
        let condition = if is_signal {
            exactly(&mut parts, [(ENTITY_TYPE, Some(text(KIND_SIGNAL)))])
        } else {
            format!("attribute_exists({})", parts.name(INCARNATION))
        };
        match self.calls.delete(text(key), condition, parts).await {
            Ok(()) => Ok(true),
            Err(Refused::Condition(_)) => Ok(false),
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    /// Notes what a page shows about other workers.
    ///
    /// It is called with every page of every scan, so finding Java workers costs no call of its
    /// own.
    pub(crate) fn watch(&self, items: &[Item], is_first: bool, is_last: bool) {
        if self.settings.java_workers == JavaWorkers::Absent {
            return;
        }
        if let Some((coexistence, what)) = self.watch.look(items, is_first, is_last, self.seconds())
        {
            tracing::warn!(
                table = self.calls.table,
                ?coexistence,
                what,
                "Java workers use the lease table: see the docs of kcl-dynamo"
            );
        }
        if is_last {
            self.probe.looked(
                self.watch.leader().as_deref(),
                self.watch.migration().as_deref(),
                self.settings.clock.now(),
            );
        }
    }

    /// Removes the rows that must not be in the table besides leases: that of the change signal,
    /// and those of dead workers. This is done with each heartbeat, because a scan, which finds
    /// these rows, writes nothing. What cannot be removed now is tried again with the next
    /// heartbeat.
    ///
    /// Errors are only logged at the level debug: a heartbeat must not fail because an old row
    /// could not be removed.
    pub(crate) async fn tidy(&self) {
        if self.writes_rows_of_workers() {
            return;
        }
        if self.watch.signal_has_to_go() && self.remove(SIGNAL_KEY, true).await.is_ok() {
            self.watch.signal_is_gone();
        }
        for dead in self.stale_workers.dead(self.settings.clock.now()) {
            match self.delete_written(&dead).await {
                Ok(()) => {
                    tracing::debug!(worker = %dead.worker, "deleted the row of a dead worker");
                }
                // The worker is alive after all, or its row is gone.
                Err(Error::Conflict { .. }) => {}
                Err(error) => {
                    tracing::debug!(worker = %dead.worker, %error, "could not delete the row of a \
                        dead worker");
                    continue;
                }
            }
            self.stale_workers.forget(&dead);
        }
    }

    /// Reads the additional tables of a KCL before 3.5 from time to time, while such a KCL may be
    /// running.
    pub(crate) async fn look_beside(&self) {
        if self.settings.java_workers == JavaWorkers::Absent
            || !self.watch.takes_look_beside(self.settings.clock.now())
        {
            return;
        }
        let mut evidence = Evidence::default();
        match legacy_versions(&self.calls.client, &self.application, &mut evidence).await {
            Ok(()) => self.watch.see_beside(evidence),
            Err(error) => {
                tracing::debug!(%error, "could not read the additional tables of an old KCL");
            }
        }
    }

    /// Reads a row by which a KCL shows itself, if there was no scan for a while.
    ///
    /// A failure is only logged. The next scan shows the row as well.
    pub(crate) async fn look_for_a_kcl(&self) {
        let clock = &self.settings.clock;
        if self.settings.java_workers == JavaWorkers::Absent {
            return;
        }
        let Some(row) = self.probe.due(clock.now()) else {
            return;
        };
        match self.version(row, false).await {
            Ok(version) => self.probe.see(row, version.as_deref(), clock.now()),
            Err(error) => tracing::debug!(%error, ?row, "could not read a row of the KCL"),
        }
    }

    /// The version of such a row, if it exists.
    pub(crate) async fn version(
        &self,
        row: KclRow,
        consistent: bool,
    ) -> Result<Option<String>, Error> {
        let key = match row {
            KclRow::Leader => LEADER_KEY,
            KclRow::Migration => MIGRATION_KEY,
        };
        let mut evidence = Evidence::default();
        let item = self.calls.get(text(key), consistent).await?;
        item.iter().for_each(|item| evidence.add(item));
        Ok(match row {
            KclRow::Leader => evidence.leader,
            KclRow::Migration => evidence.client_version,
        })
    }

    /// Waits until the KCL leader's row changes, or until it has stood still for longer than a live
    /// leader's row can.
    pub(crate) async fn watch_leader(&self, evidence: &mut Evidence) -> Result<(), Error> {
        let clock = &self.settings.clock;
        let (before, until) = (evidence.leader.clone(), clock.now() + LEADER_LIVES);
        tracing::info!(
            table = self.calls.table,
            "a leader of the Java KCL may be running: watching its row for {LEADER_LIVES:?}"
        );
        while evidence.leader == before && clock.now() < until {
            clock.sleep_until(clock.now() + SCAN_EVERY).await;
            evidence.leader = self.version(KclRow::Leader, true).await?;
        }
        Ok(())
    }

    /// Creates the row of a worker, or only remembers it if no such row may be in the table.
    ///
    /// # Errors
    /// A conflict if there is a row with this id, in the table or in memory: two workers of one
    /// process have the same id.
    pub(crate) async fn create_worker(&self, row: &WorkerRow) -> Result<(), Error> {
        if !self.writes_rows_of_workers() {
            return match self.unwritten().entry(row.worker.clone()) {
                Entry::Occupied(_) => Err(Error::conflict(None)),
                Entry::Vacant(free) => {
                    free.insert(row.clone());
                    Ok(())
                }
            };
        }
        let mut parts = Parts::default();
        let condition = absent(&mut parts);
        let item = worker_item(row, self.settings.clock.wall());
        self.calls
            .put(item, condition, parts)
            .await
            .map_err(worker_refusal)
    }

    /// Replaces the row of a worker, in the table or in memory.
    ///
    /// When Java workers appear, the first heartbeat that holds no leases moves the row from the table
    /// to memory: until then, other workers judge the leases by the row, and must see it. It is deleted
    /// first: a crash in between leaves no row, which is what the table must show.
    pub(crate) async fn update_worker(
        &self,
        seen: &WorkerRow,
        row: &WorkerRow,
    ) -> Result<(), Error> {
        if let Some(unwritten) = self.unwritten().get_mut(&seen.worker) {
            if unwritten.without_lag() != seen.without_lag() {
                return Err(Error::conflict(None));
            }
            unwritten.clone_from(row);
            return Ok(());
        }
        if self.writes_rows_of_workers() || row.keep_alive == KeepAlive::Heartbeats {
            return self.update_written(seen, row).await;
        }
        // The row was written before Java workers appeared.
        match self.delete_written(seen).await {
            // The answer to an earlier try was lost.
            Err(Error::Conflict { .. }) if !self.has_row(&seen.worker).await? => {}
            deleted => deleted?,
        }
        self.unwritten().insert(row.worker.clone(), row.clone());
        Ok(())
    }

    /// Whether the table has a row of this name, whoever wrote it.
    async fn has_row(&self, worker: &WorkerId) -> Result<bool, Error> {
        let item = self.calls.get(worker_key(worker), true).await?;
        Ok(item.is_some())
    }

    /// Deletes the row of a worker, from the table or from memory.
    pub(crate) async fn delete_worker(&self, seen: &WorkerRow) -> Result<(), Error> {
        if let Entry::Occupied(row) = self.unwritten().entry(seen.worker.clone()) {
            if row.get().without_lag() != seen.without_lag() {
                return Err(Error::conflict(None));
            }
            row.remove();
            return Ok(());
        }
        self.delete_written(seen).await
    }

    /// Deletes a row from the table if it is as it was seen.
    pub(crate) async fn delete_written(&self, seen: &WorkerRow) -> Result<(), Error> {
        let mut parts = Parts::default();
        let condition = exactly(&mut parts, worker_values(seen));
        self.calls
            .delete(worker_key(&seen.worker), condition, parts)
            .await
            .map_err(worker_refusal)
    }

    /// Replaces a row in the table if it is as it was seen. Only this crate's attributes and the
    /// two times are set, so what a KCL adds to its row of metrics stays.
    pub(crate) async fn update_written(
        &self,
        seen: &WorkerRow,
        row: &WorkerRow,
    ) -> Result<(), Error> {
        let mut parts = Parts::default();
        let condition = exactly(&mut parts, worker_values(seen));
        let mut update = Update::default();
        for (attribute, value) in worker_values(row) {
            update.set_or_remove(&mut parts, attribute, value);
        }
        if let Some(lag) = row.lag_text() {
            update.set(&mut parts, LAG, text(lag));
        }
        // With 0, a leaving worker is gone for a KCL leader before any of its leases is free.
        // Otherwise a leader that has just started could assign leases to a worker that is leaving.
        let shown_at = if row.leaving { 0 } else { self.seconds() };
        for attribute in [LAST_UPDATE, SUPPORT_UPDATE] {
            update.set(&mut parts, attribute, number(shown_at));
        }
        let key = worker_key(&row.worker);
        let _first = if row.leaving {
            Some(self.leaving.write().await)
        } else {
            None
        };
        self.calls
            .update(key, update.text(), Some(condition), parts)
            .await
            .map(drop)
            .map_err(worker_refusal)
    }
}
