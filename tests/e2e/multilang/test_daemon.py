#!/usr/bin/env python3
"""`kcl multilang` with the children of amazon_kclpy and aws-kcl, and in the place of the Java MultiLangDaemon, as
`tests/e2e/run multilang` calls it.

    test_daemon.py [SCENARIO ...]

The scenarios run side by side, each with a stream, a table and daemons of its own.
"""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "kcl-java"))

from parts import DYNAMO, KINESIS, LOGS, PROCESSES, Stream, Table, end_with_us, text, until  # noqa: E402

KCL = os.environ["KCL_E2E_KCL"]
# The unpacked amazon_kclpy, and the folder with `node_modules`.
KCLPY = Path(os.environ["KCL_E2E_KCLPY"])
NODE_MODULES = os.environ["KCL_E2E_NODE_MODULES"]
NODE = os.environ["KCL_E2E_NODE"]
JAVA_LIB = os.environ["KCL_E2E_MULTILANG_LIB"]
ENVIRONMENT = os.environ | {
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_EC2_METADATA_DISABLED": "true",
    "PATH": f"{HERE}:{KCLPY / 'samples'}:{Path(sys.executable).parent}:{Path(NODE).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(KCLPY),
    "PYTHONDONTWRITEBYTECODE": "1",
    "NODE_PATH": NODE_MODULES,
    "NO_COLOR": "1",
}
FAILOVER = 3


def properties(name, executable):
    """A file for both daemons."""
    path = LOGS / f"{name}.properties"
    path.write_text(
        f"""executableName = {executable}
streamName = {name}
applicationName = {name}
AwsCredentialsProvider = DefaultCredentialsProvider
processingLanguage = any
initialPositionInStream = TRIM_HORIZON
regionName = us-east-1
kinesisEndpoint = {KINESIS}
dynamoDBEndpoint = {DYNAMO}
idleTimeBetweenReadsInMillis = 250
failoverTimeMillis = {FAILOVER * 1000}
shardSyncIntervalMillis = 5000
parentShardPollIntervalMillis = 1000
shutdownGraceMillis = 20000
metricsLevel = NONE
"""
    )
    return path


class Daemon:
    """A daemon in a process of its own, with its log."""

    def __init__(self, name, command, trace):
        self.log = LOGS / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT | {"TRACE": str(trace)}, start_new_session=True
            )
        PROCESSES.append(self.process)

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)

    def kill(self):
        self.process.kill()
        self.process.wait()


def ours(name, file, trace=LOGS / "none", *more):
    return Daemon(name, [KCL, "multilang", "--properties-file", str(file), "--log-format", "json", *more], trace)


def java(name, file, trace):
    machine = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{JAVA_LIB}/*"]
    machine += ["software.amazon.kinesis.multilang.MultiLangDaemon", "--properties-file", str(file)]
    return Daemon(name, [*machine, "--log-configuration", str(HERE / "logback.xml")], trace)


class Trace:
    """What the children of a stream were given."""

    def __init__(self, name):
        self.path = LOGS / f"{name}.jsonl"

    def calls(self):
        if not self.path.exists():
            return []
        lines = self.path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def records(self):
        return [call for call in self.calls() if call["event"] == "record"]

    def of(self, event):
        return [call for call in self.calls() if call["event"] == event]

    def keys(self):
        return collections.Counter(record["key"] for record in self.records())

    def repeated(self):
        return sum(count - 1 for count in self.keys().values())

    def in_order(self):
        """Each child was given the records of its shard in their order."""
        last = {}
        for record in self.records():
            child, sequence = (record["shard"], record["pid"]), int(record["sequence"])
            assert sequence > last.get(child, -1), record
            last[child] = sequence


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Scene:
    """A stream, its table, and what its children were given."""

    def __init__(self, name, shards=2):
        self.name, self.began = name, time.monotonic()
        self.stream, self.table, self.trace = Stream(name, shards), Table(name), Trace(name)

    def say(self, what):
        print(f"{self.name} {time.monotonic() - self.began:.1f} s: {what}", flush=True)

    def all_read(self, within=90):
        until(f"all {self.stream.count} records", lambda: len(self.trace.keys()) == self.stream.count, within)

    def all_stored(self):
        """The checkpoints are at the last records, and nobody owns a lease."""
        last = {}
        for record in self.trace.records():
            last[record["shard"]] = max(last.get(record["shard"], 0), int(record["sequence"]))
        for key, row in self.table.leases().items():
            stored = text(row, "checkpoint")
            if stored == "SHARD_END":
                # The Java daemon takes those as well, until it deletes them.
                continue
            assert key not in last or int(stored) == last[key], (key, stored, last[key])
            assert text(row, "leaseOwner") is None, row

    def stop(self, daemon):
        """An orderly stop: nothing is read again after it, and no child is left."""
        before = len(self.trace.of("shutdown_requested"))
        status = daemon.stop()
        assert status == 0, (status, daemon.log)
        assert len(self.trace.of("shutdown_requested")) > before
        self.all_stored()
        self.no_child_is_left()

    def no_child_is_left(self):
        pids = {call["pid"] for call in self.trace.calls()}
        until("the end of the children", lambda: not any(runs(pid) for pid in pids), 10)


def everything(scene, executable, with_java):
    """Every record once and in order, over whatever happens to daemons and children."""
    file, trace = properties(scene.name, executable), scene.trace.path
    scene.stream.put(200)
    began = time.monotonic()
    first = ours(f"{scene.name}-1", file, trace)
    until("the first record", scene.trace.records, every=0.02)
    scene.say(f"first record {time.monotonic() - began:.2f} s after the start")
    scene.all_read()
    scene.stream.split(scene.stream.open_shards()[0])
    scene.stream.put(200)
    scene.all_read()
    until("the end of the shard", lambda: scene.trace.of("shard_ended"))
    scene.stop(first)
    scene.say(f"{scene.stream.count} records over a split and an orderly stop, {scene.trace.repeated()} of them twice")
    assert scene.trace.repeated() == 0

    second = ours(f"{scene.name}-2", file, trace)
    scene.stream.put(100)
    scene.all_read()
    assert scene.trace.repeated() == 0, "after the orderly stop"
    victim = scene.trace.records()[-1]["pid"]
    os.kill(victim, signal.SIGKILL)
    scene.stream.put(100)
    scene.all_read()
    assert second.process.poll() is None, "the daemon goes on"
    scene.say("a child was killed, and its shard went on")
    second.kill()
    scene.no_child_is_left()
    scene.stream.put(100)
    third = ours(f"{scene.name}-3", file, trace)
    scene.all_read()
    scene.say("the daemon was killed, its children with it, and the next one went on")
    # A Java daemon of a KCL before 3.5 cannot start beside such a row.
    until("the end of the killed daemon's row", lambda: len(scene.table.workers()) == 1, 20)
    scene.stop(third)

    if with_java:
        scene.stream.put(50)
        repeated = scene.trace.repeated()
        fourth = java(f"{scene.name}-java", file, trace)
        scene.all_read(120)
        scene.say("the Java daemon went on with the same file, table and children")
        fourth.stop()
        scene.stream.put(50)
        fifth = ours(f"{scene.name}-4", file, trace)
        scene.all_read(120)
        scene.stop(fifth)
        scene.say(f"back again: {scene.trace.repeated() - repeated} records twice since the Java daemon began")
    scene.trace.in_order()


def python():
    everything(Scene("kclpy"), "app.py", True)


def node():
    everything(Scene("node"), f"node {HERE / 'app.js'}", False)


def sample():
    """The sample of amazon_kclpy and its properties file, both as they come: by fan-out, as the file leaves it open."""
    scene = Scene("kclpysample")
    scene.stream.put(150)
    file = KCLPY / "samples" / "sample.properties"
    daemon = ours("sample-1", file, LOGS / "none", "--endpoint", KINESIS, "--dynamo-endpoint", DYNAMO)

    def seen():
        # Its log has no newlines: what a child writes is one line that grows.
        said = collections.defaultdict(str)
        for line in daemon.log.read_text().split("\n")[:-1]:
            line = json.loads(line)
            if line["target"] == "child" and line["from"] == "stderr":
                said[line["shard"]] += line["message"]
        return {shard: [int(number) for number in re.findall(r"Sequence Number: (\d+),", text)] for shard, text in said.items()}

    until("all records of the sample", lambda: sum(map(len, seen().values())) >= 150)
    assert daemon.stop() == 0, daemon.log
    rows = Table("PythonKCLSample").leases()
    assert len(rows) == 2
    for shard, numbers in seen().items():
        assert numbers == sorted(set(numbers)), shard
        assert numbers and int(text(rows[shard], "checkpoint")) == numbers[-1], (shard, rows[shard])
    assert sum(map(len, seen().values())) == 150
    scene.say("the sample as it comes: 150 records once and in order, and all of them checkpointed at the stop")


SCENARIOS = {"python": python, "node": node, "sample": sample}


def main():
    LOGS.mkdir(parents=True, exist_ok=True)
    for old in LOGS.iterdir():
        old.unlink()
    end_with_us()
    wanted = sys.argv[1:] or list(SCENARIOS)
    failed = []

    def run(name):
        try:
            SCENARIOS[name]()
        except BaseException:
            failed.append(name)
            print(f"{name} failed; its logs are in {LOGS}\n{traceback.format_exc()}", flush=True)

    with ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(run, wanted))
    for process in PROCESSES:
        process.kill()
    print(f"{len(wanted) - len(failed)} of {len(wanted)} scenarios hold")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
