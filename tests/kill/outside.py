#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Where the monitor stands and what stands around it, in a guest with Docker: in a container of
its own (with a PID, cgroup and network namespace of its own), beside another monitor, beside a
removal that hangs, on a full disk. Found in /lab: sysinfo.ko, monitor. Prints TAP."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from guest import (Monitor, command, create, done, engine, group, import_image, main_pid, populated, records,
                   start, wait_until)

PROTECT = {"sysinfo.protect": "true"}
NOTHING_KEPT = ("--keep-high", "0", "--keep-low", "0")
count = failed = 0


def check(what, good, detail=""):
    global count, failed
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {what}", flush=True)
    if not good:
        failed += 1
        for line in str(detail).splitlines()[:20]:
            print("# " + line[:2000], flush=True)


def make_images():
    os.makedirs("/lab/box/bin", exist_ok=True)
    subprocess.run(["cp", "/usr/bin/busybox", "/lab/box/bin/busybox"], check=True)
    for name in ("sh", "sleep"):
        os.symlink("busybox", f"/lab/box/bin/{name}")
    import_image("box", "/lab/box", "bin", 'CMD ["sleep", "10000"]')
    # The guest's own programs and libraries are mounted into this one.
    os.makedirs("/lab/host-like")
    for name in ("bin", "sbin", "lib", "lib64"):
        os.symlink("usr/" + name, "/lab/host-like/" + name)
    for name in ("usr", "proc", "sys", "run", "lab", "tmp", "etc"):
        os.mkdir("/lab/host-like/" + name)
    import_image("host-like", "/lab/host-like", ".", 'CMD ["sh"]')


def run_box(name, labels=None, host=None):
    container = create(name, "box", host=host, Labels=labels or {})
    start(container)
    wait_until(lambda: populated(group(container)), f"{name} runs")
    return container


def remove(*containers):
    for container in containers:
        engine("DELETE", f"/containers/{container}?force=true")


class Contained:
    """A monitor in a container: its own cgroup and network namespace, and PID namespace unless told."""

    def __init__(self, name, *options, pid="", cgroup_root="/host/cgroup", privileged=False):
        self.name = name
        words = " ".join(command("--cgroup-root", cgroup_root, "--interval", "4",
                                 "--runtime-socket", "/run/docker.sock", "--server", "http://127.0.0.1:9", "--spool", f"/lab/spool-{name}", *options))
        self.id = create(name, "host-like", ["sh", "-c", f"exec {words} >/lab/{name}.json 2>/lab/{name}.err"], {
            "Binds": ["/usr:/usr:ro", "/lab:/lab", "/run/docker.sock:/run/docker.sock",
                      "/sys/fs/cgroup:/host/cgroup"],
            "PidMode": pid, "Privileged": privileged})
        start(self.id)

    def cycles(self):
        try:
            with open(f"/lab/{self.name}.json") as file:
                return [json.loads(line) for line in file.read().splitlines(True) if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def said(self):
        with open(f"/lab/{self.name}.err") as file:
            return file.read()

    def wait_cycle(self, good, what):
        found = []
        try:
            wait_until(lambda: found.extend(c for c in self.cycles() if good(c)) or found or
                       not populated(group(self.id)), what)
            if not found:
                raise AssertionError(f"{what}: it has ended")
        except AssertionError as late:
            raise AssertionError(f"{late}; it said: {self.said()} {self.cycles()[-1:]}") from None
        return found[0]

    def wait_end(self):
        return done("POST", f"/containers/{self.id}/wait")["StatusCode"]

    def end(self):
        done("POST", f"/containers/{self.id}/kill?signal=SIGTERM")
        return self.wait_end()


def rule(cycle, container):
    return next((c["rule"] for c in cycle.get("containers", []) if c["id"] == container), None)


def test_own_pid_namespace():
    """The module answers readers of the host's PID namespace alone: it says so, and ends."""
    monitor = Contained("own-pid")
    status = monitor.wait_end()
    check("in a PID namespace of its own it ends with status 3, and says how to start it",
          status == 3 and "--pid=host" in monitor.said(), (status, monitor.said()))
    remove(monitor.id)


def test_in_a_container(name, *options, privileged):
    """It kills the others, and knows its own container by the kernel's id of its cgroup."""
    victim, keeper = run_box(f"{name}-victim"), run_box(f"{name}-keeper", PROTECT)
    monitor = Contained(name, *options, *NOTHING_KEPT, pid="host", privileged=privileged)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "it kills")
    check(f"{name}: it kills another container", not populated(group(victim)), cycle)
    check(f"{name}: the protected one lives", populated(group(keeper)), cycle)
    own = rule(cycle, monitor.id)
    check(f"{name}: it knows its own container", own == "the monitor runs in it" and populated(group(monitor.id)),
          (own, monitor.said()))
    verified = []
    wait_until(lambda: verified.extend(r["verified"] for r in records(f"/lab/spool-{name}")
                                       if r.get("container_id") == victim) or verified, "the record")
    check(f"{name}: the kill is recorded, verified by the witness where there is one",
          verified == ["--bpf" in options], verified)
    other = subprocess.run(command("--cycles", "1", "--no-bpf", "--server", "http://127.0.0.1:9", "--spool",
                                   "/lab/spool-other"), capture_output=True, timeout=60, cwd="/lab", check=False)
    check(f"{name}: another monitor outside, with a mount namespace of its own, is refused",
          other.returncode == 1 and b"another monitor" in other.stderr, (other.returncode, other.stderr))
    look = subprocess.run(command("--cycles", "1", "--no-bpf", "--dry-run", "--interval", "2", "--server",
                                  "http://127.0.0.1:9", "--spool", "/lab/spool-other"),
                          capture_output=True, timeout=60, cwd="/lab", check=False)
    check(f"{name}: a dry run may look beside it", look.returncode == 0, look.stderr)
    status = monitor.end()
    check(f"{name}: it ends well, and its lock is gone", status == 0 and not [
        n for n in os.listdir("/sys/fs/cgroup") if n.startswith("sysinfo-monitor.")], (status, monitor.said()))
    remove(victim, keeper, monitor.id)


def test_without_the_hosts_cgroups():
    """Which container it is in can't be told: it removes nothing, and says why."""
    victim = run_box("blind-victim")
    monitor = Contained("blind", "--no-bpf", *NOTHING_KEPT, pid="host", cgroup_root="/sys/fs/cgroup")
    cycle = monitor.wait_cycle(lambda c: c["cycle"] >= 2, "cycles")
    check("without the host's cgroups it removes nothing, and says why", populated(group(victim)) and
          "can't find its own cgroup" in cycle.get("trouble", ""), (cycle, monitor.said()))
    monitor.end()
    remove(victim, monitor.id)


def test_removal_that_hangs():
    """Its shim is stopped: the runtime does not notice that the victim is dead, and can't remove
    it. Other kills and the end wait for nothing."""
    stuck = run_box("stuck")
    with open(f"/proc/{main_pid(stuck)}/stat") as file:
        shim = int(file.read().rsplit(")", 1)[1].split()[1])
    os.kill(shim, signal.SIGSTOP)
    monitor = Monitor("--no-bpf", "--interval", "4", *NOTHING_KEPT, "--spool", "/lab/spool-stuck", "--server",
                      "http://127.0.0.1:9")
    try:
        monitor.wait_cycle(lambda c: rule(c, stuck) == "surplus" and c["killed"] == 1, "it is killed")
        begin = time.monotonic()
        other = run_box("after")
        monitor.wait_cycle(lambda c: rule(c, other) == "surplus" and c["killed"] == 1, "another one is killed")
        took = time.monotonic() - begin
        check("another container is killed beside a removal that hangs", took < 30, took)
        begin = time.monotonic()
        monitor.end()
        took = time.monotonic() - begin
        # Two seconds, and one for an emulated machine.
        check("SIGTERM ends it beside a removal that hangs", took < 3, took)
        actions = {r["container_id"]: r["action"] for r in records("/lab/spool-stuck") if "action" in r}
        check("both kills are recorded", actions == {stuck: "killed", other: "killed"}, actions)
    finally:
        os.kill(shim, signal.SIGCONT)
    remove(stuck, other)


def test_full_disk():
    """The intents' room was there before: the kill goes on, and its record comes later."""
    os.makedirs("/lab/spool-full")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "spool", "/lab/spool-full"], check=True)
    monitor = Monitor("--no-bpf", "--interval", "4", *NOTHING_KEPT, "--spool", "/lab/spool-full/spool", "--server",
                      "http://127.0.0.1:9")
    monitor.wait_cycle(lambda c: c["cycle"] >= 1, "a cycle")
    with open("/lab/spool-full/filled", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    hog, keeper = run_box("hog"), run_box("full-keeper", PROTECT)
    cycle = monitor.wait_cycle(lambda c: rule(c, hog) == "surplus" and c["killed"] == 1, "the hog is killed")
    check("on a full disk the hog dies, and the innocent lives", not populated(group(hog)) and
          populated(group(keeper)), cycle)
    def recorded():
        return [r["action"] for r in records("/lab/spool-full/spool") if r.get("container_id") == hog] == ["killed"]

    wait_until(recorded, "its record")
    check("its record is on the disk, which is full all the time", os.statvfs("/lab/spool-full").f_bavail == 0)
    told = monitor.wait_cycle(lambda c: c.get("samples_dropped"), "it is told")
    check("what gave it its place is told: samples of memory", bool(told), told)
    monitor.end()
    remove(hog, keeper)
    subprocess.run(["umount", "/lab/spool-full"], check=True)


def main():
    begin = time.monotonic()
    subprocess.run(["insmod", "/lab/sysinfo.ko"], check=True)
    make_images()
    for test, options in ((test_own_pid_namespace, {}), (test_without_the_hosts_cgroups, {}),
                          (test_removal_that_hangs, {}), (test_full_disk, {})):
        test(**options)
        print(f"# {test.__name__}: {time.monotonic() - begin:.0f} s by now", flush=True)
    test_in_a_container("unseen", "--no-bpf", privileged=False)
    test_in_a_container("seen", "--bpf", privileged=True)
    print(f"1..{count}")
    print(f"# {time.monotonic() - begin:.0f} s", flush=True)
    return 1 if failed else 0


sys.exit(main())
