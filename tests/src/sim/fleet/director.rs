use std::time::Duration;

use crate::sim::history::Event;
use crate::sim::runtime::{sleep, start};
use crate::sim::state::Sim;
use crate::sim::world::{SimFleet, Style, World};

use super::process::{Processes, supervise};
use super::{chaos, operator, producer, reshards};

/// Runs a world through its phases: faults, heal, liveness, stop, last scan.
pub(crate) async fn direct(sim: &Sim) {
    let world = sim.world().clone();
    let processes = Processes::default();
    sim.say(Event::Phase("faults"));
    reshards::open_first(sim);
    let supervisors: Vec<_> = (0..world.fleet.workers)
        .map(|slot| start(supervise(sim.clone(), processes.clone(), slot)))
        .collect();
    let producer = start(producer::produce(sim.clone()));
    start(reshards::reshard(sim.clone()));
    start(reshards::retain(sim.clone()));
    chaos::begin(sim, &processes);
    if world.calm {
        stay_calm(sim).await;
    } else {
        sleep(world.faults_ms).await;
    }

    sim.say(Event::Phase("heal"));
    sim.heal();
    for process in processes.all() {
        process.life.mend(crate::sim::link::Service::Table);
        process.life.mend(crate::sim::link::Service::Stream);
        process.life.gate.thaw();
    }
    operator::resume_all(sim);
    if world.chaos.out_of_reach_ms > 0 {
        // Nobody but a drained worker may be able to read.
        operator::undrain_all(sim);
    }
    let _ = producer.await;
    let is_over = world.streams == 1 && sim.state().stream.is_replaced(0);
    if is_over {
        // Everybody has to hear of it: by what the stream is, or by the rows.
        sim.state().table.repair();
        operator::resume_all(sim);
        for process in processes.all() {
            process.life.regain_reach();
        }
    }

    sim.say(Event::Phase("liveness"));
    let healed = sim.now();
    let mut deadline = healed.plus(patience(sim));
    let mut alive = true;
    loop {
        sleep(500).await;
        let now = sim.now();
        let missing = {
            let state = &mut *sim.state();
            if is_over {
                state.judge.not_ended(healed)
            } else {
                state.judge.unfinished(&state.stream, &state.table)
            }
        };
        match missing {
            None => {
                // A row that cannot be read keeps one shard, and what follows it, and nothing else.
                // Now it is repaired.
                let state = &mut *sim.state();
                if !is_over {
                    state
                        .judge
                        .malformed_was_told(now, &state.stream, &state.table);
                }
                let Some(key) = state.table.repair() else {
                    break;
                };
                state.say(now, Event::Spoiled { key, on: false });
            }
            Some(missing) if now >= deadline => {
                sim.state().judge.not_alive(now, missing);
                alive = false;
                break;
            }
            Some(_) => continue,
        }
        // A row that could not be read could not be resumed either.
        operator::resume_all(sim);
        deadline = now.plus(patience(sim));
    }

    for process in processes.all() {
        process.life.regain_reach();
    }
    if alive && !is_over {
        sim.say(Event::Phase("balance"));
        let live: Vec<_> = processes
            .all()
            .iter()
            .map(|process| process.life.worker.clone())
            .collect();
        operator::steer_healed(sim, &live);
        balance(sim).await;
        let now = sim.now();
        let state = &mut *sim.state();
        state.judge.at_rest(now, &state.stream, &state.table);
    }

    sim.say(Event::Phase("stop"));
    sim.state().closing = true;
    let stops: Vec<_> = processes
        .all()
        .into_iter()
        .map(|process| {
            sim.say(Event::StopAsked {
                life: process.life.id,
            });
            start(async move {
                process.worker.shutdown(Duration::from_secs(60)).await;
            })
        })
        .collect();
    for stop in stops {
        let _ = stop.await;
    }
    let ends = start(async move {
        for supervisor in supervisors {
            let _ = supervisor.await;
        }
    });
    let late = sim.now().plus(90_000);
    let origin = sim.origin();
    tokio::select! {
        biased;
        _ = ends => {}
        () = origin.sleep_until(late) => sim.state().judge.defect("a worker did not end within 90 \
            s of its stop".to_owned()),
    }
    // What is still under way may land now: it must not undo anything.
    sleep(world.table.late_ms + 1_000).await;
    sim.say(Event::Phase("scan"));
    let mut state = sim.state();
    let state = &mut *state;
    state.judge.scan(&state.stream, &state.table);
}

/// The phase of faults of a calm world: they are of the kind that must not move a lease.
async fn stay_calm(sim: &Sim) {
    sleep(SETTLE_MS).await;
    let (before, calls_before) = {
        let state = sim.state();
        (state.judge.acquisitions(), state.table_calls)
    };
    let span = sim.world().faults_ms.saturating_sub(SETTLE_MS);
    sleep(span).await;
    let now = sim.now();
    let mut state = sim.state();
    let moves = state.judge.acquisitions() - before;
    if moves > 0 {
        let how = state.judge.moves_after(before);
        state
            .judge
            .not_calm(now, format!("{moves} leases moved in a calm world: {how}"));
    }
    let records = state
        .stream
        .shards()
        .iter()
        .map(|shard| u64::from(shard.len()))
        .sum();
    let (calls, most) = (
        state.table_calls - calls_before,
        calm_calls(sim.world(), span, records),
    );
    if calls > most {
        state.judge.too_many_calls(
            now,
            format!("{calls} calls of the lease table in a calm world, {most} are its share"),
        );
    }
}

/// How many calls of the lease table a calm fleet may need in so long a time: readings of the
/// signal, looks and audits page by page, signs of life, renewals, and a checkpoint a record; and a
/// third more for what is lost and refused.
fn calm_calls(world: &World, span: u64, records: u64) -> u64 {
    let SimFleet {
        workers,
        failover_ms,
        beacon_ms,
        audit_every_ms,
        ..
    } = world.fleet;
    let (workers, pages) = (workers as u64, u64::from(world.shards) / 20 + 1);
    let a_worker = span / beacon_ms
        + (span * 5 / failover_ms + span / audit_every_ms) * pages
        + span * 3 / failover_ms;
    let renewals = u64::from(world.shards) * span * 3 / failover_ms;
    (workers * a_worker + renewals + records) * 4 / 3
}

/// How long a calm world may take until every worker has its share.
const SETTLE_MS: u64 = 300_000;

/// Waits until the leases are shared evenly and nothing moves any more.
async fn balance(sim: &Sim) {
    // What was under way at the heal may still land (a request, for one), and those who died are
    // believed to live for a while.
    let fleet = &sim.world().fleet;
    sleep(sim.world().table.late_ms.max(2 * fleet.longest_failover())).await;
    let chaos = &sim.world().chaos;
    let steered = if chaos.moves_every_ms + chaos.drains_every_ms > 0 {
        STEERED_MS
    } else {
        0
    };
    let deadline = sim.now().plus(BALANCE_MS + steered);
    loop {
        while let Some(uneven) = {
            let state = sim.state();
            state
                .judge
                .unbalanced(fleet.workers, &state.stream, &state.table)
        } {
            let now = sim.now();
            if now >= deadline {
                return sim.state().judge.not_calm(now, uneven);
            }
            sleep(1_000).await;
        }
        let before = sim.state().judge.acquisitions();
        sleep(3 * sim.world().fleet.longest_failover()).await;
        let now = sim.now();
        let mut state = sim.state();
        let moves = state.judge.acquisitions() - before;
        if moves == 0 {
            return;
        }
        // What arrived before the heal is forgotten by and by, and until then leases may move because of
        // what they carry.
        if now >= deadline {
            let how = state.judge.moves_after(before);
            let text = format!("{moves} leases moved in a balanced fleet: {how}");
            return state.judge.not_calm(now, text);
        }
    }
}

/// How long a healed fleet may take to share its leases evenly: a refusal is remembered for a
/// minute, a hand-over takes up to ten seconds, and a worker asks for a few at a time.
const BALANCE_MS: u64 = 240_000;

/// How much longer it may take where an operator moves leases and drains workers: a request that was
/// refused is made again after a minute, a lease that was moved rests for one, and a worker gives its
/// leases up in batches.
const STEERED_MS: u64 = 180_000;

/// How long after the heal everything may take to be done: the leases expire, cool-downs end (a
/// minute at the most), late writes land, and the backlog is read.
fn patience(sim: &Sim) -> u64 {
    let world = sim.world();
    let calm = 3 * world.fleet.longest_failover()
        + 60_000
        + world.table.late_ms
        + world.fleet.audit_every_ms
        + world.fleet.call_limit_ms;
    // Where subscriptions do not end, one that is quiet asks for a listing, and then whether its
    // shard has ended. Each generation is quiet first, and asks twice where nobody names the shards
    // that follow.
    let endless = world
        .fan_out
        .as_ref()
        .is_some_and(|fan_out| fan_out.endless);
    let calm = if endless {
        calm + 3 * world.fleet.audit_every_ms
    } else {
        calm
    };
    // A process that does not get through gives up each generation of shards that it holds when
    // three failover times are over, at its second failure at the earliest: a subscription that is
    // silent, or calls without an answer.
    let lost =
        4 * world.fleet.longest_failover() + 2 * world.fleet.call_limit_ms.min(10_000) + 45_000;
    let calm = if world.chaos.out_of_reach_ms > 0 {
        calm + lost
    } else {
        calm
    };
    let state = sim.state();
    // One shard after the other, parents before children: the longest line counts.
    let generation = if world.chaos.out_of_reach_ms > 0 {
        lost
    } else {
        0
    } + if endless { 60_000 } else { 0 };
    let mut generations: Vec<u64> = Vec::new();
    let (mut lines, mut all): (Vec<u64>, u64) = (Vec::new(), 0);
    for shard in state.stream.shards() {
        let before = shard
            .parents
            .iter()
            .map(|parent| lines[*parent])
            .max()
            .unwrap_or(0);
        let own = 6 + u64::from(shard.len()) / u64::from(world.fleet.max_records.min(100)).max(1);
        generations.push(
            shard
                .parents
                .iter()
                .map(|parent| generations[*parent] + 1)
                .max()
                .unwrap_or(0),
        );
        lines.push(before + own);
        all += own;
    }
    // Where room is short: all shards, each after a look of somebody who has room again.
    let (calls, looks) = if world.fleet.caps.is_empty() {
        (lines.into_iter().max().unwrap_or(0), 0)
    } else {
        (all, lines.len() as u64)
    };
    let calm = calm + generation * generations.into_iter().max().unwrap_or(0);
    // A buffer that shards share does one record after the other, of whichever shard.
    let records = || {
        state
            .stream
            .shards()
            .iter()
            .map(|shard| u64::from(shard.len()))
    };
    let calm = if world.handlers.styles.contains(&Style::SharedBuffer) {
        calm + records().sum::<u64>() * world.handlers.usual_ms
    } else {
        calm
    };
    calm + calls * (1_000 + 4 * world.handlers.usual_ms) + looks * world.fleet.longest_failover()
}
