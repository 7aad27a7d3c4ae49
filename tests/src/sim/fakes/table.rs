use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::lease::{
    Change, ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage,
    WorkerRow, Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};

use crate::sim::counts::Fault;
use crate::sim::history::{Asked, Event, Written};
use crate::sim::link::{Life, Sent, Service};
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{At, sleep};
use crate::sim::state::WorldState;

use super::mutated;

/// The lease table as one process sees it.
#[derive(Clone, Debug)]
pub(crate) struct SimTable {
    life: Arc<Life>,
    /// The last announcement that the process has read of.
    heard: Arc<AtomicU64>,
}

/// How long `setup` tries, in milliseconds.
const SETUP_MS: u64 = 5_000;
/// Rows on one page of a scan.
const PAGE: usize = 20;

/// The key that a page token names: the last one of the page before.
fn key_of(page: &PageToken) -> LeaseKey {
    match page.0.rsplit_once(':') {
        Some((stream, shard)) => LeaseKey {
            stream: Some(stream.into()),
            shard: shard.into(),
        },
        None => LeaseKey::single(page.0.as_str()),
    }
}

impl SimTable {
    pub(crate) fn new(life: Arc<Life>) -> Self {
        Self {
            life,
            heard: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    /// A write on a lease, written down with what it changed.
    async fn write(
        &self,
        key: LeaseKey,
        asked: Asked,
        apply: impl Fn(&mut WorldState, At) -> Result<Option<Lease>, Error> + Send + 'static,
    ) -> Result<Option<Lease>, Error> {
        let life = Arc::clone(&self.life);
        let carry_out = move |state: &mut WorldState, sent: Sent| {
            let now = life.sim.now();
            state.units.write();
            let before = state.table.get(&key).cloned();
            let result = apply(state, now);
            let written = Written {
                life: life.id,
                key: key.clone(),
                sent: sent.number,
                sent_at: sent.at,
                late: sent.late,
                asked: asked.clone(),
                before,
                after: state.table.get(&key).cloned(),
                accepted: result.is_ok(),
            };
            state.say(now, Event::Written(Box::new(written)));
            result
        };
        self.life.write(carry_out).await
    }
}

#[async_trait]
impl LeaseTable for SimTable {
    async fn setup(&self) -> Result<(), Error> {
        // As the contract says, a call of a table ends: the others are bounded by the worker as
        // well, this one takes its time.
        tokio::select! {
            biased;
            done = self.life.read(|_| ()) => done,
            () = sleep(SETUP_MS) => Err(Error::Throttled { source: "a simulated table did not answer".into() }),
        }
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        let read = |state: &mut WorldState| {
            state.units.read_row();
            let row = state.table.readable(key)?.cloned();
            Ok(row.map(|row| mutated::read(&self.life, state, row)))
        };
        self.life.read(read).await?
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        let after = page.map(key_of);
        let sim = &self.life.sim;
        let read = |state: &mut WorldState| {
            let (now, oldest) = (sim.now(), sim.link(Service::Table, state.healed).stale_ms);
            let WorldState {
                dice,
                counts,
                table,
                units,
                ..
            } = state;
            let stale = consistency == Consistency::Eventual && oldest > 0 && dice.chance(0.5);
            if stale {
                counts.add(Fault::StaleRead);
            }
            // Each row of an eventual page may be from another replica.
            let lag = if stale { dice.range(1, oldest) } else { 0 };
            let torn = stale && dice.chance(0.3);
            let dice = std::cell::RefCell::new(dice);
            let seen = || {
                At(now.0.saturating_sub(if torn {
                    dice.borrow_mut().range(0, lag)
                } else {
                    lag
                }))
            };
            let (leases, more) = table.page(after.as_ref(), PAGE, seen);
            let mut rows = ScanPage::default();
            rows.next = leases
                .last()
                .filter(|_| more)
                .map(|last| PageToken(last.key.to_string()));
            if after.is_none() {
                let workers = table.workers_at(seen()).into_iter();
                rows.workers = workers
                    .map(|row| mutated::listed(&self.life, row))
                    .collect();
                rows.malformed = table.malformed_row().into_iter().collect();
            }
            let is_strong = consistency == Consistency::Strong;
            units.read_page(leases.len(), rows.workers.len(), is_strong);
            if let Some(row) = table
                .malformed_row()
                .filter(|_| sim.mutant() == Some(Mutant::OneRowIsAll))
            {
                return Err(row.into());
            }
            rows.leases = leases;
            if sim.mutant().is_some() {
                let leases = std::mem::take(&mut rows.leases);
                rows.leases = leases
                    .into_iter()
                    .map(|row| mutated::looked(&self.life, state, row))
                    .collect();
            }
            Ok(rows)
        };
        self.life.read(read).await?
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        if mutated::is_uncreated(&self.life, lease) {
            return Ok(lease.clone());
        }
        let new = mutated::created(&self.life, lease);
        let asked = Asked::Create(Box::new(new.clone()));
        let apply = move |state: &mut WorldState, at: At| state.table.create(&new, at).map(Some);
        let row = self.write(lease.key.clone(), asked, apply).await?;
        Ok(row.unwrap_or_else(|| lease.clone()))
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let Write {
            expect,
            change,
            throughput,
            ..
        } = write;
        if mutated::is_unsent(&self.life, change) {
            let row = self
                .life
                .read(|state| state.table.get(key).cloned())
                .await?;
            return mutated::as_if_done(&self.life, expect, change, row);
        }
        let asked = Asked::Update(expect.clone(), change.clone());
        let (weak, made) = (
            mutated::expectation(&self.life, expect, change),
            mutated::change(&self.life, change),
        );
        let made = Write::new(weak, made).with_throughput(*throughput);
        let of = key.clone();
        let apply =
            move |state: &mut WorldState, at: At| state.table.update(&of, &made, at).map(Some);
        let result = self
            .write(key.clone(), asked, apply)
            .await
            .and_then(|row| row.ok_or_else(|| Error::conflict(None)));
        if self.life.sim.mutant() == Some(Mutant::DeletedAtOnce)
            && matches!(change, Change::End { .. })
            && result.is_ok()
        {
            let _ = self.delete(key, &Expect::default()).await;
        }
        mutated::answer(&self.life, expect, change, result)
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        let (of, expect) = (key.clone(), expect.clone());
        let asked = Asked::Delete(expect.clone());
        let apply = move |state: &mut WorldState, at: At| {
            state.table.delete(&of, &expect, at).map(|()| None)
        };
        self.write(key.clone(), asked, apply).await.map(|_| ())
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        let (worker, seen, row) = (worker.clone(), seen.cloned(), row.cloned());
        let life = Arc::clone(&self.life);
        if mutated::is_kill_unsent(&life, row.as_ref()) {
            return Ok(());
        }
        let carry_out = move |state: &mut WorldState, _: Sent| {
            let now = life.sim.now();
            state.units.write();
            let seen = mutated::seen_worker(&life, state, &worker, seen.clone());
            let result = state
                .table
                .worker_write(&worker, seen.as_ref(), row.as_ref(), now);
            let event = Event::WorkerRow {
                life: life.id,
                worker: worker.clone(),
                row: row.clone(),
                accepted: result.is_ok(),
            };
            state.say(now, event);
            result
        };
        self.life.write(carry_out).await
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        let read = |state: &mut WorldState| {
            state.units.read_row();
            mutated::read_worker(&self.life, state, worker)
        };
        self.life.read(read).await
    }

    async fn glance_at_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        let sim = &self.life.sim;
        let read = |state: &mut WorldState| {
            let (now, oldest) = (sim.now(), sim.link(Service::Table, state.healed).stale_ms);
            state.units.read_row_eventually();
            let stale = oldest > 0 && state.dice.chance(0.5);
            let lag = if stale {
                state.dice.range(1, oldest)
            } else {
                0
            };
            let rows = state.table.workers_at(At(now.0.saturating_sub(lag)));
            let row = rows.into_iter().find(|row| row.worker == *worker);
            row.map(|row| mutated::listed(&self.life, row))
        };
        self.life.read(read).await
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        let heard = self.heard.load(Ordering::Relaxed);
        // Who has the value already has no use for what led there.
        let read = |state: &mut WorldState| {
            state.units.read_row_eventually();
            (state.table.announcements(), state.table.signal_for(heard))
        };
        let (number, signal) = self.life.read(read).await?;
        self.heard.store(number, Ordering::Relaxed);
        Ok(Some(signal))
    }

    fn change_signal_interval(&self) -> Duration {
        Duration::from_millis(self.life.sim.world().fleet.beacon_ms)
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        let changed = changed.to_vec();
        let carry_out = move |state: &mut WorldState, _: Sent| {
            state.units.write();
            state.table.announce(&changed);
            Ok(())
        };
        self.life.write(carry_out).await
    }
}
