"""What the tests beside Java workers are made of: streams, a lease table, and workers of both kinds.

`tests/e2e/run` names the endpoints (KCL_E2E_ENDPOINT, KCL_E2E_DYNAMO), the program `consume` (KCL_E2E_CONSUME), the folder with the
Java workers (KCL_E2E_KCL_JAVA) and one for logs and traces (KCL_E2E_LOGS).
"""

import collections
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import boto3
import botocore.config

KINESIS = os.environ["KCL_E2E_ENDPOINT"]
DYNAMO = os.environ["KCL_E2E_DYNAMO"]
CONSUME = os.environ["KCL_E2E_CONSUME"]
JAVA = Path(os.environ["KCL_E2E_KCL_JAVA"])
LOGS = Path(os.environ["KCL_E2E_LOGS"])
HASH_KEYS = 2**128
CREDENTIALS = {"region_name": "us-east-1", "aws_access_key_id": "any", "aws_secret_access_key": "any"}


def client(service, endpoint):
    config = botocore.config.Config(retries={"total_max_attempts": 3}, max_pool_connections=20)
    return boto3.session.Session().client(service, endpoint_url=endpoint, config=config, **CREDENTIALS)


class Late(AssertionError):
    """Something did not come about in time."""


def until(what, look, within=90, every=0.2):
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Late(f"not within {within} s: {what}")
        time.sleep(every)


class Stream:
    """A stream with records that are numbered by their partition keys."""

    def __init__(self, name, shards):
        self.name = name
        self.kinesis = client("kinesis", KINESIS)
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.count = 0
        self.active()
        self.shards = shards

    def active(self):
        def look():
            summary = self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            return summary if summary["StreamStatus"] == "ACTIVE" else None

        return until("an active stream", look, 30, 0.02)

    def identifier(self):
        """As the KCL names one of several streams."""
        summary = self.active()
        account = summary["StreamARN"].split(":")[4]
        return f"{account}:{self.name}:{int(summary['StreamCreationTimestamp'].timestamp())}"

    def put(self, number):
        """Records spread evenly over the hash keys."""
        for first in range(0, number, 500):
            entries = []
            for _ in range(min(500, number - first)):
                # 61 is prime to every number of shards here.
                key = (self.count * 61 % 997) * (HASH_KEYS // 997)
                entries.append({"PartitionKey": f"{self.name}-{self.count}", "ExplicitHashKey": str(key), "Data": b"x" * 20})
                self.count += 1
            answer = self.kinesis.put_records(StreamName=self.name, Records=entries)
            assert answer["FailedRecordCount"] == 0, answer

    def open_shards(self):
        shards = self.kinesis.list_shards(StreamName=self.name)["Shards"]
        return [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]

    def split(self, shard):
        keys = shard["HashKeyRange"]
        middle = (int(keys["StartingHashKey"]) + int(keys["EndingHashKey"]) + 1) // 2
        self.kinesis.split_shard(StreamName=self.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))
        self.active()

    def merge(self, one, other):
        self.kinesis.merge_shards(StreamName=self.name, ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"])
        self.active()


class Feeder:
    """Puts records all the time, until it is stopped, except while it is `paused`."""

    def __init__(self, stream, each=24, every=0.5):
        self.stream, self.each, self.every = stream, each, every
        self.ended = threading.Event()
        self.paused = False
        self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.ended.wait(self.every):
                if not self.paused:
                    self.stream.put(self.each)
        except Exception as error:
            self.error = error

    def stop(self):
        self.ended.set()
        self.thread.join()
        if self.error:
            raise self.error


class Table:
    """The lease table of an application."""

    def __init__(self, name):
        self.name = name
        self.dynamo = client("dynamodb", DYNAMO)

    def describe(self):
        return self.dynamo.describe_table(TableName=self.name)["Table"]

    def rows(self):
        try:
            pages = self.dynamo.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
            return {row["leaseKey"]["S"]: row for page in pages for row in page["Items"]}
        except self.dynamo.exceptions.ResourceNotFoundException:
            return {}

    def leases(self):
        return {key: row for key, row in self.rows().items() if row.get("entityType", {"S": "LEASE"})["S"] == "LEASE"}

    def workers(self):
        """The rows of workers, by their keys."""
        kind = "WORKER_METRIC_STATS"
        return {key: row for key, row in self.rows().items() if text(row, "entityType") == kind}

    def owners(self):
        """Who owns the leases that are not at their end."""
        live = {key: row for key, row in self.leases().items() if text(row, "checkpoint") != "SHARD_END"}
        return {key: text(row, "leaseOwner") for key, row in live.items()}


def text(row, attribute):
    return row.get(attribute, {}).get("S")


PROCESSES = []


def end_with_us():
    """A signal that ends this program ends its workers first."""

    def end(number, _):
        for process in PROCESSES:
            process.kill()
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


class Worker:
    """A process that reads. Its trace is a JSON line for each call and each record."""

    def __init__(self, name, trace, command, environment, out):
        self.name, self.trace = name, trace
        self.seen, self.read, self.reading = [], 0, threading.Lock()
        self.log = LOGS / f"{trace.stem}.log"
        with open(self.log, "wb") as log, open(out, "wb") as output:
            self.process = subprocess.Popen(
                ["nice", "-n", "5", *command], stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=os.environ | environment
            )
        PROCESSES.append(self.process)

    def running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, within=60):
        """Ends it in good order; its exit status."""
        self.process.terminate()
        return self.ended(within)

    def ended(self, within=60):
        """Waits until it has ended, as it was told to; its exit status."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Late(f"{self.name} did not end within {within} s") from None

    def calls(self):
        """What the trace says so far. What was read of it once is not read again."""
        with self.reading:
            if self.trace.exists():
                with open(self.trace, "rb") as trace:
                    trace.seek(self.read)
                    for line in trace:
                        # The last line may be on its way, or be cut by a kill.
                        if not line.endswith(b"\n"):
                            break
                        self.read += len(line)
                        self.seen.append(json.loads(line))
            return list(self.seen)

    def records(self):
        return [call for call in self.calls() if call["event"] == "record"]

    def shards(self):
        """How many records of each shard it was given."""
        return collections.Counter(call["shard"] for call in self.records())


def java(version, application, name, streams, *more, failover=10, program="Main"):
    folder = JAVA / version
    trace = LOGS / f"{application}-{name}.jsonl"
    options = {"application": application, "worker": name, "streams": ",".join(streams), "kinesis": KINESIS, "dynamo": DYNAMO}
    options["failover-ms"] = str(failover * 1000)
    machine = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    machine += ["-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-cp", f"{folder}/classes:{folder}/lib/*", f"kcl.{program}"]
    told = [part for option, value in options.items() for part in (f"--{option}", value)]
    return Worker(name, trace, [*machine, *told, *more], {}, trace)


def ours(application, name, stream, *more, failover=10):
    trace = LOGS / f"{application}-{name}.jsonl"
    command = [CONSUME, "--stream", stream, "--application", application, "--worker", name, "--endpoint", KINESIS]
    command += ["--lease-table", "dynamo", "--dynamo-endpoint", DYNAMO, "--failover", f"{failover}s", "--trace", str(trace)]
    environment = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    environment |= {"RUST_LOG": os.environ.get("RUST_LOG", "info,aws=warn,hyper=warn"), "NO_COLOR": "1"}
    return Worker(name, trace, [*command, *more], environment, LOGS / f"{trace.stem}.out")
