#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The monitor with its witness, natively: what it says, what it may, what it leaves.
Prints TAP. Usage: check_witness.py [NAME]..."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from stand import MONITOR, PATIENCE_S, cgroup_mount, equal, nothing_removed, one_line, run_tests, true

BPFTOOL = shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin")
CAP_DAC_OVERRIDE, CAP_IPC_LOCK, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 1, 14, 21, 38, 39


def objects(pid):
    """The BPF programs and maps that a process has open, by id."""
    found = set()
    for info in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(info) as file:
                found |= set(re.findall(r"^(prog_id|map_id):\s+(\d+)", file.read(), re.M))
        except FileNotFoundError:
            pass
    return found


def loaded():
    return {("prog_id" if kind == "prog" else "map_id", str(entry["id"]))
            for kind in ("prog", "map")
            for entry in json.loads(subprocess.run([BPFTOOL, "--json", kind, "show"], check=True,
                                                   capture_output=True).stdout)}


def watched(stand, *options, **how):
    stand.witness = ["--bpf"]
    monitor = stand.monitor("--json", *options, **how)
    monitor.wait_cycle(lambda c: "explained" in c, "a cycle with the witness")
    return monitor


def may_lock(pid):
    """Without the capability nothing more could be mapped: memory is locked beyond a limit."""
    with open(f"/proc/{pid}/status") as status, open(f"/proc/{pid}/limits") as limits:
        locked_kib = int(re.search(r"^VmLck:\s+(\d+)", status.read(), re.M)[1])
        limit = re.search(r"^Max locked memory\s+(\w+)", limits.read(), re.M)[1]
    return locked_kib > 0 and limit != "unlimited"


def capabilities(task):
    with open(task) as file:
        return {name: int(value, 16) for name, value in re.findall(r"^Cap(\w+):\s+(\w+)", file.read(), re.M)}


def test_capabilities_are_given_up(stand):
    stand.log_server()
    stand.container(1)
    monitor = watched(stand)
    pid = monitor.process.pid
    left = 1 << CAP_DAC_OVERRIDE | may_lock(pid) << CAP_IPC_LOCK
    tasks = glob.glob(f"/proc/{pid}/task/*/status")
    true(tasks, "it has no threads")
    for task in tasks:
        caps = capabilities(task)
        for name in ("Eff", "Prm"):
            equal(caps[name], left, f"{name} of {task}")
        equal((caps["Inh"], caps["Amb"]), (0, 0), f"Inh and Amb of {task}")
        for cap in (CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF):
            equal(caps["Bnd"] >> cap & 1, 0, f"capability {cap} in Bnd of {task}")
    # And it goes on without.
    monitor.wait_cycle(lambda c: "explained" in c, "one more cycle", after=monitor.last_cycle())
    monitor.end(0, signal.SIGTERM)


def test_capabilities_of_the_disk_process(stand):
    """It writes files all the time, and nothing else."""
    stand.log_server()
    stand.container(1)
    monitor = watched(stand)
    pid = monitor.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = file.read().split()
    names = []
    for child in children:
        with open(f"/proc/{child}/comm") as file:
            names.append(file.read().strip())
        caps = capabilities(f"/proc/{child}/status")
        for name in ("Eff", "Prm", "Inh", "Amb"):
            equal(caps[name] & ~(1 << CAP_DAC_OVERRIDE), 0, f"{name} of {names[-1]}")
    true("monitor-disk" in names, names)
    monitor.end(0, signal.SIGTERM)


def ends_without_a_trace(stand, how, status):
    stand.container(1)
    monitor = watched(stand)
    mine = objects(monitor.process.pid)
    true(len([o for o in mine if o[0] == "prog_id"]) >= 6 and mine <= loaded(), mine)
    monitor.end(status, how)
    # The kernel frees them after a grace period.
    end = time.monotonic() + PATIENCE_S
    while mine & loaded():
        true(time.monotonic() < end, f"still there: {mine & loaded()}")
        time.sleep(0.05)


def test_nothing_stays_after_an_end(stand):
    ends_without_a_trace(stand, signal.SIGTERM, 0)


def test_nothing_stays_after_sigkill(stand):
    ends_without_a_trace(stand, signal.SIGKILL, -signal.SIGKILL)


def goes_on_or_fails(stand, wrap, *words):
    """Where the witness can't be: with --bpf it ends, with neither it says so and goes on."""
    stand.container(1)
    stand.module.write()
    stand.witness = ["--bpf"]
    one_line(stand.run(*stand.options(), "--no-generator", wrap=wrap), 1, *words)
    stand.witness = []
    monitor = stand.monitor("--json", wrap=wrap)
    cycle = monitor.wait_cycle(lambda c: c.get("containers"), "a cycle without the witness")
    true("explained" not in cycle and cycle["containers"][0]["witness"] == "none", cycle)
    for word in (*words, "going on without the witness"):
        equal(len([line for line in monitor.err if word.encode() in line]), 1, f"lines with '{word}'")
    monitor.end(0, signal.SIGTERM)


def test_kernel_without_type_information(stand):
    goes_on_or_fails(stand, ["unshare", "--mount", "sh", "-c",
                             'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"'],
                     "no type information", "/sys/kernel/btf/vmlinux", "--no-bpf")


def test_without_capabilities(stand):
    goes_on_or_fails(stand, ["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"],
                     "not permitted", "CAP_BPF", "--no-bpf")


def test_kernel_that_is_locked_down(stand):
    """What the kernel then does, it does by the missing capability; what it says, by a file."""
    goes_on_or_fails(stand, ["unshare", "--mount", "sh", "-c",
                             "mount -t tmpfs none /sys/kernel/security && "
                             "echo 'none integrity [confidentiality]' >/sys/kernel/security/lockdown && "
                             'exec setpriv --bounding-set -bpf,-perfmon,-sys_admin "$0" "$@"'],
                     "locked down", "--no-bpf")


def test_disputed_stays(stand):
    """The module tells of CPU that neither scheduler nor cgroup have seen."""
    liar = stand.container(1, cpu=0.9)
    honest = stand.container(2)
    monitor = watched(stand, "--keep-high", "0", "--keep-low", "1")
    cycle = monitor.wait_cycle(
        lambda c: any(k["witness"] == "disputed" for k in c.get("containers", [])), "a dispute")
    (found,) = [c for c in cycle["containers"] if c["id"] == liar.id]
    equal((found["verdict"], found["rule"]), ("keep", "disputed: the sources disagree"), "the liar")
    true("module is off by" in found["outcome"] and found["module_us"] > 700000 and
         found["scheduler_us"] < 100000 and found["apart_us"] > found["tolerance_us"], found)
    (found,) = [c for c in cycle["containers"] if c["id"] == honest.id]
    equal((found["witness"], found["verdict"]), ("agreed", "keep"), "the honest")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_death_that_nobody_saw(stand):
    """A process that the module makes up vanishes; a real one's death is seen."""
    stand.container(1)
    real = stand.container(2)
    stand.module.containers[0].fields["PID"] = 4_100_000
    monitor = watched(stand)
    stand.module.containers.pop(0)
    cycle = monitor.wait_cycle(lambda c: c.get("unexplained_deaths"), "an unexplained death")
    equal((cycle["unexplained_deaths"], cycle["vanished"]), (1, [4_100_000]), "the vanished")
    after = monitor.last_cycle()
    monitor.wait_cycle(lambda c: c.get("unexplained_deaths") == 0, "said once", after=after)
    true(real.lives(), "the other one")
    monitor.end(0, signal.SIGTERM)


def test_container_that_no_snapshot_has(stand):
    """Began and ended between two looks: told with its CPU, and how its main process ended."""
    stand.container(1)
    monitor = watched(stand)
    ident = f"{os.getpid():064x}"
    group = f"{cgroup_mount()}/docker/{ident}"
    os.makedirs(group)
    subprocess.run(["sh", "-c", f'echo 0 >{group}/cgroup.procs && exec unshare --pid --fork sh -c "exit 3"'],
                   check=False)
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            os.rmdir(group)
            break
        except OSError:  # a process counts a moment longer
            true(time.monotonic() < end, "the group is never empty")
            time.sleep(0.01)
    cycle = monitor.wait_cycle(lambda c: any(e["id"] == ident for e in c.get("ended", [])), "its end")
    (ended,) = [e for e in cycle["ended"] if e["id"] == ident]
    equal((ended["brief"], ended["exit_code"], ended["signal"], ended["oom"], ended["exits"]),
          (True, 3, 0, False, 2), "its end")
    true(ended["cpu_us"] > 100, ended)
    monitor.end(0, signal.SIGTERM)


def test_report_for_people(stand):
    stand.container(1)
    stand.witness = ["--bpf"]
    monitor = stand.monitor("--cycles", "1").end(0)
    monitor.wait_line(rb"^cross-check +1 agreed, 0 disputed, 0 not compared; CPU ms: module ")
    monitor.wait_line(rb"^explained +[\d.]+ % \([\d.]+ % without the witness\); dark CPU ms [\d.]+; \d+ exits, "
                      rb"0 lost; 0 unexplained deaths$")


if __name__ == "__main__":
    if subprocess.run([MONITOR, "--version"], check=False, capture_output=True).returncode or not BPFTOOL:
        print("1..0 # SKIP wants bpftool")
        sys.exit(0)
    sys.exit(run_tests(globals()))
