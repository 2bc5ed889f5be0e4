#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""bench_guest.py ROUNDS: how long it takes until ten containers are dead, and until the
command for it is done, side by side, in a guest with Docker. The containers' main process
doesn't care for SIGTERM, as nobody's does that didn't take the trouble as process 1.
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


RIVALS = (
    ("`docker kill`, all in one call", lambda cs: subprocess.run(
        ["docker", "kill", *cs], check=True, stdout=subprocess.DEVNULL)),
    ("Engine API `kill`, all at once", all_at_once),
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
    cycles, said = monitor("--no-bpf", "--interval", "8", "--cycles", "2", "--keep-high", "0",
                           "--keep-low", "0")
    cycle = next((c for c in cycles if c["killed"]), cycles[-1])
    if cycle["killed"] != TEN or not all(
            c["outcome"].startswith("killed and verified") for c in cycle["containers"]):
        raise AssertionError(f"not ten killed and verified: {cycle} {said}")
    return cycle["dead_ms"], cycle["clean_ms"]


def print_table(ours, results):
    dead, clean = (statistics.median(column) for column in zip(*ours))
    print(f"Medians of {len(ours)} rounds.\n")
    print("| ten containers by | all dead, ms | times the monitor's | done, ms | times the monitor's |")
    print("|---|---:|---:|---:|---:|")
    print(f"| the monitor, from its decision on | {dead:.1f} | 1 | {clean:.0f} | 1 |")
    for name, pairs in results.items():
        a, b = (statistics.median(column) for column in zip(*pairs))
        print(f"| {name} | {a:.0f} | {a / dead:.0f} | {b:.0f} | {b / clean:.1f} |")


def main():
    rounds = int(sys.argv[1])
    subprocess.run(["insmod", "/lab/sysinfo.ko"], check=True)
    import_image("sysinfo/idle", "/lab", "idle", 'CMD ["/idle"]')
    results = {name: [] for name, _ in RIVALS}
    ours = []
    for number in range(rounds):
        start_all(make_ten(f"monitor-{number}"))
        ours.append(by_monitor())
        print(f"# round {number + 1}: monitor: {ours[-1]}", file=sys.stderr, flush=True)
        left = engine("GET", "/containers/json?all=true")[1]
        if left:
            raise AssertionError(f"not removed: {left}")
        containers = make_ten(f"rivals-{number}")
        for name, rival in RIVALS:
            start_all(containers)
            results[name].append(timed(rival, containers))
            print(f"# round {number + 1}: {name}: {results[name][-1]}", file=sys.stderr, flush=True)
        subprocess.run(["docker", "rm", *containers], check=True, stdout=subprocess.DEVNULL)
    print_table(ours, results)


main()
