"""A record processor that behaves as one of the four libraries, in what it writes and when.

    child.py LIBRARY FILE

LIBRARY is py, node, net or ruby. FILE gets a line for each thing that happens: what is called, with the shard, the process id and the
records. A record's payload may say what is to go wrong, once for each name of a file in it: `die:NAME`, `hang:NAME`, `wrong:NAME`,
`raise:NAME`, `flood:NAME`; `late` makes it say "done" before it asks for its checkpoint.
"""

import base64
import json
import os
import sys
import time

library, path = sys.argv[1:3]
log = open(path, "a", buffering=1)
shard = "-"
# Messages that came before the answer to a checkpoint.
pending = []


def happened(what, **more):
    log.write(json.dumps({"what": what, "shard": shard, "pid": os.getpid(), **more}) + "\n")


def send(message):
    if library == "py":
        # With blanks, after a newline that ends whatever the user's code has printed.
        sys.stdout.write("\n" + json.dumps(message) + "\n")
    elif library == "net":
        sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\r\n")
    else:
        sys.stdout.write("\n" + json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def receive():
    return pending.pop(0) if pending else read()


def read():
    line = sys.stdin.readline()
    if not line:
        happened("eof")
        sys.exit(0)
    if line == "\n":
        sys.exit("an empty line")
    message = json.loads(line)
    for key, value in message.items():
        assert not isinstance(value, dict), f"{key} is an object"
    return message


def checkpoint(sequence=None, sub=None):
    message = {"action": "checkpoint", "sequenceNumber": sequence}
    if library == "py":
        message["subSequenceNumber"] = sub
    if library == "net":
        message["error"] = None
    send(message)
    answer = read()
    while answer["action"] != "checkpoint":
        # Only the library for Node.js can ask while nothing is asked of it.
        assert library == "node", answer
        pending.append(answer)
        answer = read()
    happened("checkpoint", sequence=sequence, error=answer["error"])
    return answer["error"]


def once(name):
    """Whether this is the first time that it is asked for."""
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def process(message):
    """Whether the status is still to be sent."""
    records = [base64.b64decode(record["data"]).decode() for record in message["records"]]
    for record in message["records"]:
        assert record["action"] == "record" and int(record["approximateArrivalTimestamp"]) >= 0, record
    int(message["millisBehindLatest"] or 0)
    happened("records", records=records)
    for data in records:
        word, _, name = data.partition(":")
        if word == "die" and once(name):
            os._exit(3)
        if word == "hang" and once(name):
            time.sleep(3600)
        if word == "wrong" and once(name):
            send({"action": "status", "responseFor": "shardEnded"})
            time.sleep(3600)
        if word == "raise" and once(name):
            # What the Python and the Ruby library do with an exception of the user's code.
            sys.stderr.write("Traceback (most recent call last):\n")
            return True
        if word == "flood" and once(name):
            sys.stdout.write("plain output\n" * 200_000)
            sys.stdout.write("x" * 3_000_000)
            sys.stdout.write("\n")
            sys.stderr.write("y" * 500_000)
        if word == "late":
            send({"action": "status", "responseFor": "processRecords"})
            checkpoint(message["records"][-1]["sequenceNumber"])
            return False
    if library == "py":
        # A partial line before the next message, and a log without any newline.
        sys.stdout.write("partial")
        sys.stderr.write("a log without a newline")
    if records:
        checkpoint(None if library in ("py", "ruby") else message["records"][-1]["sequenceNumber"])
    return True


happened("started")
while True:
    message = receive()
    action = message["action"]
    if action == "initialize":
        shard = message["shardId"]
        happened("initialize", sequence=message["sequenceNumber"], sub=message["subSequenceNumber"])
        if library == "ruby":
            # No checkpoint can be stored yet.
            checkpoint()
    elif action == "processRecords":
        if not process(message):
            continue
    elif action == "shardEnded":
        happened("shardEnded")
        # The samples checkpoint at the end of a shard; a handler that forgets it passes a reshard as well.
        if library != "net":
            checkpoint()
    elif action == "shutdownRequested":
        happened("shutdownRequested")
        checkpoint()
    elif action == "leaseLost":
        happened("leaseLost")
    else:
        sys.exit(f"unknown action {action}")
    send({"action": "status", "responseFor": action})
