#!/usr/bin/env python3
"""Writes the rows that Java workers really store into a folder: `golden.py FOLDER`, as `tests/e2e/run golden` calls it.

Each table is that of one worker at work on the embedded stream: it reads, a shard is split and two are merged, and it comes back under
its name and prepares its checkpoints without making them. The hand-over is begun by the KCL's own write, without a leader.
"""

import base64
import json
import sys
from pathlib import Path

from parts import LOGS, Stream, Table, end_with_us, java, text, until

COMPATIBLE = ("--mode", "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X")
STATE = "halfway\u00e4"


def write(folder, name, table):
    def plain(value):
        # Sets in a fixed order, bytes as base64 in JSON.
        if isinstance(value, dict):
            return {key: sorted(part) if key == "SS" else plain(part) for key, part in value.items()}
        if isinstance(value, list):
            return [plain(part) for part in value]
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        return value

    rows = [plain(row) for _, row in sorted(table.rows().items())]
    content = {"table": table.describe(), "items": rows}
    text = json.dumps(content, indent=1, default=str, sort_keys=True)
    (folder / f"{name}.json").write_text(text + "\n")


def several(streams):
    return [stream.identifier() for stream in streams] if len(streams) > 1 else [streams[0].name]


def make(folder, name, version, more=(), count=1, hands_over=False):
    application = f"golden-{name}"
    streams = [Stream(f"{application}-{number}", 3) for number in range(count)]
    for stream in streams:
        stream.put(30)
    table = Table(application)
    worker = java(version, application, "java-1", several(streams), *more)
    try:
        until("checkpoints", lambda: is_read(table, 3 * count), 180)
        first = streams[0]
        shards = first.open_shards()
        first.split(shards[0])
        first.merge(shards[1], shards[2])
        until("ends and children", lambda: len(ended(table)) == 3 and len(table.leases()) == 3 * count + 3, 180)
        first.put(20)
        until("children read", lambda: is_read(table, 3 * count), 180)
    finally:
        worker.stop()
    worker = java(version, application, "java-1", several(streams), *more, "--prepare", STATE)
    try:
        for stream in streams:
            stream.put(20)
        until("prepared checkpoints", lambda: sum("pendingCheckpoint" in row for row in table.leases().values()) == 3 * count, 180)
    finally:
        worker.kill()
    if hands_over:
        worker = java(version, application, "java-2", several(streams), program="HandOver")
        assert worker.process.wait(60) == 0, worker.log.read_text()
    write(folder, name, table)
    print(f"{name}: {len(table.rows())} rows", flush=True)


def ended(table):
    return [key for key, row in table.leases().items() if text(row, "checkpoint") == "SHARD_END"]


def is_read(table, number):
    """Whether so many leases stand at a record."""
    return sum(text(row, "checkpoint").isdigit() for row in table.leases().values()) == number


def main():
    folder = Path(sys.argv[1])
    LOGS.mkdir(parents=True, exist_ok=True)
    end_with_us()
    make(folder, "kcl-1.14.10", "kcl-1")
    make(folder, "kcl-2.7.2", "kcl-2")
    make(folder, "kcl-2.7.2-multi-stream", "kcl-2", count=2)
    make(folder, "kcl-3.5.1-hand-over", "kcl-3", COMPATIBLE, hands_over=True)
    make(folder, "kcl-3.5.1-multi-stream", "kcl-3", COMPATIBLE, count=2, hands_over=True)


if __name__ == "__main__":
    main()
