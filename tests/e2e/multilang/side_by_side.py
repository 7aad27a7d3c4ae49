#!/usr/bin/env python3
"""`kcl multilang` and the Java MultiLangDaemon side by side: the same child, the same stream, one after the other.

    side_by_side.py [RECORDS]        1,000,000 if not said; with the environment that `tests/e2e/run multilang-bench` sets

For each: from the start to the first record, memory (the most that was resident) and CPU time of the daemon without its children.
"""

import os
import sys
import time
from pathlib import Path

from test_daemon import LOGS, PROCESSES, Stream, java, ours, properties, until

SHARDS = 2
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds that the process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid):
    """The most that was resident, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def given(trace):
    lines = trace.read_text().split("\n")[:-1] if trace.exists() else []
    return [(float(line.split()[0]), int(line.split()[1])) for line in lines]


def fill(stream, records):
    for first in range(0, records, 500):
        entries = [{"PartitionKey": str(first + n), "Data": b"x" * 1000} for n in range(min(500, records - first))]
        answer = stream.kinesis.put_records(StreamName=stream.name, Records=entries)
        assert answer["FailedRecordCount"] == 0


def measure(name, start, file, records):
    trace = LOGS / f"{name}.counts"
    trace.unlink(missing_ok=True)
    began = time.time()
    daemon = start(name, file, trace)
    until(f"{records} records", lambda: sum(count for _, count in given(trace)) >= records, 1800, 0.5)
    took = time.time() - began
    first = given(trace)[0][0] - began
    pid = daemon.process.pid
    print(f"{name:12} first record {first:6.2f} s   all {took:6.1f} s   memory {memory(pid):7.1f} MiB   CPU {cpu(pid):7.1f} s", flush=True)
    daemon.stop()


def main():
    records = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    LOGS.mkdir(parents=True, exist_ok=True)
    stream = Stream("counted", SHARDS)
    fill(stream, records)
    print(f"{records} records of 1 kB in {SHARDS} shards; load {os.getloadavg()}", flush=True)
    for name, start in (("ours", ours), ("java", java), ("ours-again", ours), ("java-again", java)):
        file = properties("counted", "counting.py")
        text = file.read_text().replace("applicationName = counted", f"applicationName = counted-{name}")
        own = LOGS / f"counted-{name}.properties"
        own.write_text(text)
        measure(name, start, own, records)
    for process in PROCESSES:
        process.kill()


if __name__ == "__main__":
    main()
