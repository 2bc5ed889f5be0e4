#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the witness costs, beside tools that do a part of its work, on this machine.

bench.py BENCH_WITNESS [ROUNDS]

Two loads in a container's cgroup, on one CPU: `perf bench sched pipe`, and fork+exec+exit+wait.
Each load is run without and with a tool, in turns, the best of some runs each, as noise only adds; the
slowdown is that of the pair, in the CPU time of the load, which runs before all else on its CPU, and
the table has the medians of all pairs with their quartiles.  Nanoseconds are by the kernel's own BPF statistics, in runs of
their own, as these cost more than the programs.  Prints a table in Markdown.
"""

import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

PIPE_ROUND_TRIPS = 8000
EXECS = 200
BEST_OF = 6
CPU = "1" if os.cpu_count() > 1 else "0"
STATS = "/proc/sys/kernel/bpf_stats_enabled"

BENCH = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 15

SUM_BY_CGROUP = ("tracepoint:sched:sched_switch { if (@t[cpu]) { @cpu[cgroup] = sum(nsecs - @t[cpu]); } "
                 "@t[cpu] = nsecs; }")
PRINT_EXITS = 'tracepoint:sched:sched_process_exit { printf("%d %s\\n", pid, comm); }'

TOOLS = [
    ("an empty program at sched_switch", [BENCH, "hold-empty"]),
    ("the witness", [BENCH, "hold"]),
    ("exitsnoop", ["exitsnoop"]),
    ("cpudist", ["cpudist", "3600"]),
    ("bpftrace, exits", ["bpftrace", "-e", PRINT_EXITS]),
    ("bpftrace, CPU by cgroup", ["bpftrace", "-e", SUM_BY_CGROUP]),
]


def programs():
    """The loaded BPF programs that are attached to something, by id."""
    shown = subprocess.run(["bpftool", "--json", "prog", "show"], capture_output=True, check=True).stdout
    return {p["id"]: p for p in json.loads(shown)}


class Tool:
    def __init__(self, command):
        before = set(programs())
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        # All of them: their number stays the same for a while.
        self.ids, still = set(), 0
        while still < 5:
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not start")
            ids = set(programs()) - before
            still = still + 1 if ids and ids == self.ids else 0
            self.ids = ids
            time.sleep(0.05)

    def costs(self):
        """Of each program: (name, ns, runs)."""
        return {i: (p.get("name", "?"), p.get("run_time_ns", 0), p.get("run_cnt", 0))
                for i, p in programs().items() if i in self.ids}

    def close(self):
        self.process.stdin.close()
        try:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(30)
        while self.ids & set(programs()):
            time.sleep(0.02)


def run_load(cgroup, command, count):
    """CPU time of one operation, in us."""
    def enter():
        with open(cgroup + "/cgroup.procs", "w") as procs:
            procs.write("0")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["chrt", "-f", "50", "taskset", "-c", CPU, *command], preexec_fn=enter, check=True,
                   stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e6 / count


def best_of(cgroup, command, count):
    return min(run_load(cgroup, command, count) for _ in range(BEST_OF))


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"


def measure_ns(tool, load, count):
    """By the kernel: ns of all its programs in an operation, and of each in a run."""
    before = tool.costs()
    load()
    after = tool.costs()
    grown = {i: (name, ns - before[i][1], runs - before[i][2]) for i, (name, ns, runs) in after.items()
             if i in before and runs > before[i][2]}
    each = ", ".join(f"{name} {ns / runs:.0f}" for name, ns, runs in
                     sorted(grown.values(), key=lambda g: -g[1]) if runs >= count / 2)
    return sum(g[1] for g in grown.values()) / count, each


def main():
    mount = next(line.split()[1] for line in open("/proc/self/mounts") if line.split()[2] == "cgroup2")
    made = not os.path.isdir(mount + "/docker")
    cgroup = f"{mount}/docker/{os.getpid():064x}"
    os.makedirs(cgroup)
    pipe = ["perf", "bench", "sched", "pipe", "-l", str(PIPE_ROUND_TRIPS)]
    fork = [BENCH, "fork-exec", str(EXECS)]
    loads = [("pipe", pipe, PIPE_ROUND_TRIPS), ("fork-exec", fork, EXECS)]
    slower = {(name, load): [] for name, _ in TOOLS for load, *_ in loads}
    alone = {load: [] for load, *_ in loads}
    kernel_ns = {}
    started = time.strftime("%Y-%m-%d")
    try:
        for _ in range(ROUNDS):
            for name, command in TOOLS:
                without = {load: best_of(cgroup, what, count) for load, what, count in loads}
                tool = Tool(command)
                for load, what, count in loads:
                    used = best_of(cgroup, what, count)
                    slower[name, load].append((used / without[load] - 1) * 100)
                    alone[load].append(without[load])
                tool.close()
        for name, command in TOOLS:
            for load, what, count in loads:
                tool = Tool(command)
                with open(STATS, "w") as stats:
                    stats.write("1")
                try:
                    kernel_ns[name, load] = measure_ns(tool, lambda: run_load(cgroup, what, count), count)
                finally:
                    with open(STATS, "w") as stats:
                        stats.write("0")
                tool.close()
        tool = Tool([BENCH, "hold"])
        maps = json.loads(subprocess.run(["bpftool", "--json", "map", "show"], capture_output=True,
                                         check=True).stdout)
        memory = {m["name"]: m["bytes_memlock"] for m in maps if m["name"].startswith("witness_")}
        tool.close()
    finally:
        os.rmdir(cgroup)
        if made:
            os.rmdir(mount + "/docker")

    print(f"Linux {os.uname().release}, {os.cpu_count()} CPUs, {started}; {ROUNDS} pairs each. Alone: "
          + ", ".join(f"{statistics.median(alone[load]):.2f} µs of CPU for one {what}" for load, what in
                      (("pipe", "round trip (two switches)"), ("fork-exec", "fork+exec+exit+wait"))) + ".\n")
    print("| | pipe: slower by % | fork-exec: slower by % | BPF ns a round trip | BPF ns a fork+exec+exit "
          "| of it, ns a run |\n|---|---|---|---|---|---|")
    for name, _ in TOOLS:
        pipe_ns, pipe_each = kernel_ns[name, "pipe"]
        fork_ns, fork_each = kernel_ns[name, "fork-exec"]
        each = ", ".join(dict.fromkeys(filter(None, [f"pipe: {pipe_each}" if pipe_each else "",
                                                     f"fork-exec: {fork_each}" if fork_each else ""])))
        print(f"| {name} | {spread(slower[name, 'pipe'])} | {spread(slower[name, 'fork-exec'])} "
              f"| {pipe_ns:.0f} | {fork_ns:.0f} | {each} |")
    print("\nMaps of the witness, KiB as the kernel counts them: "
          + ", ".join(f"{name.removeprefix('witness_')} {size / 1024:.0f}" for name, size in
                      sorted(memory.items(), key=lambda m: -m[1]))
          + f"; {sum(memory.values()) / 1024:.0f} in all.")


if __name__ == "__main__":
    if "BENCH_BPF_NAMESPACE" not in os.environ:
        # Tracepoints by name need this file system.
        os.environ["BENCH_BPF_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "sh", "-c",
                              "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; "
                              'mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug; '
                              'exec "$0" "$@"', sys.executable, *sys.argv])
    sys.exit(main())
