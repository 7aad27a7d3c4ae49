#!/usr/bin/env python3
"""The page of `kcl serve` in a real browser, beside a fleet of processes on SQLite and an embedded stream. Run by hand:

    apt-get install chromium
    cargo build -p kcl-cli --bin kcl && cargo build --example consume
    python3 tests/page/run.py [--pictures FOLDER]

It says how long the page takes to show a join, a hand-over, a kill, a lost table and a split, and to pause, resume, move, drain and seek, and
fails if one takes longer than 2 s.
The clock of each starts when the lease table has it, which is read beside the page, or when a worker counts as dead.
It asks the browser by its debugging pipe, so that Python's own library is enough. CI does not run it: it has no browser.
"""

import argparse
import base64
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 2.0
PORT = 0
# The browser runs as root in containers, where it can have no sandbox; it opens our own page only.
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe", "--no-first-run"]


class Browser:
    """A page in a browser, driven through a pipe: messages of JSON that end with a zero byte."""

    def __init__(self, program, profile):
        reader, to_browser = os.pipe()
        from_browser, writer = os.pipe()

        def descriptors():
            # The browser reads from 3 and writes to 4. They are moved out of the way first.
            a, b = os.dup2(reader, 30), os.dup2(writer, 31)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=descriptors,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reader)
        os.close(writer)
        self.to, self.from_ = os.fdopen(to_browser, "wb", 0), os.fdopen(from_browser, "rb", 0)
        self.number, self.session, self.rest, self.complaints = 0, None, b"", []
        target = next(it for it in self.ask("Target.getTargets")["targetInfos"] if it["type"] == "page")
        attached = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if answer.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(answer["params"]["exceptionDetails"])[:400])
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.complaints.append(answer["params"]["entry"]["text"])

    def read(self):
        while b"\0" not in self.rest:
            got = os.read(self.from_.fileno(), 1 << 20)
            if not got:
                raise RuntimeError("the browser has ended")
            self.rest += got
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def js(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def picture(self, path, width, dark, height=None):
        scheme = "dark" if dark else "light"
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height or 900, deviceScaleFactor=1, mobile=False)
        self.js("new Promise(done => setTimeout(done, 600))")
        whole = height or self.js("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": whole, "scale": 1}
        data = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


class Fleet:
    def __init__(self, folder, kcl, consume):
        self.folder, self.kcl, self.consume, self.running = folder, kcl, consume, {}
        self.table = folder / "leases.sqlite"
        self.endpoint = self.start("local", [kcl, "local", "--stream", "orders", "--shards", "6"])

    def start(self, name, command):
        environment = {**os.environ, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        self.running[name] = process
        return process.stdout.readline().strip() if name in ("local", "serve") else None

    def worker(self, name):
        options = ["--stream", "orders", "--application", "billing", "--endpoint", self.endpoint, "--worker", name]
        self.start(name, [self.consume, *options, "--lease-table", f"sqlite:{self.table}"])

    def serve(self, *more):
        options = ["--table", f"sqlite:{self.table}", "--endpoint", self.endpoint, "--port", str(PORT)]
        return self.start("serve", [self.kcl, "serve", "billing", *options, *more])

    def end(self, name, with_=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(with_)
        return process.wait(20)

    def rows(self, query):
        # Read beside the page and never written.
        connection = sqlite3.connect(f"file:{self.table}?mode=ro", uri=True, timeout=5)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def call(self, operation, **body):
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"), timeout=10)
        headers = {
            "X-Amz-Target": f"Kinesis_20131202.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/kinesis/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=00",
        }
        connection.request("POST", "/", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {text}")
        return json.loads(text or b"{}")

    def produce(self):
        """Records for all shards, several times a second."""
        try:
            while "local" in self.running:
                data = base64.b64encode(b"order").decode()
                records = [{"Data": data, "PartitionKey": str(random.random())} for _ in range(20)]
                self.call("PutRecords", StreamName="orders", Records=records)
                time.sleep(0.2)
        except (OSError, RuntimeError, http.client.HTTPException):
            pass  # The stream has ended.


def until(what, is_so, limit=60.0):
    """When it became so."""
    end = time.monotonic() + limit
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {what} took longer than {limit:.0f} s")
        time.sleep(0.02)
    return time.monotonic()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    options.add_argument("--kcl", default=f"{target}/debug/kcl")
    options.add_argument("--consume", default=f"{target}/debug/examples/consume")
    options.add_argument("--browser", default="chromium")
    options.add_argument("--pictures", type=Path, help="a folder for pictures of the page")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        fleet = Fleet(Path(folder), given.kcl, given.consume)
        browser = None
        try:
            browser = Browser(given.browser, f"{folder}/profile")
            late = run(fleet, browser, given.pictures)
        finally:
            for name in list(fleet.running):
                fleet.running[name].kill()
                fleet.running.pop(name).wait()
            if browser:
                browser.process.kill()
                browser.process.wait()
    for complaint in browser.complaints:
        print(f"the browser says: {complaint}", file=sys.stderr)
    return 1 if late or browser.complaints else 0


def letter(number):
    """A dead letter, as a worker writes it."""
    return {
        "stream": "orders", "shard": "shardId-000000000003", "sequence_number": f"4968069128017174746357856539997{number:03}",
        "sub_sequence_number": 0, "partition_key": "secret", "explicit_hash_key": None, "arrived_at": "2026-01-31T12:00:00.000Z",
        "why": "attempts_exhausted", "attempts": 5, "error": "no number: invalid digit found in string", "data": "dGhyZWU=",
    }  # fmt: skip


def run(fleet, browser, pictures):
    late = []

    def shown(what, since, is_shown, limit=LIMIT):
        took = until(what, lambda: browser.js(is_shown)) - since
        print(f"{what}: {took:.2f} s")
        if took > limit:
            late.append(what)

    def picture(name, *arguments):
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            browser.picture(pictures / f"{name}.png", *arguments)

    row = """(name, column) => [...document.querySelectorAll("#workers tbody tr")]
        .some(row => row.cells[0].textContent === name && row.cells[1].textContent === column)"""
    happened = """words => [...document.querySelectorAll("#happened li span")].some(it => it.textContent.includes(words))"""
    worker_rows = "SELECT DISTINCT worker FROM workers"
    owners = "SELECT shard, lease_owner, checkpoint_owner FROM leases"
    fleet.worker("one")
    until("the first leases", lambda: fleet.table.exists() and len(table(fleet, owners)) == 6)
    threading.Thread(target=fleet.produce, daemon=True).start()
    token = fleet.folder / "token"
    token.write_text("a-token-of-the-page-test")
    letters = fleet.folder / "dead.jsonl"
    letters.write_text("".join(f"{json.dumps(letter(number))}\n" for number in range(1, 4)))
    address = fleet.serve(
        "--shards-per-worker", "4", "--allow-changes", "--token-file", str(token), "--dead-letters", str(letters)
    )
    browser.ask("Page.navigate", url=address)
    until("the page", lambda: browser.js(f"({row})('one', 'alive')"))
    until("all leases of one", lambda: browser.js("document.querySelectorAll('#shards tbody tr').length") == 6)

    until("the dead letters", lambda: browser.js("document.querySelectorAll('#letters tbody tr').length") == 3)
    if "secret" in browser.js("document.body.textContent"):
        late.append("the page shows a key of a record")

    fleet.worker("two")
    joined = until("the row of two", lambda: ("two",) in table(fleet, worker_rows))
    shown("a join", joined, f"({row})('two', 'alive') || ({row})('two', 'not judged')")
    moved = until("a lease of two", lambda: any(it[1] == "two" and not it[2] for it in table(fleet, owners)))
    shown("a hand-over", moved, f"({happened})('from one to two')")
    until("an even share", lambda: sum(it[1] == "two" and not it[2] for it in table(fleet, owners)) == 3)
    time.sleep(12)
    picture("wide-light", 1440, False)
    picture("wide-dark", 1440, True)

    def change(button, what, fields, name=None):
        """Both steps of a change, and when the second one was made."""
        browser.js(f"document.querySelector({json.dumps(button)}).click()")
        for field, value in {"change-token": token.read_text(), **fields}.items():
            browser.js(f"document.getElementById('{field}').value = {json.dumps(value)}")
        browser.js(f"document.querySelector('#change-form [value={what}]').click()")
        rows = "SELECT shard, paused_at, assigned_to, '' FROM leases UNION ALL SELECT worker, '', '', drains FROM workers"
        before = table(fleet, rows)
        browser.js("document.getElementById('change-do').click()")
        until(f"what it would do: {what}", lambda: browser.js("document.getElementById('change-do').textContent !== 'Continue'"))
        if name:
            picture(name, 1024, False, 800)
            picture(name.replace("light", "dark"), 320, True, 700)
        if table(fleet, rows) != before:
            late.append(f"the first step of {what} has changed something")
        browser.js("document.getElementById('change-do').click()")
        made = time.monotonic()
        until(f"the end of the dialog: {what}", lambda: not browser.js("document.getElementById('change').open"))
        return made

    states = "[...document.querySelectorAll('#shards tbody tr')].filter(row => row.cells[2].textContent === 'paused').length"
    first = "#shards tbody tr .more"
    shown("a pause", change(first, "pause", {}, "pause-light"), f"{states} === 1")
    shown("a resume", change("#change-all", "resume", {}), f"{states} === 0")
    until("an even share again", lambda: sum(it[1] == "two" and not it[2] for it in table(fleet, owners)) == 3)
    mine = next(it[0] for it in table(fleet, owners) if it[1] == "one")
    place = browser.js(f"[...document.querySelectorAll('#shards tbody tr')].findIndex(row => row.dataset.lease === {json.dumps(mine)})")
    made = change(f"#shards tbody tr:nth-child({place + 1}) .more", "move", {"change-worker": "two"}, "move-light")
    shown("a move", made, f"document.querySelectorAll('#shards tbody tr')[{place}].cells[3].textContent === 'two'")
    life = "name => [...document.querySelectorAll('#workers tbody tr')].find(row => row.dataset.worker === name).cells[1].textContent"
    line = "[...document.querySelectorAll('#workers tbody tr')].findIndex(row => row.dataset.worker === 'two') + 1"
    of_two = lambda: f"#workers tbody tr:nth-child({browser.js(line)}) .more"
    shown("a drain", change(of_two(), "drain", {}, "drain-light"), f"({life})('two').includes('draining')")
    until("no lease of two", lambda: all(it[1] == "one" and not it[2] for it in table(fleet, owners)))
    shown("the end of a drain", change(of_two(), "undrain", {}), f"!({life})('two').includes('draining')")
    until("an even share after the drain", lambda: sum(it[1] == "two" and not it[2] for it in table(fleet, owners)) == 3)
    change(first, "seek", {"change-to": "trim-horizon"}, "seek-light")
    until("no pause after the seek", lambda: browser.js(f"{states} === 0"))
    until("all leases held", lambda: all(it[1] and not it[2] for it in table(fleet, owners)))

    split = table(fleet, owners)[0][0]
    fleet.call("SplitShard", StreamName="orders", ShardToSplit=split, NewStartingHashKey=str(2**128 // 12))
    ended = until("children", lambda: len(table(fleet, owners)) == 8)
    shown("a split", ended, "[...document.querySelectorAll('#shards .twig')].filter(it => it.textContent).length === 2")

    fleet.end("two", signal.SIGKILL)
    killed = time.monotonic()
    # A worker counts as dead after 4/5 of its failover time without a write, and it wrote up to a sixth of it before.
    # Its row may be gone in the same look, as the others judge by the same rule.
    shown("a kill, after the 8 s of the rule", killed + 8, f"({happened})('two is dead')")
    picture("kill-light", 1024, False)
    picture("kill-dark", 768, True)
    picture("narrow-light", 320, False)
    picture("narrow-dark", 320, True)
    taken = until("the leases of two", lambda: all(it[1] != "two" for it in table(fleet, owners)))
    shown("a take-over", taken, f"({happened})('took over')")
    picture("after-light", 1440, False)
    width = browser.js("document.documentElement.scrollWidth <= innerWidth")
    for pixels in (320, 375, 768, 1440):
        browser.ask("Emulation.setDeviceMetricsOverride", width=pixels, height=800, deviceScaleFactor=1, mobile=False)
        width = browser.js("document.documentElement.scrollWidth")
        if width > pixels:
            late.append(f"the page is {width} wide at {pixels}")
    hosts = browser.js("performance.getEntriesByType('resource').map(it => new URL(it.name).origin).filter((it, at, all) => all.indexOf(it) === at)")
    print(f"asked of: {', '.join(hosts)}")
    if hosts != [address]:
        late.append("a foreign host was asked")

    code = fleet.end("serve", signal.SIGINT)
    stopped = time.monotonic()
    print(f"ended with code {code} while the page was open")
    if code != 0:
        late.append("kcl serve did not end in good order")
    shown("that it is not live any more", stopped + 4, "document.querySelector('#liveness').textContent.startsWith('nothing heard')")
    # The browser says of each try to connect again that it failed.
    browser.complaints = [it for it in browser.complaints if "ERR_CONNECTION_REFUSED" not in it and "ERR_INCOMPLETE" not in it]
    for what in late:
        print(f"FAILED: {what}", file=sys.stderr)
    return late


def table(fleet, query):
    try:
        return fleet.rows(query)
    except sqlite3.OperationalError:
        return []  # It is being made.


if __name__ == "__main__":
    sys.exit(main())
