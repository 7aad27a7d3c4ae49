use std::sync::Arc;
use std::time::Duration;

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::history::Event;
use crate::sim::link::Service;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::state::Sim;

use super::process::{Process, Processes, run_process};
use super::{operator, reshards, seeker, streams};

/// Something that is done to a process.
type ChaosDeed = fn(&Sim, &Processes, &mut Dice, &Process);

/// Starts everything that goes wrong with processes and networks, until the world is healed.
pub(crate) fn begin(sim: &Sim, processes: &Processes) {
    let chaos = &sim.world().chaos;
    let deeds: [(&str, u64, ChaosDeed); 8] = [
        ("crash", chaos.crash_every_ms, crash),
        ("stop", chaos.stop_every_ms, stop),
        ("freeze", chaos.freeze_every_ms, freeze),
        ("table cut", chaos.table_cut_every_ms, cut_table),
        ("stream cut", chaos.stream_cut_every_ms, cut_stream),
        ("duplicate", chaos.duplicate_every_ms, duplicate),
        (
            "consumer",
            sim.world()
                .fan_out
                .as_ref()
                .map_or(0, |fan_out| fan_out.removed_every_ms),
            remove_consumer,
        ),
        (
            "streams",
            if sim.world().streams > 1 {
                chaos.streams_every_ms
            } else {
                0
            },
            streams::change,
        ),
    ];
    for (name, mean, deed) in deeds {
        if mean > 0 {
            spawn(again_and_again(
                sim.clone(),
                processes.clone(),
                name,
                mean,
                deed,
            ));
        }
    }
    if chaos.malformed_ms > 0 {
        spawn(spoil_row(sim.clone(), chaos.malformed_ms));
    }
    if chaos.pauses_every_ms > 0 {
        spawn(operator::pause_shards(sim.clone(), chaos.pauses_every_ms));
    }
    if chaos.long_pause_ms > 0 {
        spawn(operator::pause_for_long(sim.clone(), chaos.long_pause_ms));
    }
    if chaos.seeks_every_ms > 0 {
        spawn(seeker::seek_shards(sim.clone(), chaos.seeks_every_ms));
    }
    if chaos.moves_every_ms > 0 {
        spawn(operator::move_leases(sim.clone(), chaos.moves_every_ms));
    }
    if chaos.drains_every_ms > 0 {
        spawn(operator::drain_workers(sim.clone(), chaos.drains_every_ms));
    }
    if chaos.replaced_ms > 0 {
        spawn(replace_stream(sim.clone(), chaos.replaced_ms));
    }
    if chaos.out_of_reach_ms > 0 {
        spawn(lose_reach(
            sim.clone(),
            processes.clone(),
            chaos.out_of_reach_ms,
        ));
    }
}

/// Somebody edits the row of a lease whose shard is not done, so that it cannot be read.
async fn spoil_row(sim: Sim, after: u64) {
    let mut dice = Dice::new(sim.world().seed, "which row is malformed");
    sleep(after).await;
    let mut state = sim.state();
    let rows: Vec<_> = state
        .table
        .leases()
        .filter(|row| !row.checkpoint.is_shard_end())
        .map(|row| row.key.clone())
        .collect();
    if state.healed || rows.is_empty() {
        return;
    }
    let key = rows[dice.index(rows.len())].clone();
    state.counts.add(Fault::RowSpoiled);
    state.table.spoil(&key);
    state.say(sim.now(), Event::Spoiled { key, on: true });
}

/// A stream is deleted and made again under its name, once there is a lease.
async fn replace_stream(sim: Sim, after: u64) {
    let mut dice = Dice::new(sim.world().seed, "which stream is replaced");
    sleep(after).await;
    let mut state = sim.state();
    let stream = dice.index(sim.world().streams);
    let is_leased = state.table.leases().any(|row| {
        state
            .stream
            .leased(&row.key)
            .is_some_and(|(_, shard)| shard.stream == stream)
    });
    if state.healed || !is_leased {
        return;
    }
    let now = sim.now();
    state.counts.add(Fault::StreamReplaced);
    state.stream.replace(stream, now);
    state.consumers.forget(stream);
    state.say(now, Event::Replaced { stream });
    reshards::open(&sim, &mut state, stream, now, &mut dice);
}

/// One process loses its way to the stream, and keeps all else.
async fn lose_reach(sim: Sim, processes: Processes, after: u64) {
    let mut dice = Dice::new(sim.world().seed, "who is out of reach");
    sleep(after).await;
    let process = processes.any(&mut dice).filter(|_| !sim.is_healed());
    if let Some(process) = process {
        process.life.lose_reach(dice.chance(0.5));
        sim.say(Event::Cut {
            life: process.life.id,
            service: "stream, for long",
            millis: 0,
        });
    }
}

async fn again_and_again(
    sim: Sim,
    processes: Processes,
    name: &'static str,
    mean: u64,
    deed: ChaosDeed,
) {
    let mut dice = Dice::new(sim.world().seed, name);
    loop {
        sleep(dice.wait(mean).max(10)).await;
        if sim.is_healed() {
            return;
        }
        if let Some(process) = processes.any(&mut dice) {
            deed(&sim, &processes, &mut dice, &process);
        }
    }
}

fn crash(sim: &Sim, _: &Processes, _: &mut Dice, process: &Process) {
    sim.count(Fault::Crash);
    process.life.crash.notify_one();
}

fn stop(sim: &Sim, _: &Processes, dice: &mut Dice, process: &Process) {
    sim.count(Fault::Stop);
    sim.say(Event::StopAsked {
        life: process.life.id,
    });
    let deadline = Duration::from_millis(dice.range(100, 40_000));
    let worker = process.worker.clone();
    spawn(async move {
        worker.shutdown(deadline).await;
    });
}

fn freeze(sim: &Sim, _: &Processes, dice: &mut Dice, process: &Process) {
    sim.count(Fault::Frozen);
    process
        .life
        .freeze("anywhere", dice.range(100, sim.world().chaos.freeze_ms));
}

fn cut_table(sim: &Sim, _: &Processes, dice: &mut Dice, process: &Process) {
    cut(sim, dice, process, Service::Table, "table");
}

fn cut_stream(sim: &Sim, _: &Processes, dice: &mut Dice, process: &Process) {
    cut(sim, dice, process, Service::Stream, "stream");
}

fn cut(sim: &Sim, dice: &mut Dice, process: &Process, service: Service, name: &'static str) {
    let millis = dice.range(100, sim.world().chaos.cut_ms);
    process.life.set_cut(service, dice.chance(0.4));
    sim.say(Event::Cut {
        life: process.life.id,
        service: name,
        millis,
    });
    let life = Arc::clone(&process.life);
    spawn(async move {
        sleep(millis).await;
        life.mend(service);
    });
}

/// Somebody removes the consumer of a stream, for whatever reason.
fn remove_consumer(sim: &Sim, _: &Processes, _: &mut Dice, _: &Process) {
    let mut state = sim.state();
    if let Some(arn) = state.consumers.first() {
        state.counts.add(Fault::ConsumerRemoved);
        state.consumers.deregister(&arn);
    }
}

fn duplicate(sim: &Sim, processes: &Processes, dice: &mut Dice, process: &Process) {
    sim.count(Fault::DuplicateId);
    let life = Arc::clone(&process.life);
    let (sim, processes, span) = (sim.clone(), processes.clone(), dice.range(1_000, 60_000));
    spawn(async move {
        let before: Vec<_> = processes
            .all()
            .iter()
            .map(|process| process.life.id)
            .collect();
        let twin = Box::pin(run_process(
            &sim,
            &processes,
            life.worker.clone(),
            life.slot,
        ));
        let mut ends = Box::pin(async {
            tokio::select! {
                biased;
                () = sim.until_healed() => {}
                () = sleep(span) => {}
            }
        });
        let mut twin = twin;
        let ended = tokio::select! {
            biased;
            () = &mut twin => true,
            () = &mut ends => false,
        };
        if !ended {
            let twins = processes.all().into_iter().filter(|other| {
                other.life.worker == life.worker
                    && !before.contains(&other.life.id)
                    && !Arc::ptr_eq(&other.life, &life)
            });
            for other in twins.take(1) {
                other.life.crash.notify_one();
            }
            twin.await;
        }
    });
}
