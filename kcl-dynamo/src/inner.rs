use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use kcl_core::lease::{Error, WorkerRow};
use kcl_core::model::WorkerId;
use tokio::sync::RwLock;

use crate::announcer::Announcer;
use crate::call::{Calls, Lanes, Refused};
use crate::expression::{Parts, Update, exactly};
use crate::item::attribute::{ENTITY_TYPE, INCARNATION, KIND_BEACON, LAST_UPDATE, LEADER_KEY, SUPPORT_UPDATE};
use crate::item::{BEACON_KEY, Item, number, text, worker_key, worker_values};
use crate::neighbours::{
    Evidence, Ghosts, KclIsLeading, Probe, Standing, Throughputs, Watch, is_in_doubt, judge, legacy_versions,
};
use crate::refusal::worker_refusal;
use crate::setup::{Neighbours, Settings};

/// How often everything is looked at where there is no signal: a fifth of the KCL's failover time.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long the row of a KCL's leader stands still at most while it lives: its heartbeat of 30 s, and time for a slow one.
pub(crate) const LEADER_LIVES: Duration = Duration::from_secs(36);
/// What all handles of a table share: the calls, and what was seen of others in the table.
pub(crate) struct Inner {
    pub(crate) calls: Calls,
    pub(crate) application: String,
    pub(crate) settings: Settings,
    pub(crate) lanes: Lanes,
    pub(crate) announcer: Announcer,
    pub(crate) watch: Watch,
    pub(crate) probe: Probe,
    pub(crate) ghosts: Ghosts,
    pub(crate) throughputs: Throughputs,
    /// Held while a worker says that it leaves.
    pub(crate) leaving: RwLock<()>,
    /// Workers whose rows may not be in the table while Java workers of before 3.5 may read it.
    pub(crate) unwritten: Mutex<BTreeMap<WorkerId, WorkerRow>>,
}

impl Inner {
    pub(crate) fn new(client: &Client, application: &str, table: &str, settings: Settings) -> Self {
        Self {
            calls: Calls::new(client, table, settings.call_limit),
            application: application.to_owned(),
            lanes: Lanes::new(settings.call_limit),
            settings,
            announcer: Announcer::default(),
            watch: Watch::default(),
            probe: Probe::default(),
            ghosts: Ghosts::default(),
            throughputs: Throughputs::default(),
            leaving: RwLock::default(),
            unwritten: Mutex::default(),
        }
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.settings.clock.wall().as_millis().div_euclid(1000)
    }

    pub(crate) fn writes_rows_of_workers(&self) -> bool {
        self.watch.standing() == Standing::Alone
    }

    pub(crate) fn unwritten(&self) -> MutexGuard<'_, BTreeMap<WorkerId, WorkerRow>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges who else uses the table, before anything is written to it.
    pub(crate) async fn look_around(&self) -> Result<(), Error> {
        let mut evidence = Evidence::default();
        let mut standing = Standing::Alone;
        if self.settings.neighbours == Neighbours::AsSeen {
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
            (standing, what) = judge(&evidence, self.seconds(), None);
            if standing != Standing::Led && is_in_doubt(&evidence, self.seconds()) {
                self.watch_leader(&mut evidence).await?;
                (standing, what) = judge(&evidence, self.seconds(), leader.as_deref());
            }
            if standing == Standing::Led {
                let error = KclIsLeading { table: self.calls.table.clone(), what };
                return Err(if self.settings.wait_for_kcl { Error::Throttled { source: Box::new(error) } } else { error.into() });
            }
        }
        self.watch.begin(&evidence, standing, self.settings.clock.now());
        self.probe.looked(evidence.leader.as_deref(), self.settings.clock.now());
        tracing::debug!(table = self.calls.table, ?standing, "who else uses the lease table");
        Ok(())
    }

    /// Removes a row that is no lease, if it is ours. Whether it was there.
    pub(crate) async fn remove(&self, key: &str, is_signal: bool) -> Result<bool, Error> {
        let mut parts = Parts::default();
        let condition = if is_signal {
            exactly(&mut parts, [(ENTITY_TYPE, text(KIND_BEACON))])
        } else {
            format!("attribute_exists({})", parts.name(INCARNATION))
        };
        match self.calls.delete(text(key), condition, parts).await {
            Ok(()) => Ok(true),
            Err(Refused::Condition(_)) => Ok(false),
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    /// Takes in what a page shows of others.
    pub(crate) async fn watch(&self, items: &[Item], is_first: bool, is_last: bool) {
        if self.settings.neighbours == Neighbours::Nobody {
            return;
        }
        if let Some((standing, what)) = self.watch.look(items, is_first, is_last, self.seconds()) {
            tracing::warn!(
                table = self.calls.table,
                ?standing,
                what,
                "Java workers use the lease table: see the docs of kcl-dynamo"
            );
        }
        if is_last {
            self.probe.looked(self.watch.leader().as_deref(), self.settings.clock.now());
        }
        if is_last && self.watch.takes_removal() && self.remove(BEACON_KEY, true).await.is_err() {
            self.watch.not_removed();
        }
    }

    /// Reads the tables that a KCL before 3.5 keeps beside this one, from time to time while one may live.
    pub(crate) async fn look_beside(&self) {
        if self.settings.neighbours == Neighbours::Nobody || !self.watch.takes_look_beside(self.settings.clock.now()) {
            return;
        }
        let mut evidence = Evidence::default();
        match legacy_versions(&self.calls.client, &self.application, &mut evidence).await {
            Ok(()) => self.watch.see_beside(evidence),
            Err(error) => tracing::debug!(%error, "the tables of an old KCL were not read"),
        }
    }

    /// Reads the row of the KCL's leader, if all rows were not looked at for a while.
    pub(crate) async fn look_for_a_leader(&self) {
        let clock = &self.settings.clock;
        if self.settings.neighbours == Neighbours::Nobody || !self.probe.is_due(clock.now()) {
            return;
        }
        match self.leader(false).await {
            Ok(version) => self.probe.see(version.as_deref(), clock.now()),
            Err(error) => tracing::debug!(%error, "the row of the KCL's leader was not read"),
        }
    }

    /// The version of the row of the KCL's leader, if there is one.
    pub(crate) async fn leader(&self, consistent: bool) -> Result<Option<String>, Error> {
        let mut evidence = Evidence::default();
        self.calls.get(text(LEADER_KEY), consistent).await?.iter().for_each(|item| evidence.add(item));
        Ok(evidence.leader)
    }

    /// Waits until the row of the KCL's leader changes, or for as long as one that lives never leaves it as it is.
    pub(crate) async fn watch_leader(&self, evidence: &mut Evidence) -> Result<(), Error> {
        let clock = &self.settings.clock;
        let (before, until) = (evidence.leader.clone(), clock.now() + LEADER_LIVES);
        tracing::info!(
            table = self.calls.table,
            "a leader of the Java KCL may be at work: its row is watched for {LEADER_LIVES:?}"
        );
        while evidence.leader == before && clock.now() < until {
            clock.sleep_until(clock.now() + LOOK_EVERY).await;
            evidence.leader = self.leader(true).await?;
        }
        Ok(())
    }

    /// Takes in the rows of workers of a page, where none may be, and deletes those of dead workers.
    pub(crate) async fn remove_the_dead(&self, rows: Vec<WorkerRow>, is_first: bool) {
        for dead in self.ghosts.see(rows, is_first, self.settings.clock.now()) {
            match self.delete_written(&dead).await {
                Ok(()) => tracing::debug!(worker = %dead.worker, "the row of a dead worker was deleted"),
                // It lives after all, or the next look tries again.
                Err(error) => tracing::debug!(worker = %dead.worker, %error, "the row of a dead worker was not deleted"),
            }
        }
    }

    pub(crate) async fn delete_written(&self, seen: &WorkerRow) -> Result<(), Error> {
        let mut parts = Parts::default();
        let condition = exactly(&mut parts, worker_values(seen));
        self.calls.delete(worker_key(&seen.worker), condition, parts).await.map_err(worker_refusal)
    }

    pub(crate) async fn update_written(&self, seen: &WorkerRow, row: &WorkerRow) -> Result<(), Error> {
        let mut parts = Parts::default();
        let condition = exactly(&mut parts, worker_values(seen));
        let mut update = Update::default();
        for (attribute, value) in worker_values(row) {
            update.set(&mut parts, attribute, value);
        }
        // For a leader of the KCL a worker that leaves is gone with this, before any lease of its is free: one that starts just now would
        // give them to a worker without work.
        let shown_at = if row.leaving { 0 } else { self.seconds() };
        for attribute in [LAST_UPDATE, SUPPORT_UPDATE] {
            update.set(&mut parts, attribute, number(shown_at));
        }
        let key = worker_key(&row.worker);
        let _first = if row.leaving { Some(self.leaving.write().await) } else { None };
        self.calls.update(key, update.text(), Some(condition), parts).await.map(drop).map_err(worker_refusal)
    }
}
