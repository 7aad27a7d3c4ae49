"""A fleet of workers of both kinds on one stream and one lease table, and what is judged of it."""

import json
import threading
import time

from parts import LOGS, Feeder, Stream, Table, java, ours, text, until

# The KCL's leader asks whether every owner has a row of metrics that is younger than this.
METRICS_SECONDS = 60


def is_ready(rows, now):
    """The KCL 3.5.1's own rule for leaving 2.x mode: every owner of a lease, and nobody is one too, shows fresh metrics."""
    owners = {text(row, "leaseOwner") for row in rows.values() if "checkpoint" in row}
    fresh = {key for key, row in rows.items() if "lut" in row and int(row["lut"]["N"]) + METRICS_SECONDS > now}
    return bool(owners) and owners <= fresh


def is_of_ours(row):
    """Whether it is a row of ours beside leases."""
    return "rsIncarnation" in row or text(row, "entityType") == "RS_FLEET"


class Watch:
    """Looks at the table all the time: who took what of whom, and what must never be seen."""

    def __init__(self, table, our_names):
        self.table, self.our_names = table, our_names
        self.moves, self.faults, self.versions = [], [], set()
        self.looks, self.began = 0, time.monotonic()
        # The owner of each lease, and the one that still works on it in a hand-over.
        self.owners = {}
        self.log = LOGS / f"{table.name}-moves.jsonl"
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.wait(0.5):
            try:
                self.look(self.table.rows())
            except Exception as error:
                self.faults.append(f"the watch failed: {error!r}")
                return

    def look(self, rows):
        self.looks += 1
        leases = {key: row for key, row in rows.items() if "checkpoint" in row}
        owners = {key: (text(row, "leaseOwner"), text(row, "checkpointOwner")) for key, row in leases.items()}
        for key, now in owners.items():
            if now != self.owners.get(key, now):
                move = (time.strftime("%H:%M:%S"), key, self.owners[key], now)
                self.moves.append((time.monotonic(), *move))
                with open(self.log, "a", encoding="utf-8") as log:
                    print(json.dumps(move), file=log)
        self.owners = owners
        if "Migration3.0" in rows:
            self.versions.add(text(rows["Migration3.0"], "cv"))
        for key, row in rows.items():
            if is_of_ours(row):
                self.fault(f"a row of ours beside leases: {key}")
        if self.our_names & {owner for owner, _ in owners.values()} and is_ready(rows, time.time()):
            self.fault("the KCL would leave 2.x mode")

    def fault(self, what):
        if what not in self.faults:
            self.faults.append(what)

    def moves_since(self, moment):
        return [move[1:] for move in self.moves if move[0] > moment]

    def stop(self):
        self.ended.set()
        self.thread.join()


class Fleet:
    """Workers of both kinds that read one stream. `say` prints what was measured."""

    def __init__(self, label, shards, version, mode, failover):
        self.label, self.version, self.mode, self.failover = label, version, mode, failover
        self.stream = Stream(label, shards)
        self.table = Table(label)
        self.feeder = Feeder(self.stream)
        self.workers = []

    def say(self, what):
        print(f"{time.strftime('%H:%M:%S')} {self.label}: {what}", flush=True)

    def java(self, name):
        mode = ("--mode", self.mode) if self.mode else ()
        worker = java(self.version, self.label, name, [self.stream.name], *mode, failover=self.failover)
        self.workers.append(worker)
        return worker

    def ours(self, name, *more):
        worker = ours(self.label, name, self.stream.name, *more, failover=self.failover)
        self.workers.append(worker)
        return worker

    def holds(self, worker, leases, within=300):
        """Waits until it owns so many, and reads each of what it owns. How long that took, in seconds."""
        began = time.monotonic()
        seen = {}

        def look():
            assert worker.running(), f"{worker.name} has ended: {worker.log}"
            mine = {shard for shard, owner in self.table.owners().items() if owner == worker.name}
            if len(mine) != leases:
                seen.clear()
                return False
            counts = worker.shards()
            seen.setdefault("counts", counts)
            return all(counts[shard] > seen["counts"][shard] for shard in mine)

        until(f"{worker.name} reads {leases} shards", look, within)
        return time.monotonic() - began

    def all_hold(self, workers, leases):
        """The same of each of these workers."""
        began = time.monotonic()
        for worker in workers:
            self.holds(worker, leases)
        return time.monotonic() - began

    def counters(self):
        return {key: int(row["leaseCounter"]["N"]) for key, row in self.table.leases().items()}

    def rest(self):
        """Puts nothing more, and waits until no counter moves: the last checkpoints are stored, and that the load has halved is said each
        30 s until little is left."""
        self.feeder.paused = True
        seen, since = self.counters(), time.monotonic()

        def stands_still():
            nonlocal seen, since
            now = self.counters()
            if now != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > 35

        until("counters that stand still", stands_still, 300, 1)

    def end(self):
        for worker in self.workers:
            if worker.running():
                worker.kill()

    def keys(self, workers=None):
        return {call["key"] for worker in workers or self.workers for call in worker.records()}

    def all_read(self, within=90):
        """Waits until every record that was put was processed by somebody. How many were, and how many more than once."""
        self.feeder.stop()
        put = {f"{self.stream.name}-{number}" for number in range(self.stream.count)}

        def look():
            return put <= self.keys()

        try:
            until("every record processed", look, within, 1)
        except AssertionError:
            lost = sorted(put - self.keys())
            raise AssertionError(f"{len(lost)} of {len(put)} records were not processed: {lost[:10]}") from None
        calls = sum(len(worker.records()) for worker in self.workers)
        return len(put), calls - len(put)

    def stop(self, worker, heir, leases):
        """Stops a worker in good order. Its heir reads all soon, and is given nothing again of what the worker held then."""
        held = {shard for shard, owner in self.table.owners().items() if owner == worker.name}
        began = time.time() * 1000
        status = worker.stop()
        self.say(f"{worker.name} was stopped: {heir.name} reads all after {self.holds(heir, leases):.0f} s")
        self.nothing_again(worker, heir, held, began)
        return status

    def stop_all(self, workers, heirs, leases):
        """The same with several at once, and several heirs, who read so many each. Their exit statuses."""
        held = {shard for shard, owner in self.table.owners().items() if owner in {worker.name for worker in workers}}
        began = time.time() * 1000
        for worker in workers:
            worker.process.terminate()
        statuses = [worker.ended() for worker in workers]
        names = " and ".join(worker.name for worker in workers)
        self.say(f"{names} were stopped: the others read all after {self.all_hold(heirs, leases):.0f} s")
        for worker in workers:
            for heir in heirs:
                self.nothing_again(worker, heir, held, began)
        return statuses

    def nothing_again(self, worker, heir, shards=None, since=0):
        """The heir was given nothing of what the worker had done, since a time and of these shards, or of all."""
        done = {call["key"] for call in worker.records()}
        later = [call for call in heir.records() if call["t"] >= since and (shards is None or call["shard"] in shards)]
        again = sorted(f"{call['shard']} {call['key']}" for call in later if call["key"] in done)
        assert not again, f"{heir.name} was given {len(again)} records again: {again[:10]}"

    def in_order(self):
        """Each worker's records of a shard rise from one `initialize` to the next."""
        for worker in self.workers:
            last = {}
            for call in worker.calls():
                if call["event"] == "initialize":
                    last.pop(call["shard"], None)
                elif call["event"] == "record":
                    at = (int(call["sequence"]), call["sub"])
                    assert last.get(call["shard"], (0, 0)) < at, f"{worker.name} {call}: after {last[call['shard']]}"
                    last[call["shard"]] = at
