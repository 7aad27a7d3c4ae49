use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::lease::LeaseTable;
use kcl_core::model::WorkerId;
use kcl_core::worker::OutOfRange;
use kcl_core::worker::{
    Balance, Checkpoints, CoordinationOn, Event as Heard, FanOutConfig, Mode, Stopped,
};
use kcl_core::{InitialPosition, OnFailure, Worker};

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::fakes::{Processors, SimStream, SimTable};
use crate::sim::history::{Event, LifeId, Said};
use crate::sim::link::{Gate, Life, SimClock};
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::state::Sim;
use crate::sim::world::FanOut;

use super::streams;

/// The processes that live now, with their handles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Arc<Mutex<BTreeMap<LifeId, Process>>>);

/// A process that lives.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) life: Arc<Life>,
    pub(crate) worker: Worker,
}

impl Processes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LifeId, Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all(&self) -> Vec<Process> {
        self.lock().values().cloned().collect()
    }

    /// Whether it lives.
    pub(crate) fn has(&self, life: LifeId) -> bool {
        self.lock().contains_key(&life)
    }

    /// Kills the one that was started first.
    pub(crate) fn kill_first(&self) {
        if let Some(process) = self.all().first() {
            process.life.crash.notify_one();
        }
    }

    /// One of them.
    pub(crate) fn any(&self, dice: &mut Dice) -> Option<Process> {
        let all = self.all();
        (!all.is_empty()).then(|| all[dice.index(all.len())].clone())
    }
}

/// Keeps a worker running: when its process ends, another one is started after a pause, until the
/// world closes.
pub(crate) async fn supervise(sim: Sim, processes: Processes, slot: usize) {
    let mut dice = Dice::new(sim.world().seed, &format!("slot {slot}"));
    let mut starts = 0;
    // Not all at once.
    sleep(dice.range(0, 3_000)).await;
    loop {
        let chaos = &sim.world().chaos;
        let id = if chaos.new_ids {
            format!("worker-{slot}-{starts}")
        } else {
            format!("worker-{slot}")
        };
        if starts > 0 {
            sim.count(if chaos.new_ids {
                Fault::RestartNewId
            } else {
                Fault::RestartSameId
            });
        }
        starts += 1;
        run_process(&sim, &processes, id.as_str().into(), slot).await;
        if sim.state().closing {
            return;
        }
        // A second at the least: a supervisor that spins helps nobody.
        let down = dice
            .range(50, chaos.down_ms)
            .max(if sim.is_healed() { 1_000 } else { 50 });
        tokio::select! {
            biased;
            () = sim.until_healed(), if !sim.is_healed() => {}
            () = sleep(down) => {}
        }
        if sim.state().closing {
            return;
        }
    }
}

/// A lease table as a process of its own sees it, without a worker.
pub(crate) fn lone_table(sim: &Sim) -> Arc<dyn LeaseTable> {
    let gate = Arc::new(Gate::default());
    let clock = SimClock::new(sim.origin(), Arc::clone(&gate), 0, 0);
    Arc::new(SimTable::new(Arc::new(Life::new(
        LifeId(0),
        "somebody".into(),
        0,
        sim.clone(),
        gate,
        clock,
    ))))
}

/// Starts the worker of this place, which is not started again when it ends.
pub(crate) fn join(sim: &Sim, processes: &Processes, slot: usize) {
    let (sim, processes) = (sim.clone(), processes.clone());
    let id = format!("worker-{slot}").as_str().into();
    spawn(async move { run_process(&sim, &processes, id, slot).await });
}

/// Runs one process to its end.
pub(crate) async fn run_process(sim: &Sim, processes: &Processes, id: WorkerId, slot: usize) {
    let life_id = sim.state().next_life();
    let mut dice = Dice::new(sim.world().seed, &format!("life {}", life_id.0));
    let gate = Arc::new(Gate::default());
    let fleet = &sim.world().fleet;
    let drift = if fleet.drift_ppm == 0 {
        0
    } else {
        sim.count(Fault::ClockDrift);
        let size = dice.range(0, fleet.drift_ppm) as i64;
        if dice.chance(0.5) { size } else { -size }
    };
    // A mutant whose clock stops would be hidden by drift.
    let drift = if sim.mutant().is_some() { 0 } else { drift };
    let clock = SimClock::new(
        sim.origin(),
        Arc::clone(&gate),
        dice.range(0, 1_000_000_000),
        drift,
    );
    let life = Arc::new(Life::new(
        life_id,
        id.clone(),
        slot,
        sim.clone(),
        gate,
        clock,
    ));
    let later = streams::not_yet(&life);
    let worker = match build(sim, &life, &later) {
        Ok(worker) => worker,
        Err(error) => {
            sim.state()
                .judge
                .defect(format!("a worker could not be built: {error}"));
            return;
        }
    };
    listen(&life, &worker);
    sim.say(Event::Started {
        life: life_id,
        worker: id,
        slot,
    });
    let process = Process {
        life: Arc::clone(&life),
        worker: worker.clone(),
    };
    processes.lock().insert(life_id, process.clone());
    streams::add_later(processes, &process, later);
    let ended = tokio::select! {
        biased;
        () = life.crash.notified() => None,
        ended = worker.run() => Some(ended),
    };
    processes.lock().remove(&life_id);
    // A process that is gone is not frozen: what waited at its gate ends.
    life.gate.thaw();
    let event = match ended {
        None => Event::Crashed { life: life_id },
        Some(Ok(report)) => {
            let drained = report
                .shards
                .into_iter()
                .filter(|(_, shard)| shard.stopped == Stopped::Drained);
            Event::Stopped {
                life: life_id,
                error: None,
                drained: drained
                    .map(|(key, shard)| (key, shard.checkpoint))
                    .collect(),
            }
        }
        Some(Err(error)) => Event::Stopped {
            life: life_id,
            error: Some(error.to_string()),
            drained: Vec::new(),
        },
    };
    sim.say(event);
}

fn build(
    sim: &Sim,
    life: &Arc<Life>,
    later: &[usize],
) -> Result<Worker, kcl_core::worker::SettingError> {
    let world = sim.world();
    let fleet = &world.fleet;
    let millis = Duration::from_millis;
    let initial = if fleet.latest {
        InitialPosition::Latest
    } else {
        InitialPosition::TrimHorizon
    };
    let builder = match world.streams {
        1 => Worker::builder()
            .stream("sim-0")
            .source(SimStream::new(Arc::clone(life), 0)),
        several => {
            let first = (0..several).filter(|stream| !later.contains(stream));
            Worker::builder().streams(first.map(|stream| streams::config(life, stream)))
        }
    };
    let builder = match fleet.idle_every_ms {
        0 => builder,
        every => builder.idle_every(millis(every)),
    };
    let builder = match fleet.capacity_of(life.slot) {
        0 => builder.balance(Balance::Count),
        capacity => builder.capacity(f64::from(capacity)),
    };
    builder
        .application("sim")
        .worker_id(life.worker.as_str())
        .lease_table(SimTable::new(Arc::clone(life)))
        .processor(Processors::new(Arc::clone(life)))
        .clock(life.clock.clone())
        .coordination_on(CoordinationOn::CallersRuntime)
        .initial_position(initial)
        .failover(millis(fleet.failover_of(life.slot)))
        .liveness(fleet.liveness_of(life.slot))
        .max_leases(if sim.mutant() == Some(Mutant::NoRoomIsRoom) {
            usize::MAX
        } else {
            fleet.cap_of(life.slot)
        })
        .max_records(fleet.max_records)
        .calls_per_second(fleet.calls_per_second)
        .idle_ceiling(millis(fleet.idle_ms))
        .call_limit(millis(fleet.call_limit_ms))
        .checkpoints(if world.handlers.automatic() {
            Checkpoints::Automatic
        } else {
            Checkpoints::Manual
        })
        .checkpoint_every(millis(fleet.checkpoint_every_ms))
        .handler_budget(if sim.mutant() == Some(Mutant::BeatWhileHung) {
            Duration::from_secs(86_400)
        } else {
            millis(fleet.handler_budget_ms)
        })
        .on_failure(if fleet.skip_failed {
            OnFailure::Skip
        } else {
            OnFailure::Retry
        })
        .retry_pause(millis(500), millis(5_000))
        .out_of_range(OutOfRange::HandOn)
        .audit_every(millis(fleet.audit_every_ms))
        .mode(mode_of(life))
        .build()
}

/// How a process reads.
fn mode_of(life: &Life) -> Mode {
    let world = life.sim.world();
    let fan_out = || Mode::FanOut(FanOutConfig::managed());
    match &world.fan_out {
        None => Mode::Polling,
        Some(FanOut { mixed: false, .. }) => fan_out(),
        Some(_) => match Dice::new(world.seed, &format!("mode of life {}", life.id.0)).index(3) {
            0 => Mode::Polling,
            1 => Mode::Auto(FanOutConfig::managed()),
            _ => fan_out(),
        },
    }
}

/// Writes down what the worker says of data that it passes over.
fn listen(life: &Arc<Life>, worker: &Worker) {
    let (mut events, life) = (worker.events(), Arc::clone(life));
    spawn(async move {
        while let Some(event) = events.next().await {
            let said = match event {
                Heard::DataGap { .. } if life.sim.mutant() == Some(Mutant::GapUnreported) => {
                    continue;
                }
                Heard::DataGap { shard, gap } => Said::Gap(shard.lease, gap),
                Heard::RecordSkipped { shard, at } => Said::Skipped(shard.lease, at),
                Heard::ShardUnreadable { shard, .. } => Said::Unreadable(shard.lease),
                Heard::EndRefused { shard, .. } => Said::EndRefused(shard.lease),
                Heard::RowMalformed { .. } => Said::Malformed,
                Heard::StreamReplaced { .. } => Said::Replaced,
                Heard::LeasesLeftUnread { leases } => Said::LeftUnread(leases.len()),
                _ => continue,
            };
            life.sim.say(Event::Said {
                life: life.id,
                said,
            });
        }
    });
}
