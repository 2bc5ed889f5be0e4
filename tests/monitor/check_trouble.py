#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Trouble on the host of a monitor, natively: what it says, that it kills nobody on what
it can't know, and that it goes on. Prints TAP. Usage: check_trouble.py [NAME]..."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from stand import (NOTHING_KEPT, Container, Engine, cgroup_mount, container_id, equal,
                   nothing_removed, one_line, rules, run_tests, true)


def restarted(stand):
    """The runtime, made anew at the same path, with the same containers."""
    engine = stand.add(Engine(stand.path("engine.sock")))
    engine.containers = stand.engine.containers
    return engine


# --- The runtime -----------------------------------------------------------------

def test_runtime_restarts(stand):
    """Its socket goes and comes; who dies meanwhile does so by its cgroup, or not at all."""
    victim = stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c), "a good cycle")
    # With it go its connections, of which the monitor has one open.
    stand.engine.on_list = lambda _: "close"
    stand.engine.close()
    os.unlink(stand.path("engine.sock"))
    for _ in range(2):
        cycle = monitor.wait_cycle(lambda c: "no list from the runtime" in c.get("trouble", ""),
                                   "no runtime", monitor.last_cycle())
        equal(rules(cycle), {victim.id: "not known to the runtime"}, "rules")
    true(victim.lives(), "it lives while nothing is known of it")
    stand.engine.engine_again = restarted(stand)
    # It is still the only one.
    one_line(stand.run(*stand.options(), "--no-generator", "--spool", stand.path("other")), 1,
             "another monitor")
    monitor.wait_cycle(lambda c: c.get("killed"), "it does its job again", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.engine_again.deleted(), [victim.id], "removed")


def test_runtime_restarts_in_the_act(stand):
    """It goes away when it is asked to remove: that is said, and the record stays true."""
    server = stand.log_server()
    victim = stand.container(1, cpu=0.9)
    stand.engine.on_delete = lambda _: "close"
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle with surplus")
    (container,) = cycle["containers"]
    true(not victim.lives() and container["outcome"].startswith("killed, not verified: cgroup.kill"), container)
    monitor.wait_cycle(lambda c: True, "it goes on", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal([(r["container_id"], r["verified"]) for r in server.records("logs")], [(victim.id, False)],
          "records")


def test_socket_that_accepts_nothing(stand):
    """Somebody listens, but never answers: not even a connection is made."""
    victim = stand.container(1, cpu=0.9)
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(stand.path("deaf.sock"))
    deaf.listen(0)
    stand.closing.callback(deaf.close)
    waiting = []
    for _ in range(2):
        one = socket.socket(socket.AF_UNIX)
        one.setblocking(False)
        try:
            one.connect(stand.path("deaf.sock"))
        except BlockingIOError:
            pass
        waiting.append(one)
    monitor = stand.monitor("--json", "--runtime-socket", stand.path("deaf.sock"), *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: "no list from the runtime" in c.get("trouble", ""), "it is said")
    equal(rules(cycle), {victim.id: "not known to the runtime"}, "rules")
    monitor.wait_cycle(lambda c: True, "it goes on", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    true(victim.lives(), "it lives")


# --- The host ----------------------------------------------------------------------

def test_hybrid_host(stand):
    """cgroup v2 beside v1, which has the memory controller: said, with what to do."""
    os.makedirs(stand.path("hybrid/unified"))
    subprocess.run(["mount", "-t", "cgroup2", "none", stand.path("hybrid/unified")], check=True)
    stand.closing.callback(subprocess.run, ["umount", stand.path("hybrid/unified")], check=True)
    one_line(stand.run(*stand.options(), "--no-generator", "--cgroup-root", stand.path("hybrid")), 1,
             "cgroup v1 with v2 beside it", "systemd.unified_cgroup_hierarchy=1")
    # A group without controllers is as bare as v2 is there.
    bare = f"{cgroup_mount()}/check-bare-{os.getpid()}"
    os.mkdir(bare)
    stand.closing.callback(os.rmdir, bare)
    stand.module.containers = [Container(1, cpu=0.9)]
    monitor = stand.monitor("--json", "--cycles", "1", "--cgroup-root", bare, *NOTHING_KEPT).end(0)
    with open(bare + "/cgroup.controllers") as file:
        has_memory = "memory" in file.read()
    equal("has no memory controller" in monitor.text(), not has_memory, "it is said")
    nothing_removed(stand)


def test_thousand_containers_at_once(stand):
    """The loop keeps its pace, nobody new dies, and so many at once trip the brake."""
    stand.container(1)
    stand.engine.containers.pop()
    monitor = stand.monitor("--json", "--keep-high", "2", "--keep-low", "3")
    monitor.wait_cycle(lambda c: rules(c), "a good cycle")
    many = [Container(number, cpu=0.5 * (number % 2)) for number in range(1000, 2000)]
    for container in many:
        folder = f"{stand.groups.root}/docker/{container.id}"
        os.mkdir(folder)
        with open(folder + "/memory.current", "w") as file:
            file.write("1048576\n")
    stand.engine.containers += [(container, {}) for container in many]
    stand.module.containers += many
    cycle = monitor.wait_cycle(lambda c: len(c.get("containers", [])) == 1001, "all are seen")
    new = [r for r in rules(cycle).values() if r.startswith("new")]
    true(len(new) in (0, 1000), f"{len(new)} are new")
    cycle = monitor.wait_cycle(lambda c: c.get("surplus") == 995, "all are judged")
    equal((cycle["mode"], cycle["killed"], cycle["disarmed_by"]),
          ("disarmed", 0, "995 kills in this cycle (kills-per-cycle 100)"), "the brake")
    start = time.monotonic()
    monitor.wait_cycle(lambda c: True, "three more", cycle["cycle"] + 2)
    took = time.monotonic() - start
    true(took < 9, f"three cycles took {took:.1f} s")
    with open(f"/proc/{monitor.process.pid}/status") as status:
        peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    true(peak_kib < 100 << 10, f"it took {peak_kib} KiB")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.seen("DELETE"), [], "removals")


def peak_kib(monitor):
    with open(f"/proc/{monitor.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def test_huge_labels(stand):
    """One container's labels have 33 MiB, another's list entry is broken, a third's full of tiny
    values: each costs itself its being known, and nobody any memory."""
    huge, broken, tiny, victim = (stand.container(n) for n in (1, 2, 3, 4))
    small = json.dumps(victim.listed())
    body = (f'[{json.dumps(huge.listed(Labels={"x": "y" * (33 << 20)}))},'
            f'{json.dumps(broken.listed())[:-1]},"Labels":7}},'
            f'{json.dumps(tiny.listed(Labels={f"{n:x}": "" for n in range(60000)}))},{small}]').encode()
    stand.engine.on_list = lambda _: (200, body)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "the ordinary one dies")
    monitor.wait_cycle(lambda c: True, "some more cycles", cycle["cycle"] + 3)
    peak = peak_kib(monitor)
    monitor.end(0, signal.SIGTERM)
    print(f"# a list of {len(body) >> 20} MiB: VmHWM {peak / 1024:.1f} MiB")
    true("were not understood; their containers stay" in cycle.get("trouble", ""), cycle.get("trouble"))
    equal([c.lives() for c in (huge, broken, victim)], [True, True, False], "lives")
    true(peak < 64 << 10, f"it took {peak} KiB")


# --- Clocks --------------------------------------------------------------------------

# Between the monitor and the kernel: its clocks as files say, in seconds.
CLOCKS = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long offset(const char *which)
{
	char path[4096];
	long seconds = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", getenv("CLOCKS"), which);
	file = fopen(path, "r");
	if (file && fscanf(file, "%ld", &seconds) != 1)
		seconds = 0;
	if (file)
		fclose(file);
	return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int err = (int)syscall(SYS_clock_gettime, clock, ret);

	if (clock == CLOCK_REALTIME)
		ret->tv_sec += offset("realtime");
	if (clock == CLOCK_BOOTTIME)
		ret->tv_sec += offset("boottime");
	return err;
}

static clockid_t clocks[1024];

int timerfd_create(clockid_t clock, int flags)
{
	int fd = (int)syscall(SYS_timerfd_create, clock, flags);

	if (fd >= 0 && fd < 1024)
		clocks[fd] = clock;
	return fd;
}

/* What has passed by then is due at once; without a time, the timer is off. */
int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct itimerspec real = *new;

	if ((real.it_value.tv_sec || real.it_value.tv_nsec) && fd < 1024 && clocks[fd] == CLOCK_BOOTTIME) {
		real.it_value.tv_sec -= offset("boottime");
		if (real.it_value.tv_sec < 0)
			real.it_value = (struct timespec){ .tv_nsec = 1 };
	}
	return (int)syscall(SYS_timerfd_settime, fd, flags, &real, old);
}
"""


def with_clocks(stand, *options):
    """A monitor whose clocks can be set."""
    os.mkdir(stand.path("clocks"))
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-xc", "-", "-o", stand.path("clocks.so")],
                   input=CLOCKS.encode(), check=True)
    return stand.monitor(*options, wrap=("env", "LD_PRELOAD=" + stand.path("clocks.so"),
                                         "CLOCKS=" + stand.path("clocks")))


def set_clock(stand, which, seconds):
    with open(stand.path("clocks/new"), "w") as file:
        file.write(str(seconds))
    os.rename(stand.path("clocks/new"), stand.path("clocks/" + which))


def test_clock_steps(stand):
    """Nothing that is decided or waited for rests on the time of day."""
    server = stand.log_server()
    heavy, light = stand.container(1, cpu=0.9), stand.container(2)
    monitor = with_clocks(stand, "--json", "--window", "3")
    monitor.wait_cycle(lambda c: c["cycle"] == 1, "a cycle")
    for step_s in (-86400 * 365, 86400 * 365 * 10, -3, 0):
        seen = monitor.last_cycle()
        set_clock(stand, "realtime", step_s)
        start = time.monotonic()
        cycle = monitor.wait_cycle(lambda c: "containers" in c, f"after {step_s} s", seen + 1)
        took = time.monotonic() - start
        true(took < 6, f"two cycles took {took:.1f} s after a step of {step_s} s")
        true(0.5e6 < cycle["window_us"] < 2.5e6, cycle["window_us"])
    monitor.wait_cycle(lambda c: rules(c) == {heavy.id: "within the quota", light.id: "within the quota"},
                       "all windows are whole")
    monitor.end(0, signal.SIGTERM)
    events = [r["event_id"] for r in server.records("logsmemory")]
    equal((len(events), stand.waiting("refused-")), (len(set(events)), []), "samples")


def test_suspend(stand):
    """Who was heavy is light in a window that the host was suspended in; it counts for nothing."""
    heavy = stand.container(1, cpu=0.9)
    monitor = with_clocks(stand, "--json", "--keep-low", "0")
    monitor.wait_cycle(lambda c: rules(c) == {heavy.id: "within the quota"}, "a good cycle")
    # An hour, in which its counters stand still, and so does the monitor.
    monitor.process.send_signal(signal.SIGSTOP)
    stand.module.shift_us = 3600_000_000
    stand.module.write()
    set_clock(stand, "boottime", 3600)
    monitor.process.send_signal(signal.SIGCONT)
    cycle = monitor.wait_cycle(lambda c: "the host was suspended for 3600" in c.get("trouble", ""), "it is said")
    true("containers" not in cycle, "nothing is decided")
    cycle = monitor.wait_cycle(lambda c: "containers" in c, "it goes on", cycle["cycle"])
    equal(rules(cycle), {heavy.id: "within the quota"}, "rules")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def held_up(stand, moment, said):
    """Stopped, or asleep, in the middle of a cycle: what was seen is too old by then."""
    victim = stand.container(1, cpu=0.9)
    held = []

    def hold(_):
        if held or not monitor.out:
            return
        held.append(monitor.last_cycle())
        monitor.process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        monitor.process.send_signal(signal.SIGCONT)

    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: "containers" in c, "a good cycle")
    stand.engine.on_list = lambda _: None
    setattr(stand.engine, moment, hold)
    monitor.wait_cycle(lambda c: said in json.dumps(c), "it is said")
    interrupted = monitor.wait_cycle(lambda c: True, "the cycle that was held up", held[0])
    equal(interrupted["killed"], 0, "killed")
    monitor.wait_cycle(lambda c: c.get("killed"), "a later one does it", interrupted["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), [victim.id], "removed")


def test_held_up_before_the_judgement(stand):
    held_up(stand, "on_list", "no list from the runtime")


def test_held_up_before_the_act(stand):
    held_up(stand, "on_inspect", "survived: not touched; ")


# --- Names ---------------------------------------------------------------------------

def test_names_with_every_byte(stand):
    """As processes, containers, images and labels: killed all the same, told legibly, and stored."""
    server = stand.log_server()
    every = ["".join(map(chr, range(begin, begin + 15))) for begin in range(1, 256, 15)]
    for number, name in enumerate(every):
        stand.container(number, cpu=0.9, name=name, listed={
            "Names": ["/" + name], "Image": name, "Labels": {name: name}})
    for options in (("--dry-run", "--cycles", "2"), ("--dry-run", "--cycles", "2", "--json"),
                    ("--json", "--record", stand.path("recording"), "--cycles", "1")):
        monitor = stand.monitor(*options, *NOTHING_KEPT).end(0)
        said = b"".join(monitor.out + monitor.err)
        equal(bytes(sorted(set(said) - set(range(0x20, 0x7f)) - {0x0a})), b"", "bytes in what it says")
    status, out, _ = stand.run("replay", stand.path("recording"), "--json")
    equal((status, sorted(set(out.encode()) - set(range(0x20, 0x7f)) - {0x0a})), (0, []), "replay")
    equal(stand.engine.deleted(), sorted(container_id(n) for n in range(len(every))), "removed")
    killed = [r for r in server.records("logs") if r["action"] == "killed"]
    equal(sorted(r["name"] for r in killed), sorted(every), "names that are stored")
    equal(sorted(r["image"] for r in killed), sorted(every), "images that are stored")
    equal(stand.waiting("refused-"), [], "refused")


# --- The module ----------------------------------------------------------------------

def test_module_unloaded_and_loaded(stand):
    """Blind, it kills nobody and says what to do; then it begins a window anew."""
    victim = stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", "--window", "2", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c).get(victim.id) == "not known to the runtime", "a good cycle")
    stand.engine.on_list = lambda _: None
    stand.module.close()
    os.unlink(stand.module.path)
    cycle = monitor.wait_cycle(lambda c: "insmod" in c.get("trouble", ""), "it is said")
    cycle = monitor.wait_cycle(lambda c: "insmod" in c.get("trouble", ""), "again", cycle["cycle"])
    nothing_removed(stand)
    stand.module.changes = {"Instance": "another"}
    stand.module.sequence = 0
    stand.module.resume()
    cycle = monitor.wait_cycle(lambda c: rules(c), "it sees", cycle["cycle"])
    equal(rules(cycle), {victim.id: "new: not seen for a whole window"}, "what was before counts for nothing")
    monitor.wait_cycle(lambda c: c.get("killed"), "it does its job", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), [victim.id], "removed")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
