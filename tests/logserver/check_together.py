#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The real monitor and the real log server, each killed again and again while the other
works: at the end every removed container stands in the log once, in order. Module and
runtime are played, as in check_monitor.py; real processes die in real cgroups.
Prints TAP. Usage: check_together.py [NAME]... LOGSERVER_TURNS: how many turns (6)."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../monitor"))
from stand import LOGSERVER, PATIENCE_S, equal, run_tests, true

TURNS = int(os.environ.get("LOGSERVER_TURNS", "6"))
NEW_EACH_TURN = 3


class LogServer:
    """On one port and one folder through all its lives."""

    def __init__(self, data):
        self.data = data
        os.mkdir(data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [LOGSERVER, "--port", str(self.port), "--data", self.data],
            stdout=subprocess.PIPE, text=True)
        true(any(line.startswith("listening on") for line in self.process.stdout), "it starts")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    close = kill

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as reply:
            return json.load(reply)


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        true(time.monotonic() < deadline, "waited in vain: " + what)
        time.sleep(0.02)


def test_killed_in_turn(stand):
    server = stand.add(LogServer(stand.path("data")))
    stand.server = server.url
    # They use least, so they are the three that stay.
    kept = [stand.container(i, memory_mib=1) for i in range(3)]
    victims = []

    def monitor():
        return stand.monitor("--json")

    def add():
        new = [stand.container(100 + len(victims) + i, memory_mib=20) for i in range(NEW_EACH_TURN)]
        victims.extend(new)
        return new

    server.start()
    running, kills = monitor(), 0
    for turn in range(TURNS):
        new = add()
        if turn % 3 == 0:
            # The server first: what dies now is only in the spool, and stays there while
            # the monitor is killed, too.
            server.kill()
            kills += 1
        if turn % 3 == 1:
            # The monitor, in the middle of it: the first is dead, the others perhaps.
            wait_until(lambda: not all(c.lives() for c in new), "the first to die")
        else:
            wait_until(lambda: not any(c.lives() for c in new), "all to die")
        running.end(-signal.SIGKILL, signal.SIGKILL)
        kills += 1
        if turn % 3 == 2:
            server.kill()
            kills += 1
        running = monitor()
        if not server.process:
            # Down for some cycles of the monitor's.
            running.wait_cycle(lambda c: not c["server_reachable"], "a cycle without the server")
            server.start()
    wait_until(lambda: not any(c.lives() for c in victims), "all to die")
    wait_until(lambda: len(server.get("/logs/all")) >= len(victims), "all records")
    running.end(0, signal.SIGTERM)

    records = server.get("/logs/all")
    equal(sorted(r["container_id"] for r in records), sorted(c.id for c in victims),
          "each that was removed, once")
    equal([r["sequence"] for r in records], sorted(r["sequence"] for r in records), "in order")
    equal(len({r["event_id"] for r in records}), len(records), "each event once")
    samples = server.get("/logs/memory")
    equal(len({r["event_id"] for r in samples}), len(samples), "each sample once")
    equal([r["timestamp"] for r in samples], sorted(r["timestamp"] for r in samples), "in order")
    equal(sorted(os.listdir(stand.spool)), ["armed", "intent.2.json", "intent.json", "lock", "version"],
          "what is left in the spool")
    true(all(c.lives() for c in kept), "the others live")
    print(f"# {kills} kills of monitor and server: {len(records)} removals and {len(samples)} "
          "samples, each once, in order", flush=True)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
