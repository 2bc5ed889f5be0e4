#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""bench_guest.py ROUNDS: how long it takes until ten containers are dead, and until the
command for it is done, side by side, in a guest with Docker. What stops one after the other
takes two minutes, nearly all of it waiting, and so is in every third round only. The
containers' main process ignores SIGTERM, as PID 1 does unless it installs a handler.
Found in /lab: sysinfo.ko, monitor, idle. Prints a Markdown table of medians."""

import concurrent.futures
import statistics
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from guest import (create, done, engine, group, import_image, monitor, populated, start, wait_dead,
                   wait_until)

TEN = 10


def one_after_another(containers):
    for container in containers:
        done("POST", f"/containers/{container}/stop")


def all_at_once(containers):
    with concurrent.futures.ThreadPoolExecutor(TEN) as pool:
        list(pool.map(lambda c: done("POST", f"/containers/{c}/kill"), containers))


KILLS = (
    ("`docker kill`, all in one call", lambda cs: subprocess.run(
        ["docker", "kill", *cs], check=True, stdout=subprocess.DEVNULL)),
    ("Engine API `kill`, all at once", all_at_once),
)
STOPS = (
    ("`docker stop`, one after the other", lambda cs: [subprocess.run(
        ["docker", "stop", c], check=True, stdout=subprocess.DEVNULL) for c in cs]),
    ("Engine API `stop`, one after the other", one_after_another),
)


def make_ten(name):
    return [create(f"{name}-{i}", "sysinfo/idle") for i in range(TEN)]


def start_all(containers):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(start, containers))
    wait_until(lambda: all(populated(group(c)) for c in containers), "they run")


def timed(rival, containers):
    """ms until all are dead, ms until the command is done."""
    dead = []
    begin = time.monotonic()

    def watch():
        wait_dead(containers, 1000)
        dead.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    rival(containers)
    end = time.monotonic()
    watcher.join()
    return (dead[0] - begin) * 1e3, (end - begin) * 1e3


def by_monitor():
    # The second for a machine so slow that the first one's plan is old and is refused.
    cycles, said = monitor("--no-bpf", "--interval", "20", "--cycles", "2", "--keep-high", "0",
                           "--keep-low", "0")
    cycle = next((c for c in cycles if c["killed"]), cycles[-1])
    if cycle["killed"] != TEN or not all(
            c["outcome"].startswith("killed, not verified") for c in cycle["containers"]):
        raise AssertionError(f"not ten killed: {cycle} {said}")
    return cycle["dead_ms"], cycle["clean_ms"]


def spread(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def print_table(results):
    (_, ours), *_ = results.items()
    dead, clean = (statistics.median(column) for column in zip(*ours))
    print(f"Medians, least and most of {len(ours)} rounds; of what stops one after the other, of every third.\n")
    print("| ten containers by | all dead, ms | times the monitor's | done, ms | times the monitor's |")
    print("|---|---:|---:|---:|---:|")
    for name, pairs in results.items():
        a, b = zip(*pairs)
        print(f"| {name} | {spread(a)} | {statistics.median(a) / dead:.1f} | {spread(b)} "
              f"| {statistics.median(b) / clean:.1f} |")


def main():
    rounds = int(sys.argv[1])
    subprocess.run(["insmod", "/lab/sysinfo.ko"], check=True)
    import_image("sysinfo/idle", "/lab", "idle", 'CMD ["/idle"]')
    results = {}

    def note(name, pair):
        results.setdefault(name, []).append(pair)
        print(f"# round {number + 1}: {name}: {pair}", file=sys.stderr, flush=True)

    for number in range(rounds):
        start_all(make_ten(f"monitor-{number}"))
        note("the monitor, from its decision on", by_monitor())
        left = engine("GET", "/containers/json?all=true")[1]
        if left:
            raise AssertionError(f"not removed: {left}")
        containers = make_ten(f"rivals-{number}")
        for name, rival in KILLS + (STOPS if number % 3 == 0 else ()):
            start_all(containers)
            note(name, timed(rival, containers))
        subprocess.run(["docker", "rm", *containers], check=True, stdout=subprocess.DEVNULL)
    print_table(results)


main()
