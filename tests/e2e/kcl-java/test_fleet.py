#!/usr/bin/env python3
"""Our workers beside those of the Java KCL, on one stream and one lease table, as `tests/e2e/run kcl-java` calls it.

    test_fleet.py [--calm SECONDS] [--failover SECONDS] [SCENARIO ...]

The scenarios run side by side, each with a stream, a table and workers of its own.
"""

import argparse
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

from fleet import Fleet, Watch, is_of_ours, is_ready
from parts import LOGS, end_with_us, text, until

SHARDS = 4
HALF = SHARDS // 2
QUARTER = SHARDS // 4


def beside(fleet, calm):
    """Both read; nothing moves when leases are even; each takes over from the other, killed or stopped; no record is lost."""
    first = fleet.java("java-1")
    fleet.say(f"java alone reads all after {fleet.holds(first, SHARDS):.0f} s")
    watch = Watch(fleet.table, {"ours-1", "ours-2"})
    our_first = fleet.ours("ours-1")
    fleet.say(f"ours has joined: even after {fleet.holds(our_first, HALF):.0f} s")
    fleet.holds(first, HALF)
    since = quiet(watch, 4 * fleet.failover)
    counts = [worker.shards() for worker in (first, our_first)]
    time.sleep(max(0, since + calm - time.monotonic()))
    moves = watch.moves_since(since)
    fleet.say(f"at rest for {time.monotonic() - since:.0f} s: {len(moves)} moves")
    assert not moves, moves
    for worker, before in zip((first, our_first), counts):
        now = worker.shards()
        reading = [shard for shard in now if now[shard] > before[shard]]
        assert len(reading) == HALF, f"{worker.name} reads {reading}"
    if fleet.mode:
        # What keeps the Java fleet in 2.x mode is our worker, not that its rule could not hold.
        def of_java():
            return {key: row for key, row in fleet.table.rows().items() if text(row, "leaseOwner") != "ours-1"}

        until("fresh metrics of the Java worker", lambda: is_ready(of_java(), time.time()), 120)

    our_first.kill()
    fleet.say(f"ours was killed: java reads all after {fleet.holds(first, SHARDS):.0f} s")
    our_second = fleet.ours("ours-2")
    fleet.say(f"ours is back: even after {fleet.holds(our_second, HALF):.0f} s")
    first.kill()
    fleet.say(f"java was killed: ours reads all after {fleet.holds(our_second, SHARDS):.0f} s")
    second = fleet.java("java-2")
    fleet.say(f"java is back: even after {fleet.holds(second, HALF):.0f} s")
    assert fleet.stop(our_second, second, SHARDS) == 0
    third = fleet.ours("ours-3")
    watch.our_names.add("ours-3")
    fleet.say(f"ours is back: even after {fleet.holds(third, HALF):.0f} s")
    fleet.stop(second, third, SHARDS)
    count, more = fleet.all_read()
    assert third.stop() == 0
    watch.stop()
    fleet.in_order()
    fleet.say(f"{count} records put, none lost, {more} processed again; {watch.looks} looks at the table")
    assert not watch.faults, watch.faults
    assert watch.versions <= {"CLIENT_VERSION_UPGRADE_FROM_2X"}, watch.versions


def several(fleet, calm):
    """Two workers of each kind: all read, at rest nothing moves, either side takes all over from the other, and gives half back."""
    java = [fleet.java("java-1"), fleet.java("java-2")]
    fleet.say(f"java alone is even after {fleet.all_hold(java, HALF):.0f} s")
    watch = Watch(fleet.table, {f"ours-{number}" for number in range(1, 5)})
    ours = [fleet.ours("ours-1"), fleet.ours("ours-2")]
    fleet.say(f"ours have joined: even after {fleet.all_hold(java + ours, QUARTER):.0f} s")
    since = quiet(watch, 4 * fleet.failover)
    time.sleep(max(0, since + calm - time.monotonic()))
    moves = watch.moves_since(since)
    fleet.say(f"at rest for {time.monotonic() - since:.0f} s: {len(moves)} moves")
    assert not moves, moves
    for worker in java:
        worker.kill()
    fleet.say(f"java were killed: ours read all after {fleet.all_hold(ours, HALF):.0f} s")
    java = [fleet.java("java-3"), fleet.java("java-4")]
    fleet.say(f"java are back: even after {fleet.all_hold(java + ours, QUARTER):.0f} s")
    quiet(watch, 4 * fleet.failover)
    assert fleet.stop_all(ours, java, HALF) == [0, 0]
    ours = [fleet.ours("ours-3"), fleet.ours("ours-4")]
    fleet.say(f"ours are back: even after {fleet.all_hold(java + ours, QUARTER):.0f} s")
    quiet(watch, 4 * fleet.failover)
    fleet.stop_all(java, ours, HALF)
    count, more = fleet.all_read()
    assert [worker.stop() for worker in ours] == [0, 0]
    watch.stop()
    fleet.in_order()
    fleet.say(f"{count} records put, none lost, {more} processed again; {watch.looks} looks at the table")
    assert not watch.faults, watch.faults


def quiet(watch, span, within=300):
    """Waits until nothing has moved for so many seconds; since when."""

    def last():
        return watch.moves[-1][0] if watch.moves else watch.began

    until("no move any more", lambda: time.monotonic() - last() > span, within)
    return last()


def default_mode(fleet, _calm):
    """A table of a KCL 3.5.1 in its default mode: not while it is at work, taken over when it has stopped, and given back."""
    first = fleet.java("java-1")
    fleet.say(f"java alone reads all after {fleet.holds(first, SHARDS):.0f} s")
    assert text(fleet.table.rows()["Migration3.0"], "cv") == "CLIENT_VERSION_3X"
    until("metrics", lambda: "java-1" in fleet.table.rows(), 120)
    refused(fleet, "ours-1", "a Java KCL 3.x fleet in 3.x mode is using the table")
    first.stop()
    fleet.say("java was stopped")
    refused(fleet, "ours-2", "a Java KCL 3.x fleet in 3.x mode is using the table")
    java_rows = {key: row for key, row in fleet.table.rows().items() if "checkpoint" not in row}
    metrics = int(java_rows["java-1"]["lut"]["N"])
    until("metrics that are old", lambda: time.time() > metrics + 61, 90)
    third = fleet.ours("ours-3")
    fleet.say(f"ours reads all after {fleet.holds(third, SHARDS):.0f} s")
    fleet.nothing_again(first, third)
    now = fleet.table.rows()
    assert {key: now[key] for key in java_rows} == java_rows, "rows of the KCL changed"
    assert third.stop() == 0
    workers = [key for key, row in fleet.table.rows().items() if "rsIncarnation" in row]
    assert not workers, f"the row of a worker that has stopped: {workers}"
    second = fleet.java("java-2")
    fleet.say(f"given back: java reads all after {fleet.holds(second, SHARDS):.0f} s")
    fleet.nothing_again(third, second)
    count, more = fleet.all_read()
    second.stop()
    fleet.in_order()
    fleet.say(f"{count} records put, none lost, {more} processed again")


def arrival(fleet, _calm):
    """A KCL 3.5.1 in its default mode starts on our table while we run: we keep what we hold and take nothing, and it gets all at our stop."""
    first = fleet.ours("ours-1")
    fleet.say(f"ours alone reads all after {fleet.holds(first, SHARDS):.0f} s")
    assert any(is_of_ours(row) for row in fleet.table.rows().values()), "alone, a worker of ours has a row"
    # Nothing moves a counter: what Java sees of the leases is what our worker does about it.
    fleet.rest()
    java = fleet.java("java-1")
    began = time.monotonic()

    def is_passive():
        rows = fleet.table.rows()
        return "lut" in rows.get("java-1", {}) and not any(is_of_ours(row) for row in rows.values())

    until("our rows beside leases are gone", is_passive, 300)
    fleet.say(f"java was started: ours is passive after {time.monotonic() - began:.0f} s")
    assert "Java workers use the lease table" in first.log.read_text()
    refused(fleet, "ours-2", "a Java KCL 3.x fleet in 3.x mode is using the table", keeps="ours-1")
    # Its leader looks each 20 s with its own failover time.
    time.sleep(6 * fleet.failover)
    owners = set(fleet.table.owners().values())
    assert owners == {"ours-1"}, f"leases went from a worker that lives: {owners}"
    fleet.feeder.paused = False
    fleet.stop(first, java, SHARDS)
    count, more = fleet.all_read()
    java.stop()
    fleet.in_order()
    fleet.say(f"{count} records put, none lost, {more} processed again")


def arrival_in_2x_mode(fleet, _calm):
    """A KCL 3.5.1 that takes leases by itself starts on our table while nothing but heartbeats holds the leases: it gets half of them, one
    by one."""
    # In the first phase of its migration it writes no row, so that our worker has to move all counters before.
    liveness = "compatible" if fleet.mode.endswith("PHASE1") else "auto"
    first = fleet.ours("ours-1", "--liveness", liveness)
    fleet.say(f"ours alone reads all after {fleet.holds(first, SHARDS):.0f} s")
    if liveness == "auto":
        fleet.rest()
    fleet.feeder.paused = True
    java = fleet.java("java-1")
    fewest = SHARDS

    def shares():
        nonlocal fewest
        owners = list(fleet.table.owners().values())
        fewest = min(fewest, owners.count("ours-1"))
        return owners.count("java-1") == HALF

    until("Java's share", shares, 300)
    since = time.monotonic()
    until("that it lasts", lambda: shares() and time.monotonic() - since > 6 * fleet.failover, 300)
    assert fewest >= HALF, f"our worker, which lives, was left with {fewest} of {SHARDS} leases"
    fleet.feeder.paused = False
    fleet.all_hold([first, java], HALF)
    count, more = fleet.all_read()
    fleet.say(f"java has half; {count} records put, none lost, {more} processed again")
    assert first.stop() == 0
    java.stop()
    fleet.in_order()


def refused(fleet, name, why, keeps=None):
    """A worker of ours ends at its start, says why, and leaves nothing in the table beside what another one of ours keeps."""
    worker = fleet.ours(name)
    try:
        status = worker.process.wait(120)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{name} runs") from None
    said = worker.log.read_text()
    assert status == 1 and why in said, f"{status}: {said}"
    rows = fleet.table.rows()
    rows = {key: row for key, row in rows.items() if keeps is None or text(row, "leaseOwner") != keeps}
    ours = [key for key, row in rows.items() if is_of_ours(row) or "rsToken" in row or text(row, "leaseOwner") == name]
    assert not ours, ours


SCENARIOS = {
    "beside-1.14.10": (beside, "kcl-1", None),
    "beside-2.7.2": (beside, "kcl-2", None),
    "beside-3.5.1": (beside, "kcl-3", "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"),
    "several-2.7.2": (several, "kcl-2", None),
    "default-3.5.1": (default_mode, "kcl-3", "CLIENT_VERSION_CONFIG_3X"),
    "arrival-3.5.1": (arrival, "kcl-3", "CLIENT_VERSION_CONFIG_3X"),
    "arrival-2x-3.5.1": (arrival_in_2x_mode, "kcl-3", "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"),
    "arrival-phase1-3.5.1": (arrival_in_2x_mode, "kcl-3", "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X_PHASE1"),
}
# The KCL 1.14 shares leases by the rules of the KCL 2.7.
UNLESS_TOLD = [name for name in SCENARIOS if name != "beside-1.14.10"]


def run(name, calm, failover):
    """Whether it went well."""
    scenario, version, mode = SCENARIOS[name]
    fleet = Fleet(f"{name}-{int(time.time())}", SHARDS, version, mode, failover)
    began = time.monotonic()
    try:
        scenario(fleet, calm)
        fleet.say(f"ok, {time.monotonic() - began:.0f} s")
        return True
    except Exception:
        fleet.say(f"FAILED after {time.monotonic() - began:.0f} s; logs and traces are in {LOGS}\n{traceback.format_exc()}")
        for worker in fleet.workers:
            lines = worker.log.read_text(errors="replace").splitlines()[-15:]
            print("\n".join([f"--- the end of {worker.log}", *(line[:240] for line in lines)]), flush=True)
        return False
    finally:
        fleet.feeder.ended.set()
        fleet.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calm", type=float, default=100)
    parser.add_argument("--failover", type=int, default=5)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    options = parser.parse_args()
    wrong = set(options.scenarios) - set(SCENARIOS)
    if wrong:
        parser.error(f"there is no scenario {', '.join(sorted(wrong))}: {', '.join(SCENARIOS)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    end_with_us()
    names = options.scenarios or UNLESS_TOLD
    with ThreadPoolExecutor(len(names)) as pool:
        passed = sum(pool.map(lambda name: run(name, options.calm, options.failover), names))
    print(f"kcl-java: {passed} passed, {len(names) - passed} failed")
    sys.exit(passed != len(names))


if __name__ == "__main__":
    main()
